"""Mails to guests: they go to the address that the order was placed with."""

from __future__ import annotations

import json
from typing import Any

import boto3

from tests.integration.notifications.conftest import Service

GUEST = "guest:1"
ADDRESS = {"email": "gita@example.com", "name": "Gita Guest"}


def created(service: Service, order_id: str = "order-1", contact: Any = ADDRESS) -> list[str]:
    data = {"order_id": order_id, "customer_id": GUEST, "contact": contact}
    return service.receive(service.event("order.created", f"created-{order_id}", data))


def anonymised(service: Service, guest_id: str | None = GUEST) -> list[str]:
    data = {"order_id": "order-1", "customer_id": "user-1", "guest_id": guest_id}
    return service.receive(service.event("order.anonymised", "anonymised-1", data))


def stored() -> str:
    return json.dumps(boto3.client("dynamodb", "us-east-1").scan(TableName="NotificationsTable")["Items"])


def test_a_guest_gets_the_mails_of_the_order(service: Service) -> None:
    assert created(service) == created(service) == []

    assert service.receive(service.receipt(user_id=GUEST)) == []

    ((to, _, text),) = service.mailer.sent
    assert to == "gita@example.com"
    assert text.startswith("Hello Gita Guest,")
    assert "Your invoice is behind the link to your order, which is in our first mail about it." in text
    assert "https://" not in text, "orders alone knows the guest's link"


def test_a_mail_waits_for_the_address_that_comes_later(service: Service) -> None:
    assert service.receive(service.receipt(user_id=GUEST)) != []
    created(service)

    assert service.receive(service.receipt(user_id=GUEST)) == []

    assert [to for to, _, _ in service.mailer.sent] == ["gita@example.com"]


def test_two_orders_of_one_guest_have_an_address_each(service: Service) -> None:
    created(service)
    created(service, "order-2", {"email": "other@example.com", "name": "Gita"})

    service.receive(service.receipt(user_id=GUEST))

    assert [to for to, _, _ in service.mailer.sent] == ["gita@example.com"]


def test_the_order_of_an_account_has_no_address_in_its_event(service: Service) -> None:
    service.register("user-1")

    assert created(service, contact=None) == []
    service.receive(service.receipt())

    assert [to for to, _, _ in service.mailer.sent] == ["anna@example.com"]


def test_what_is_kept_of_a_guest_goes_with_the_order_s_address(service: Service) -> None:
    created(service)
    service.receive(service.receipt(user_id=GUEST))

    assert anonymised(service) == anonymised(service) == []

    assert "Gita" not in stored()
    assert "gita@example.com" not in stored()
    assert created(service) == []  # redelivered: the address does not come back
    assert "gita@example.com" not in stored()


def test_the_anonymising_of_an_account_s_order_changes_nothing_here(service: Service) -> None:
    before = stored()

    assert anonymised(service, None) == []

    assert stored() == before
