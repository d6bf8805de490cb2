"""The saga's steps on the order, each of which may run twice."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.store.event_store import ConcurrencyError
from mercato.telemetry import metrics
from orders import saga, usecases
from orders.domain import OrderNotCancellable, OrderNotConfirmable, OrderNotFound
from orders.order import Action, Status
from orders.store import OrderStore, Wait
from tests.integration.orders.conftest import Shop

CAUSE = json.dumps({"errorType": "OutOfStock", "errorMessage": "Only 1 of them is left.", "stackTrace": []})


def test_confirming_twice_is_confirming_once(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    for _ in range(2):
        answer = shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
        assert answer == {"order_id": order_id, "status": "confirmed"}
    created, confirmed = shop.announced(order_id)
    assert (confirmed["type"], confirmed["sequence"]) == ("order.confirmed", "0000000002")
    assert confirmed["data"]["lines"] == created["data"]["lines"]
    assert confirmed["data"]["shipping_address"]["city"] == "London"


def test_cancelling_twice_is_cancelling_once_and_tells_why(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    for _ in range(2):
        task_input = {
            "order_id": order_id,
            "step": "ReserveInventory",
            "error": {"Error": "OutOfStock", "Cause": CAUSE},
        }
        assert shop.task("CancelOrder", **task_input) == {"order_id": order_id, "status": "cancelled"}
    assert shop.announced(order_id)[1:][0]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "total": {"amount": 4500, "currency": "GBP"},
        "reason": "out-of-stock",
        "detail": "Only 1 of them is left.",
        "number": shop.order(order_id).number,
        "language": None,
    }
    assert len(shop.announced(order_id)) == 2


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The written metrics without their metadata."""
    lines: list[dict[str, Any]] = []
    flush = metrics.flush
    metrics.flush(lambda _: None)
    monkeypatch.setattr(metrics, "flush", lambda: flush(lambda line: lines.append(json.loads(line))))
    return lines


@pytest.mark.parametrize(("after", "late"), [(30, 0), (31, 1)])
def test_a_confirmed_order_is_counted_once_with_its_time(
    shop: Shop, counted: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, after: int, late: int
) -> None:
    order_id = shop.place()["order_id"]
    decided = shop.order(order_id).placed_at + timedelta(seconds=after)
    monkeypatch.setattr(saga, "utc_now", lambda: decided)
    for _ in range(2):
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    (line,) = counted
    assert line["OrderDecisionSeconds"] == [after]
    assert (line["OrdersDecided"], line["OrdersDecidedLate"], line["OrdersConfirmed"]) == (1, late, 1)


def test_a_cancelled_order_is_counted_by_its_reason_and_not_again_when_it_was_decided_before(
    shop: Shop, counted: list[dict[str, Any]]
) -> None:
    undone, confirmed = shop.place(key="a")["order_id"], shop.place(key="b")["order_id"]
    cancel = {"step": "ReserveInventory", "error": {"Error": "OutOfStock", "Cause": CAUSE}}
    shop.task("ConfirmOrder", order_id=confirmed, payment_id="pay-1")
    counted.clear()
    for order_id in (undone, undone, confirmed):
        shop.task("CancelOrder", order_id=order_id, **cancel)
    by_reason = [line for line in counted if "reason" in line]
    assert [(line["OrdersCancelled"], line["reason"]) for line in by_reason] == [(1, "out-of-stock")]
    assert [line["OrdersDecided"] for line in counted if "OrdersDecided" in line] == [1]


@pytest.mark.parametrize("cause", ["", "Task timed out after 20.00 seconds", "[1]", '{"errorMessage": "KeyError: 1"}'])
def test_an_error_of_ours_is_not_shown_to_the_customer(shop: Shop, cause: str) -> None:
    order_id = shop.place()["order_id"]
    shop.task("CancelOrder", order_id=order_id, error={"Error": "KeyError", "Cause": cause})
    order = shop.order(order_id)
    assert (order.reason, order.detail) == (
        "internal-error",
        "Something went wrong on our side. Nothing was charged, or it is on its way back.",
    )


