"""A saga that is started again for an order whose execution is lost, as after a restore into another account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inventory.store import InventoryStore
from mercato.ids import derived_id
from orders import usecases
from orders.order import Order, PaymentStatus, Status
from orders.store import OrderStore
from orders.workflow import saga_input, undo_input
from payments.store import PaymentStore
from tests.kit import aws_events
from tests.kit.state_machine import ORDER, World

PAYMENT = derived_id("payment", ORDER)


def steps(order: Order) -> list[tuple[str, dict[str, Any]]]:
    whole = saga_input(order) | {"amount": order.total.model_dump(), "payment_id": PAYMENT}
    return [
        (function, aws_events.task(task, whole))
        for function, task in (
            ("InventorySaga", "ReserveInventory"),
            ("PaymentsSaga", "AuthorizePayment"),
            ("InventorySaga", "KeepReservation"),
            ("OrdersSaga", "ConfirmOrder"),
            ("PaymentsSaga", "CapturePayment"),
        )
    ]


@pytest.mark.parametrize("done", range(6))
def test_it_ends_the_order_once_wherever_the_lost_one_was(
    world: World, order: Order, orders: OrderStore, mugs: InventoryStore, payments: PaymentStore, done: int
) -> None:
    for function, payload in steps(order)[:done]:
        world.handlers[function](payload)
    assert world.run(saga_input(order))["status"] == "SUCCEEDED"
    found, stock, payment = orders.load(ORDER), mugs.stock("mug"), payments.get(PAYMENT)
    assert found is not None
    assert stock is not None
    assert payment is not None
    assert (found.status, found.version) == (Status.CONFIRMED, 2)
    assert (stock.on_hand, stock.available) == (5, 2)
    assert (payment.status, payment.captured) == ("captured", 4500)


@pytest.mark.parametrize("done", [2, 4, 5])
def test_a_parked_undo_begins_again_and_gives_everything_back(
    world: World, order: Order, orders: OrderStore, mugs: InventoryStore, payments: PaymentStore, done: int
) -> None:
    for function, payload in steps(order)[:done]:
        world.handlers[function](payload)
    world.handlers["OrdersSaga"](
        aws_events.task(
            "MarkNeedsAttention",
            {"order_id": ORDER, "step": "RefundPayment", "error": {"Error": "TransientError", "Cause": ""}},
        )
    )
    stuck = orders.load(ORDER)
    assert stuck is not None
    assert stuck.status is Status.NEEDS_ATTENTION
    world.run(undo_input(stuck, "SagaInterrupted"))
    found, stock, payment = orders.load(ORDER), mugs.stock("mug"), payments.get(PAYMENT)
    assert found is not None
    assert stock is not None
    assert payment is not None
    assert (found.status, found.reason) == (Status.CANCELLED, "internal-error")
    assert (stock.on_hand, stock.available) == (5, 5)
    assert payment.status == ("refunded" if done == 5 else "voided")


class Workflows:
    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, _: Order) -> None:
        self.started.append("saga")

    def start_cancellation(self, _: Order) -> None:
        self.started.append("cancellation")

    def start_undo(self, _: Order) -> None:
        self.started.append("undo")


@pytest.mark.parametrize(
    ("status", "payment", "stuck_at", "started"),
    [
        (Status.PENDING, PaymentStatus.NONE, None, ["saga"]),
        (Status.CONFIRMED, PaymentStatus.AUTHORIZED, None, ["saga"]),
        (Status.CONFIRMED, PaymentStatus.FAILED, None, ["undo"]),
        (Status.CONFIRMED, PaymentStatus.CAPTURED, None, []),
        (Status.CANCELLING, PaymentStatus.CAPTURED, None, ["cancellation"]),
        (Status.NEEDS_ATTENTION, PaymentStatus.CAPTURED, "RefundPayment", ["undo"]),
        (Status.NEEDS_ATTENTION, PaymentStatus.CAPTURED, "Delivery", []),
        (Status.SHIPPED, PaymentStatus.CAPTURED, None, []),
        (Status.CANCELLED, PaymentStatus.FAILED, None, []),
    ],
)
def test_only_an_order_with_work_left_gets_a_saga(
    order: Order, status: Status, payment: PaymentStatus, stuck_at: str | None, started: list[str]
) -> None:
    workflows = Workflows()
    changed = replace(order, status=status, payment_status=payment, stuck_at=stuck_at)
    assert usecases.resume_workflow(changed, workflows) is bool(started)
    assert workflows.started == started
