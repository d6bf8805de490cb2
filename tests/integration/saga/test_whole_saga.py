"""The saga with all real handlers, tables and the sandbox provider: order, stock and money agree in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inventory.store import InventoryStore
from mercato.ids import derived_id
from orders.order import Order, Status
from orders.store import OrderStore
from orders.workflow import saga_input
from payments.store import PaymentStore
from tests.kit.state_machine import FUNCTIONS, ORDER, World, failing

PAYMENT = derived_id("payment", ORDER)
FORWARD = ["ReserveInventory", "AuthorizePayment", "KeepReservation", "ConfirmOrder", "CapturePayment"]


@pytest.fixture
def outcome(
    orders: OrderStore, mugs: InventoryStore, payments: PaymentStore
) -> Callable[[], tuple[Status, str | None, int, str]]:
    """The order's status and reason, the available mugs of five, and the payment's status."""

    def look() -> tuple[Status, str | None, int, str]:
        order, stock, payment = orders.load(ORDER), mugs.stock("mug"), payments.get(PAYMENT)
        assert order is not None
        assert stock is not None
        assert stock.on_hand == 5
        return order.status, order.reason, stock.available, payment.status if payment else "none"

    return look


def run(world: World, order: Order, token: str) -> dict[str, Any]:
    return world.run(saga_input(order) | {"payment_token": token})


@pytest.mark.parametrize(
    ("token", "repeated"),
    [
        ("tok_ok", None),
        ("tok_timeout_once", "AuthorizePayment"),
        ("tok_error_once", "AuthorizePayment"),
        ("tok_capture_error_once", "CapturePayment"),
    ],
)
def test_a_payment_that_works_in_the_end_is_taken_once(
    world: World, order: Order, outcome: Callable[[], Any], token: str, repeated: str | None
) -> None:
    assert run(world, order, token)["status"] == "SUCCEEDED"
    assert outcome() == (Status.CONFIRMED, None, 2, "captured")
    assert [task for task in world.calls if world.calls.count(task) > 1] == ([repeated] * 2 if repeated else [])


@pytest.mark.parametrize(
    ("token", "error", "reason", "undone"),
    [
        ("tok_declined", "PaymentDeclined", "payment-declined", ["ReleaseInventory", "CancelOrder"]),
        ("tok_insufficient_funds", "PaymentDeclined", "payment-declined", ["ReleaseInventory", "CancelOrder"]),
        ("tok_expired_card", "PaymentDeclined", "payment-declined", ["ReleaseInventory", "CancelOrder"]),
        ("tok_never_heard_of", "PaymentDeclined", "payment-declined", ["ReleaseInventory", "CancelOrder"]),
        (
            "tok_unavailable",
            "TransientError",
            "payment-unavailable",
            ["VoidPayment", "ReleaseInventory", "CancelOrder"],
        ),
        (
            "tok_capture_declined",
            "CaptureRefused",
            "capture-refused",
            ["StopShipment", "RefundPayment", "ReleaseInventory", "CancelOrder"],
        ),
    ],
)
def test_a_payment_that_fails_leaves_no_trace_on_the_stock_and_no_money_held(
    world: World, order: Order, outcome: Callable[[], Any], token: str, error: str, reason: str, undone: list[str]
) -> None:
    assert run(world, order, token)["error"] == error
    status, found, available, payment = outcome()
    assert (status, found, available) == (Status.CANCELLED, reason, 5)
    assert payment not in ("authorized", "captured")
    assert world.calls[-len(undone) :] == undone


@pytest.mark.parametrize("step", FORWARD)
def test_a_step_whose_answer_never_comes_though_it_took_effect_is_undone_for_real(
    world: World, order: Order, outcome: Callable[[], Any], step: str
) -> None:
    """The function ends after its effect at each of its four attempts."""
    for name in FUNCTIONS:
        world.handlers[name] = dying_after(step, world.handlers[name])
    assert run(world, order, "tok_ok")["error"] == "Runtime.ExitError"
    status, _, available, payment = outcome()
    assert (status, available) == (Status.CANCELLED, 5)
    assert payment not in ("authorized", "captured")


def test_every_task_may_run_twice(world: World, order: Order, outcome: Callable[[], Any]) -> None:
    for name in FUNCTIONS:
        world.handlers[name] = twice(world.handlers[name])
    assert run(world, order, "tok_ok")["status"] == "SUCCEEDED"
    assert outcome() == (Status.CONFIRMED, None, 2, "captured")


def test_every_undo_may_run_twice(world: World, order: Order, outcome: Callable[[], Any]) -> None:
    for name in FUNCTIONS:
        world.handlers[name] = twice(world.handlers[name])
    assert run(world, order, "tok_capture_declined")["error"] == "CaptureRefused"
    assert outcome()[:3] == (Status.CANCELLED, "capture-refused", 5)


def dying_after(step: str, handler: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def call(payload: dict[str, Any]) -> Any:
        answer = handler(payload)
        if payload["task"] == step:
            raise failing("Runtime.ExitError")
        return answer

    return call


def twice(handler: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Runs the handler twice, as Lambda may do. The second response counts."""

    def call(payload: dict[str, Any]) -> Any:
        try:
            handler(payload)
        except Exception:  # noqa: BLE001 - the second run says it again
            return handler(payload)
        return handler(payload)

    return call