def test_a_confirmed_order_that_is_cancelled_holds_no_money_any_more(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    shop.task("CancelOrder", order_id=order_id, step="CapturePayment", error={"Error": "TransientError"})
    order = shop.order(order_id)
    assert (order.status, order.payment_status, order.reason) == ("cancelled", "failed", "payment-unavailable")


def test_a_late_confirmation_of_a_cancelled_order_fails(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("CancelOrder", order_id=order_id, error={"Error": "KeyError"})
    with pytest.raises(OrderNotConfirmable):
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    assert shop.order(order_id).status is Status.CANCELLED


def test_a_parcel_that_left_is_not_cancelled(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    parcel = {"order_id": order_id, "shipment_id": "s", "customer_id": "c", "carrier": "x", "tracking_number": "1"}
    shop.hear("shipment.dispatched", parcel)
    with pytest.raises(OrderNotCancellable):
        shop.task("CancelOrder", order_id=order_id, error={"Error": "KeyError"})


def test_a_stuck_order_is_marked_once_announced_and_can_still_be_cancelled(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    for _ in range(2):
        error = {"Error": "TransientError", "Cause": "x"}
        answer = shop.task("MarkNeedsAttention", order_id=order_id, step="ReleaseInventory", error=error)
        assert answer["status"] == "needs_attention"
    _, marked = shop.announced(order_id)
    assert (marked["type"], marked["data"]["step"], marked["data"]["reason"]) == (
        "order.needs_attention",
        "ReleaseInventory",
        "TransientError",
    )
    assert shop.task("CancelOrder", order_id=order_id, error={"Error": "OutOfStock"})["status"] == "cancelled"


def test_a_step_on_an_order_that_does_not_exist_is_refused(shop: Shop) -> None:
    with pytest.raises(OrderNotFound):
        shop.task("ConfirmOrder", order_id="nothing", payment_id="pay-1")


def test_a_step_that_meets_other_writers_every_time_is_transient(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = shop.place()["order_id"]
    tries = []

    def refuse(*_: object) -> None:
        tries.append(1)
        raise ConcurrencyError("order", 1, 2)

    monkeypatch.setattr(OrderStore, "append", refuse)
    with pytest.raises(TransientError):
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    assert len(tries) == 5


def test_a_late_retry_of_an_earlier_wait_does_not_replace_the_later_one(shop: Shop) -> None:
    """The saga waits on the later token, so an answer to the earlier one would not reach it."""
    order_id, now = shop.place_waiting()["order_id"], utc_now()
    for place in ("2", "1"):
        shop.store.keep_wait(order_id, Wait(f"token-{place}", place, int(place), Action(url=f"/bank/{place}")), now)
    found = shop.store.find_wait(order_id, now)
    assert found
    assert (found.task_token, found.attempt) == ("token-2", 2)
    shop.store.keep_wait(order_id, Wait("token-3", "3", 3, Action(url="/bank/3")), now)
    later = shop.store.find_wait(order_id, now)
    assert later
    assert later.task_token == "token-3"


def test_the_question_of_an_earlier_attempt_is_not_shown_for_a_later_one(shop: Shop) -> None:
    order_id, now = shop.place_waiting(state="action_required")["order_id"], utc_now()
    shop.store.keep_wait(order_id, Wait("token-1", "1", 1, Action(url="/bank/1")), now)
    order = shop.order(order_id)
    assert order.awaited
    assert usecases.find_action(order, orders=shop.store, now=now) == Action(url="/bank/1")
    later = replace(order, awaited=order.awaited.model_copy(update={"attempt": 2}))
    assert usecases.find_action(later, orders=shop.store, now=now) is None


@pytest.mark.parametrize(("user", "role"), [("boss", "admin"), ("eve", "customer")])
def test_only_the_buyer_may_pay_the_order_again(shop: Shop, user: str, role: str) -> None:
    order_id = shop.place_waiting()["order_id"]
    path, card = f"/api/orders/{order_id}/payments", {"payment_token": "tok_ok"}
    assert shop.call("POST", path, card, user=user, role=role, key="key-of-another")[0] == 404
    assert shop.order(order_id).attempt == 1
    assert shop.call("POST", path, card, key="key-of-the-buyer")[0] == 202
    assert shop.order(order_id).attempt == 2
