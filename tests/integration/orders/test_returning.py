"""POST /api/orders/{order_id}/returns, and the refund that follows."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.ids import derived_id
from mercato.store.event_store import ConcurrencyError
from orders.order import Status
from orders.store import OrderStore
from tests.integration.orders.conftest import Shop

SHIPMENT = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}


def delivered(shop: Shop) -> str:
    order_id = str(shop.place()["order_id"])
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    assert shop.hear("shipment.dispatched", SHIPMENT | {"order_id": order_id}) == []
    assert shop.hear("shipment.delivered", SHIPMENT | {"order_id": order_id}) == []
    return order_id


def send_back(
    shop: Shop, order_id: str, quantities: dict[str, int], *, key: str | None = "k-1", user: str = "cust-1"
) -> Any:
    lines = [{"product_id": name, "quantity": quantity} for name, quantity in quantities.items()]
    body = {"lines": lines, "reason": "damaged"}
    return shop.call("POST", f"/api/orders/{order_id}/returns", body, key=key, user=user)


def refund(shop: Shop, order_id: str, refund_id: str, amount: int) -> None:
    money = {"amount": amount, "currency": "GBP"}
    data = {"payment_id": "pay-1", "order_id": order_id, "refund_id": refund_id, "amount": money, "reason": "return"}
    assert shop.hear("payment.refunded", data) == []


def test_one_of_two_mugs_comes_back(shop: Shop) -> None:
    order_id = delivered(shop)
    status, answer, headers = send_back(shop, order_id, {"mug": 1})
    return_id = derived_id("cust-1", "return", order_id, "k-1")
    assert (status, headers["Location"]) == (201, f"/live/api/orders/{order_id}")
    assert answer | {"at": ""} == {
        "return_id": return_id,
        "lines": [{"product_id": "mug", "quantity": 1}],
        "reason": "damaged",
        "amount": {"amount": 1250, "currency": "GBP"},
        "refunded": None,
        "at": "",
        "charges": [],
    }
    refund_id = derived_id(order_id, return_id)
    assert shop.announced(order_id)[-1]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "return_id": return_id,
        "refund_id": refund_id,
        "lines": [{"product_id": "mug", "quantity": 1}],
        "amount": {"amount": 1250, "currency": "GBP"},
        "reason": "damaged",
        "charges": None,
    }
    refund(shop, order_id, refund_id, 1250)
    refund(shop, order_id, refund_id, 1250)
    _, order, _ = shop.call("GET", f"/api/orders/{order_id}")
    assert (order["status"], order["refunded"]) == ("delivered", {"amount": 1250, "currency": "GBP"})
    assert [(line["product_id"], line["returned"]) for line in order["lines"]] == [("mug", 1), ("pot", 0)]
    assert [made["refunded"] for made in order["returns"]] == [{"amount": 1250, "currency": "GBP"}]


def test_an_order_of_which_all_came_back_ends_refunded(shop: Shop) -> None:
    order_id = delivered(shop)
    for key, quantities, amount in (("k-1", {"mug": 1}, 1250), ("k-2", {"mug": 1, "pot": 1}, 3250)):
        _, answer, _ = send_back(shop, order_id, quantities, key=key)
        assert answer["amount"]["amount"] == amount
        refund(shop, order_id, derived_id(order_id, answer["return_id"]), amount)
    order = shop.order(order_id)
    assert (order.status, order.payment_status, order.refunded.amount) == (Status.REFUNDED, "refunded", 4500)
    assert shop.call("GET", "/api/orders", query={"status": "refunded"})[1]["items"][0]["order_id"] == order_id
    status, problem, _ = send_back(shop, order_id, {"mug": 1}, key="k-3")
    assert (status, problem["order_status"]) == (409, "refunded")
    assert shop.hear("shipment.delivered", SHIPMENT | {"order_id": order_id}) == []
    assert shop.order(order_id).version == order.version


def test_a_return_that_is_asked_for_again_is_the_same_return(shop: Shop) -> None:
    order_id = delivered(shop)
    _, first, _ = send_back(shop, order_id, {"mug": 1})
    refund(shop, order_id, derived_id(order_id, first["return_id"]), 1250)
    status, again, headers = send_back(shop, order_id, {"mug": 1})
    assert (status, again, headers["Idempotent-Replayed"]) == (201, first, "true")
    assert len(shop.order(order_id).returns) == 1
    status, problem, _ = send_back(shop, order_id, {"mug": 2})
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")


@pytest.mark.parametrize(
    ("quantities", "status", "slug"),
    [
        ({"mug": 3}, 409, "return-too-large"),
        ({"sofa": 1}, 422, "not-in-order"),
        ({"mug": 0}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
    ],
)
def test_what_cannot_come_back_is_refused(shop: Shop, quantities: dict[str, int], status: int, slug: str) -> None:
    order_id = delivered(shop)
    version = shop.order(order_id).version
    found, problem, _ = send_back(shop, order_id, quantities)
    assert (found, problem["type"]) == (status, f"urn:mercato:problem:{slug}")
    assert shop.order(order_id).version == version


def test_an_order_that_is_not_delivered_is_409_with_the_current_state(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    status, problem, _ = send_back(shop, order_id, {"mug": 1})
    assert (status, problem["type"], problem["order_status"]) == (
        409,
        "urn:mercato:problem:order-not-returnable",
        "pending",
    )
    assert send_back(shop, order_id, {"mug": 1}, key=None)[0] == 400
    assert send_back(shop, order_id, {"mug": 1}, user="mallory")[0] == 404


def test_two_returns_at_once_cannot_take_the_same_piece(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other return is written between our read and our write, so our write is refused and reads again."""
    order_id, append = delivered(shop), OrderStore.append
    refusals = []

    def interleaved(self: OrderStore, *arguments: Any) -> Any:
        monkeypatch.setattr(OrderStore, "append", append)
        assert send_back(shop, order_id, {"mug": 2}, key="k-2")[0] == 201
        try:
            return append(self, *arguments)
        except ConcurrencyError as error:
            refusals.append(error)
            raise

    monkeypatch.setattr(OrderStore, "append", interleaved)
    status, problem, _ = send_back(shop, order_id, {"mug": 1})
    assert len(refusals) == 1
    assert (status, problem["returnable"]) == (409, [{"product_id": "mug", "quantity": 0}])
    assert shop.order(order_id).returned("mug") == 2


def test_the_history_tells_of_the_return(shop: Shop) -> None:
    order_id = delivered(shop)
    send_back(shop, order_id, {"mug": 1})
    _, history, _ = shop.call("GET", f"/api/orders/{order_id}/history")
    last = history["facts"][-1]
    assert (last["type"], last["data"]["lines"], last["data"]["reason"]) == (
        "ReturnAccepted",
        [{"product_id": "mug", "quantity": 1}],
        "damaged",
    )
    assert "request" not in last["data"]
