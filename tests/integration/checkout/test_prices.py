"""The prices of goods for an order that names no quote: those that a checkout of the same goods shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.checkout.conftest import ADDRESS, Desk

LINES = [{"product_id": "mug", "quantity": 2}, {"product_id": "pot", "quantity": 1}]


@pytest.mark.parametrize("service", ["standard", "express"])
def test_an_order_without_a_quote_costs_what_a_checkout_shows(desk: Desk, service: str) -> None:
    shown = desk.open(service=service)
    status, priced = desk.price(LINES, service=service)
    assert status == 200
    assert (priced["charges"], priced["lines"], priced["notices"]) == (shown["charges"], shown["lines"], [])
    assert priced["delivery"]["service"] == service


def test_without_a_service_the_cheapest_is_taken_and_nothing_is_stored(desk: Desk) -> None:
    _, priced = desk.price(LINES)
    assert priced["delivery"]["service"] == "standard"
    assert sum(one["amount"]["amount"] for one in priced["charges"]) == 4500 + 395
    assert desk.sessions() == []


def test_an_address_without_a_region_is_priced_since_such_orders_know_none(desk: Desk) -> None:
    desk.peers.rates["US"] = {"standard": 1995}
    _, priced = desk.price(LINES, ADDRESS | {"country": "US", "postcode": "10001"})
    assert [one["rate"] for one in priced["charges"]] == ["0.0000"] * 3


def _short(desk: Desk) -> None:
    desk.peers.sells("mug", 1250, available=1)


def _sold_no_more(desk: Desk) -> None:
    desk.peers.sells("mug", 1250, status="discontinued")


def _undeliverable(desk: Desk) -> None:
    desk.peers.rates = {}


def _heavy(desk: Desk) -> None:
    desk.peers.max_grams = 1


def _foreign(desk: Desk) -> None:
    desk.peers.rates_currency = "EUR"


def _untaxed(desk: Desk) -> None:
    desk.peers.sells("mug", 1250, tax_class="books")


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        (_short, "short-of-stock"),
        (_sold_no_more, "product-not-for-sale"),
        (_undeliverable, "no-rate-for-destination"),
        (_heavy, "parcel-too-heavy"),
        (_foreign, "mixed-currencies"),
        (_untaxed, "no-tax-rate"),
    ],
)
def test_each_obstacle_is_named(desk: Desk, change: Any, notice: str) -> None:
    change(desk)
    status, priced = desk.price(LINES)
    assert (status, [one["type"] for one in priced["notices"]]) == (200, [notice])


def test_a_service_that_is_not_offered_is_named(desk: Desk) -> None:
    assert [one["type"] for one in desk.price(LINES, service="balloon")[1]["notices"]] == ["service-not-offered"]


def test_500_products_are_priced_and_more_than_a_checkout_may_have(desk: Desk) -> None:
    names = [f"mug-{number}" for number in range(500)]
    for name in names:
        desk.peers.sells(name, 100, weight_grams=1)
    status, priced = desk.price([{"product_id": name, "quantity": 1} for name in names])
    assert (status, len(priced["lines"]), len(priced["charges"])) == (200, 500, 501)


def test_more_than_an_amount_may_be_is_refused(desk: Desk) -> None:
    desk.peers.sells("yacht", 10**12)
    assert desk.price([{"product_id": "yacht", "quantity": 100_000}])[0] == 422
    too_many = [{"product_id": name, "quantity": 100_000} for name in ("mug", "pot")]
    assert desk.price(too_many)[1]["type"] == "urn:mercato:problem:too-many-lines"


def test_without_the_catalogue_there_is_no_price(desk: Desk) -> None:
    desk.peers.down = {"products"}
    assert desk.price(LINES)[0] == 503


def test_only_peers_may_ask(desk: Desk) -> None:
    body = {"lines": LINES, "shipping_address": ADDRESS}
    assert desk.call("POST", "/prices", body)[0] == 403
