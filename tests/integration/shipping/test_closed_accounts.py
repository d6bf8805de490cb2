"""Shipping keeps the shipments of a closed account, without personal data."""

from __future__ import annotations

import json

import boto3

from tests.integration.shipping.conftest import ADDRESS, SHIPMENT, Service


def stored() -> str:
    return json.dumps(boto3.client("dynamodb", "us-east-1").scan(TableName="ShippingTable")["Items"])


def anonymise(service: Service) -> None:
    assert service.receive("order.anonymised", "anonymised-1", {}) == []


def is_anonymous() -> bool:
    return not any(value in stored() for name, value in ADDRESS.items() if value and name != "country")


def test_a_delivered_parcel_loses_its_address_and_keeps_its_way(service: Service) -> None:
    service.confirm()
    service.pay()
    service.carry_to_the_end()
    path = f"/api/shipments/{SHIPMENT}"
    before = service.call("GET", path, user="boss", role="admin")[1]
    assert not is_anonymous()

    anonymise(service)

    assert is_anonymous()
    assert service.call("GET", path, user="boss", role="admin")[1] == before | {"shipping_address": None}


def test_a_confirmation_that_comes_after_it_brings_no_address_back(service: Service) -> None:
    anonymise(service)

    service.confirm()
    service.pay()

    assert is_anonymous()
    assert service.waiting() == []


def test_hearing_it_twice_changes_nothing_more(service: Service) -> None:
    service.confirm()
    anonymise(service)
    once = stored()

    anonymise(service)

    assert stored() == once
