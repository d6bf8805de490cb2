"""The carrier gives a parcel up: the operator is alarmed, and settles order and money over the API."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.telemetry import metrics
from orders.order import Status
from tests.integration.orders.conftest import Shop

SENT = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}
LOST = {"shipment_id": "shp-1", "customer_id": "cust-1", "reason": "refused by Mrs Smith", "dispatched": True}
NOT_COLLECTED = LOST | {"dispatched": False}
ALL = [{"product_id": "mug", "quantity": 2}, {"product_id": "pot", "quantity": 1}]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The counted metrics of parcels."""
    counted: list[str] = []

    def count(metric: str, *_: int, **__: str) -> None:
        if metric.startswith("Parcels"):
            counted.append(metric)

    monkeypatch.setattr(metrics, "count", count)
    return counted


def confirmed(shop: Shop) -> str:
    order_id = str(shop.place()["order_id"])
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    return order_id


def undelivered(shop: Shop) -> str:
    order_id = confirmed(shop)
    assert shop.hear("shipment.dispatched", SENT | {"order_id": order_id}) == []
    assert shop.hear("shipment.failed", LOST | {"order_id": order_id}) == []
    return order_id


def end(shop: Shop, order_id: str, reason: str = "lost", *, user: str = "cust-1", role: str = "customer") -> Any:
    body = {"lines": ALL, "reason": reason}
    return shop.call("POST", f"/api/orders/{order_id}/returns", body, key="k-1", user=user, role=role)


def test_a_parcel_that_is_not_collected_rings_and_its_customer_cancels(
    shop: Shop, rung: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    order_id = confirmed(shop)
    assert shop.hear("shipment.failed", NOT_COLLECTED | {"order_id": order_id}) == []
    assert shop.order(order_id).status is Status.NEEDS_ATTENTION
    assert rung == ["ParcelsGivenUp"]
    (line,) = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
    assert (line["order_id"], line["shipment_id"]) == (order_id, "shp-1")
    assert shop.announced(order_id)[-1]["type"] == "order.needs_attention"
    assert shop.announced(order_id)[-1]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "step": "Delivery",
        "reason": "not-collected",
    }
    status, answer, _ = shop.call("POST", f"/api/orders/{order_id}/cancel", {}, key="k-1")
    assert (status, answer["status"]) == (202, "cancelling")
    assert shop.hear("shipment.failed", NOT_COLLECTED | {"order_id": order_id}) == []
    assert shop.order(order_id).status is Status.CANCELLING
    assert rung == ["ParcelsGivenUp"]


def test_what_was_written_but_not_told_is_told_by_the_next_delivery(
    shop: Shop, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str, **_: object) -> None:
        if name == "ParcelsGivenUp":
            raise RuntimeError("the process ends here")

    order_id = confirmed(shop)
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "count", die)
        assert shop.hear("shipment.failed", NOT_COLLECTED | {"order_id": order_id}) != []
    assert (shop.order(order_id).version, rung) == (3, [])
    assert shop.hear("shipment.failed", NOT_COLLECTED | {"order_id": order_id}) == []
    assert (shop.order(order_id).version, rung) == (3, ["ParcelsGivenUp"])


def test_a_loss_before_its_dispatch_waits_in_the_queue(shop: Shop, rung: list[str]) -> None:
    order_id = confirmed(shop)
    assert shop.hear("shipment.failed", LOST | {"order_id": order_id}) == [{"itemIdentifier": "m-1"}]
    assert (shop.order(order_id).status, rung) == (Status.CONFIRMED, [])
    shop.hear("shipment.dispatched", SENT | {"order_id": order_id})
    assert shop.hear("shipment.failed", LOST | {"order_id": order_id}) == []
    assert (shop.order(order_id).status, rung) == (Status.NEEDS_ATTENTION, ["ParcelsGivenUp"])


def test_a_delivery_after_all_and_failures_that_come_late_leave_it_delivered(shop: Shop) -> None:
    order_id = undelivered(shop)
    shop.hear("shipment.dispatched", SENT | {"order_id": order_id})
    assert shop.order(order_id).status is Status.NEEDS_ATTENTION
    assert shop.hear("shipment.delivered", LOST | {"order_id": order_id}) == []
    for late in (LOST, NOT_COLLECTED):
        assert shop.hear("shipment.failed", late | {"order_id": order_id}) == []
    assert shop.order(order_id).status is Status.DELIVERED
    kinds = [event["type"] for event in shop.announced(order_id)]
    assert kinds[2:] == ["order.shipped", "order.needs_attention", "order.delivered"]


@pytest.mark.parametrize("reason", ["lost", "undelivered"])
def test_an_admin_ends_a_parcel_that_was_given_up(shop: Shop, reason: str) -> None:
    order_id = undelivered(shop)
    status, made, _ = end(shop, order_id, reason, user="boss", role="admin")
    assert (status, made["amount"], made["reason"]) == (201, {"amount": 4500, "currency": "GBP"}, reason)
    accepted = shop.announced(order_id)[-1]
    assert (accepted["type"], accepted["data"]["reason"]) == ("order.return_received", reason)
    money = {"payment_id": "pay-1", "amount": {"amount": 4500, "currency": "GBP"}, "reason": "x"}
    refund = money | {"order_id": order_id, "refund_id": accepted["data"]["refund_id"]}
    assert shop.hear("payment.refunded", refund) == []
    assert shop.order(order_id).status is Status.REFUNDED
    assert shop.call("GET", "/api/orders", query={"status": "refunded"})[1]["items"][0]["order_id"] == order_id


@pytest.mark.parametrize("reason", ["lost", "undelivered"])
def test_a_customer_cannot_say_that_a_parcel_was_lost(shop: Shop, reason: str) -> None:
    order_id = undelivered(shop)
    assert end(shop, order_id, reason)[0] == 403
    status, problem, _ = end(shop, order_id, "damaged")
    assert (status, problem["order_status"]) == (409, "needs_attention")
    assert shop.order(order_id).returns == ()


def test_the_carriers_words_are_in_no_fact(shop: Shop) -> None:
    order_id = undelivered(shop)
    assert "Smith" not in str(shop.store.history(order_id))
    assert "Smith" not in str(shop.announced(order_id))
