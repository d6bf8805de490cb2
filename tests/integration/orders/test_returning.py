"""The returns of an order: requested, approved or refused, cancelled or received, and the refund that follows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from mercato.ids import derived_id
from mercato.store import dynamo
from mercato.store.event_store import ConcurrencyError
from orders import api
from orders.order import Status
from orders.store import OrderStore, Rebuilt
from tests.conftest import NOON
from tests.integration.orders.conftest import Shop

BODY = {"lines": [{"product_id": "mug", "quantity": 1}], "reason": "damaged"}
SHIPMENT = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}


def delivered(shop: Shop, key: str = "key-1") -> str:
    order_id = str(shop.place(key=key)["order_id"])
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
    status, requested, headers = send_back(shop, order_id, {"mug": 1})
    return_id = derived_id("cust-1", "return", order_id, "k-1")
    assert (status, headers["Location"]) == (201, f"/live/api/orders/{order_id}")
    assert requested | {"at": "", "since": ""} == {
        "return_id": return_id,
        "refund_id": "",
        "lines": [{"product_id": "mug", "quantity": 1}],
        "reason": "damaged",
        "amount": {"amount": 1250, "currency": "GBP"},
        "refunded": None,
        "at": "",
        "charges": [],
        "status": "requested",
        "since": "",
        "received": [],
        "refusal": None,
    }
    assert shop.announced(order_id)[-1]["type"] == "order.delivered"
    assert shop.change_return(order_id, requested, "approve")[1]["status"] == "approved"
    assert shop.announced(order_id)[-1]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "return_id": return_id,
        "lines": [{"product_id": "mug", "quantity": 1}],
        "amount": {"amount": 1250, "currency": "GBP"},
        "number": shop.order(order_id).number,
        "language": None,
    }
    lines = [{"product_id": "mug", "write_off": 1}]
    status, received, _ = shop.change_return(order_id, requested, "receive", {"lines": lines})
    assert (status, received["status"], received["received"]) == (
        200,
        "received",
        [{"product_id": "mug", "quantity": 1, "restock": 0, "write_off": 1}],
    )
    refund_id = derived_id(order_id, return_id)
    assert shop.announced(order_id)[-1]["type"] == "order.return_received"
    assert shop.announced(order_id)[-1]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "return_id": return_id,
        "refund_id": refund_id,
        "lines": [{"product_id": "mug", "quantity": 1, "restock": 0, "write_off": 1}],
        "amount": {"amount": 1250, "currency": "GBP"},
        "reason": "damaged",
        "charges": [
            {
                "kind": "goods",
                "product_id": "mug",
                "description": "A mug",
                "quantity": 1,
                "amount": {"amount": 1250, "currency": "GBP"},
                "tax": {"amount": 0, "currency": "GBP"},
                "rate": "0.0000",
                "tax_class": "standard",
                "jurisdiction": "GB",
            }
        ],
        "number": shop.order(order_id).number,
        "language": None,
    }
    refund(shop, order_id, refund_id, 1250)
    refund(shop, order_id, refund_id, 1250)
    _, order, _ = shop.call("GET", f"/api/orders/{order_id}")
    assert (order["status"], order["refunded"]) == ("delivered", {"amount": 1250, "currency": "GBP"})
    assert [(line["product_id"], line["returned"], line["returnable"]) for line in order["lines"]] == [
        ("mug", 1, 1),
        ("pot", 0, 1),
    ]
    (made,) = order["returns"]
    assert (made["status"], made["refunded"]) == ("refunded", {"amount": 1250, "currency": "GBP"})


def test_an_order_of_which_all_came_back_ends_refunded(shop: Shop) -> None:
    order_id = delivered(shop)
    for key, quantities, amount in (("k-1", {"mug": 1}, 1250), ("k-2", {"mug": 1, "pot": 1}, 3250)):
        received = shop.receive_return(order_id, send_back(shop, order_id, quantities, key=key)[1])
        assert received["amount"]["amount"] == amount
        refund(shop, order_id, derived_id(order_id, received["return_id"]), amount)
    order = shop.order(order_id)
    assert (order.status, order.payment_status, order.refunded.amount) == (Status.REFUNDED, "refunded", 4500)
    assert shop.call("GET", "/api/orders", query={"status": "refunded"})[1]["items"][0]["order_id"] == order_id
    status, problem, _ = send_back(shop, order_id, {"mug": 1}, key="k-3")
    assert (status, problem["order_status"]) == (409, "refunded")
    assert shop.hear("shipment.delivered", SHIPMENT | {"order_id": order_id}) == []
    assert shop.order(order_id).version == order.version


def test_a_refused_return_is_told_with_its_reason_and_moves_nothing(shop: Shop) -> None:
    order_id = delivered(shop)
    _, requested, _ = send_back(shop, order_id, {"mug": 1})
    status, refused, _ = shop.change_return(order_id, requested, "refuse", {"refusal": "It was worn."})
    assert (status, refused["status"], refused["refusal"]) == (200, "refused", "It was worn.")
    assert shop.announced(order_id)[-1]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "return_id": requested["return_id"],
        "refusal": "It was worn.",
        "number": shop.order(order_id).number,
        "language": None,
    }
    for deed in ("approve", "receive", "cancel"):
        lines = {"lines": [{"product_id": "mug", "restock": 1}]}
        status, problem, _ = shop.change_return(order_id, requested, deed, lines if deed == "receive" else None)
        assert (status, problem["return_status"]) == (409, "refused"), deed
    assert shop.order(order_id).returned("mug") == 0
    assert send_back(shop, order_id, {"mug": 2}, key="k-2")[1]["type"] == "urn:mercato:problem:return-too-large"
    again = shop.call("POST", f"/api/orders/{order_id}/returns", BODY, key="k-3", user="boss", role="admin")
    assert (again[0], again[1]["status"]) == (201, "approved")


def test_a_customer_cancels_until_the_goods_are_received_and_staff_does_it_for_goods_that_do_not_come(
    shop: Shop,
) -> None:
    order_id = delivered(shop)
    _, first, _ = send_back(shop, order_id, {"mug": 2})
    assert shop.change_return(order_id, first, "cancel", user="mallory")[0] == 404
    assert shop.change_return(order_id, first, "cancel")[1]["status"] == "cancelled"
    assert shop.announced(order_id)[-1]["type"] == "order.delivered"
    _, second, _ = send_back(shop, order_id, {"mug": 2}, key="k-2")
    shop.change_return(order_id, second, "approve")
    assert shop.change_return(order_id, second, "cancel", user="boss", role="admin")[1]["status"] == "cancelled"
    _, third, _ = send_back(shop, order_id, {"mug": 2}, key="k-3")
    shop.receive_return(order_id, third)
    status, problem, _ = shop.change_return(order_id, third, "cancel")
    assert (status, problem["return_status"]) == (409, "received")
    assert [made.status for made in shop.order(order_id).returns] == ["cancelled", "cancelled", "received"]


@pytest.mark.parametrize("deed", ["approve", "refuse", "receive"])
def test_what_staff_does_no_customer_may(shop: Shop, deed: str) -> None:
    order_id = delivered(shop)
    _, requested, _ = send_back(shop, order_id, {"mug": 1})
    body = {"refuse": {"refusal": "It was worn."}, "receive": {"lines": [{"product_id": "mug", "restock": 1}]}}
    assert shop.change_return(order_id, requested, deed, body.get(deed), user="cust-1", role="customer")[0] == 403
    assert shop.order(order_id).returns[0].status == "requested"


def test_each_step_of_a_return_that_is_repeated_gets_its_first_response(shop: Shop) -> None:
    order_id = delivered(shop)
    _, requested, _ = send_back(shop, order_id, {"mug": 2})
    receipt = {"lines": [{"product_id": "mug", "restock": 1}]}
    first = [
        shop.change_return(order_id, requested, deed, body)[1]
        for deed, body in (("approve", None), ("receive", receipt))
    ]
    version = shop.order(order_id).version
    for answer, (deed, body) in zip(first, (("approve", None), ("receive", receipt)), strict=True):
        status, again, headers = shop.change_return(order_id, requested, deed, body)
        assert (status, again, headers["Idempotent-Replayed"]) == (200, answer, "true")
    other = {"lines": [{"product_id": "mug", "restock": 2}]}
    assert shop.change_return(order_id, requested, "receive", other)[0] == 422
    status, problem, _ = shop.change_return(order_id, requested, "receive", other, key="another-key")
    assert (status, problem["return_status"]) == (409, "received")
    assert shop.order(order_id).version == version


def test_after_the_window_only_staff_opens_a_return(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETURN_WINDOW_DAYS", "30")
    order_id = delivered(shop)
    until = shop.call("GET", f"/api/orders/{order_id}")[1]["return_until"]
    at = shop.order(order_id).delivered_at
    assert at is not None
    assert datetime.fromisoformat(until) == at + timedelta(days=30)
    monkeypatch.setattr(api, "utc_now", lambda: at + timedelta(days=30))
    status, problem, _ = send_back(shop, order_id, {"mug": 1})
    assert (status, problem["type"]) == (409, "urn:mercato:problem:return-window-closed")
    assert datetime.fromisoformat(problem["until"]) == at + timedelta(days=30)
    opened = shop.call("POST", f"/api/orders/{order_id}/returns", BODY, key="k-2", user="boss", role="admin")
    assert (opened[0], opened[1]["status"]) == (201, "approved")


def test_with_automatic_approval_a_request_is_approved_and_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETURN_APPROVAL", "automatic")
    order_id = delivered(shop)
    _, requested, _ = send_back(shop, order_id, {"mug": 1})
    assert requested["status"] == "approved"
    assert shop.announced(order_id)[-1]["type"] == "order.return_approved"


def test_staff_lists_what_waits_for_an_approval_and_what_for_the_goods(shop: Shop) -> None:
    orders = [delivered(shop, key=f"key-{number}") for number in range(5)]
    made = [send_back(shop, order_id, {"mug": 1})[1] for order_id in orders]
    for order_id, one in zip(orders[:2], made[:2], strict=True):
        shop.change_return(order_id, one, "approve")
    shop.receive_return(orders[1], {**made[1], "status": "approved"})
    shop.change_return(orders[2], made[2], "cancel")

    found, cursor = [], None
    for _ in range(3):
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        _, page, _ = shop.call("GET", "/api/ops/orders/returns", user="boss", role="admin", query=query)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(one["order_id"], one["status"], one["units"]) for one in found] == [
        (orders[3], "requested", 1),
        (orders[4], "requested", 1),
    ]
    _, page, _ = shop.call(
        "GET", "/api/ops/orders/returns", user="boss", role="admin", query={"state": "approved", "limit": "1"}
    )
    assert [one["return_id"] for one in page["items"]] == [made[0]["return_id"]]
    assert page["next_cursor"] is None
    assert shop.call("GET", "/api/ops/orders/returns")[0] == 403
    for order_id in orders:
        assert shop.store.rebuild(order_id, NOON) == Rebuilt(
            events=shop.order(order_id).version, snapshots_dropped=0, snapshots_made=0, was_right=True, equal=True
        )


def test_a_rebuild_makes_the_rows_of_open_returns_and_removes_others(shop: Shop) -> None:
    order_id = delivered(shop)
    _, made, _ = send_back(shop, order_id, {"mug": 1})
    shop.table.write(dynamo.delete(f"order#{order_id}", f"RETURN#{made['return_id']}"))
    shop.table.write(dynamo.put({"pk": f"order#{order_id}", "sk": "RETURN#stray"}))
    rebuilt = shop.store.rebuild(order_id, NOON)
    assert rebuilt is not None
    assert (rebuilt.was_right, rebuilt.equal) == (False, True)
    _, page, _ = shop.call("GET", "/api/ops/orders/returns", user="boss", role="admin")
    assert [one["return_id"] for one in page["items"]] == [made["return_id"]]


def test_a_return_that_is_asked_for_again_is_the_same_return(shop: Shop) -> None:
    order_id = delivered(shop)
    _, first, _ = send_back(shop, order_id, {"mug": 1})
    shop.receive_return(order_id, first)
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
    assert len(shop.order(order_id).returns) == 1


def test_of_a_receipt_and_a_cancellation_at_once_one_wins(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancellation is written between the receipt's read and its write."""
    order_id, append = delivered(shop), OrderStore.append
    _, made, _ = send_back(shop, order_id, {"mug": 1})
    shop.change_return(order_id, made, "approve")

    def interleaved(self: OrderStore, *arguments: Any) -> Any:
        monkeypatch.setattr(OrderStore, "append", append)
        assert shop.change_return(order_id, made, "cancel")[0] == 200
        return append(self, *arguments)

    monkeypatch.setattr(OrderStore, "append", interleaved)
    receipt = {"lines": [{"product_id": "mug", "restock": 1}]}
    status, problem, _ = shop.change_return(order_id, made, "receive", receipt)
    assert (status, problem["return_status"]) == (409, "cancelled")
    assert shop.order(order_id).returned("mug") == 0


def test_the_history_tells_of_the_return(shop: Shop) -> None:
    order_id = delivered(shop)
    send_back(shop, order_id, {"mug": 1})
    _, history, _ = shop.call("GET", f"/api/orders/{order_id}/history")
    last = history["facts"][-1]
    assert (last["type"], last["data"]["lines"], last["data"]["reason"]) == (
        "ReturnRequested",
        [{"product_id": "mug", "quantity": 1}],
        "damaged",
    )
    assert "request" not in last["data"]
