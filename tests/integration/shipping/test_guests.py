"""The parcel of a guest's order, which an account claims."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.integration.shipping.conftest import SHIPMENT, Service

GUEST = "guest:1"


def claim(service: Service, customer_id: str = "user-1") -> list[str]:
    return service.receive("order.claimed", f"claimed-{customer_id}", {"customer_id": customer_id})


def confirm(service: Service) -> list[str]:
    return service.confirm(customer_id=GUEST)


def pay(service: Service) -> list[str]:
    return service.receive("payment.completed", "paid-1", {"payment_id": "payment-1", "customer_id": GUEST})


@pytest.mark.parametrize("order", list(permutations([claim, confirm, pay])))
def test_the_account_has_the_parcel_whenever_it_claims(service: Service, order: tuple[Any, ...]) -> None:
    for happen in order:
        assert happen(service) == []
    assert claim(service, "user-2") == []  # the first claim holds

    assert service.call("GET", f"/api/shipments/{SHIPMENT}", user="user-1")[0] == 200
    assert service.call("GET", f"/api/shipments/{SHIPMENT}", user="user-2")[0] == 404
    assert str(service.status) == "booked"


def test_a_guest_sees_the_parcel_by_the_id_that_the_order_states_and_nothing_of_its_address(service: Service) -> None:
    service.confirm(customer_id=GUEST)
    service.receive("payment.completed", "paid-1", {"payment_id": "payment-1", "customer_id": GUEST})
    service.webhook("dispatched")
    status, parcel = service.call("GET", f"/api/shipments/guests/{SHIPMENT}")
    assert (status, [stop["status"] for stop in parcel["timeline"]]) == (200, ["pending", "booked", "dispatched"])
    assert parcel.keys() == {"shipment_id", "status", "carrier", "tracking_number", "tracking_url", "timeline"}


def test_a_parcel_of_an_account_is_not_shown_to_guests(service: Service) -> None:
    service.confirm()
    service.pay()
    assert service.call("GET", f"/api/shipments/guests/{SHIPMENT}")[0] == 404
    assert service.call("GET", "/api/shipments/guests/nothing")[0] == 404
