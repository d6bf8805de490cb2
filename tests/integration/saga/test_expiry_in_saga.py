"""A reservation that expires during a saga: the saga ends with an undo, and nothing unreserved is sold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory import usecases
from inventory.store import InventoryStore
from mercato.clock import utc_now
from mercato.ids import derived_id
from orders.order import Order, Status
from orders.store import OrderStore
from orders.workflow import saga_input
from payments.store import PaymentStore
from tests.kit.state_machine import ORDER, World

LATE = timedelta(minutes=31)


def expiring_after(task: str, world: World, inventory: InventoryStore) -> None:
    """Half an hour passes, and the sweeper runs, right after this task."""
    for name, handler in list(world.handlers.items()):

        def call(payload: dict[str, Any], handler: Any = handler) -> Any:
            answer = handler(payload)
            if payload["task"] == task:
                usecases.expire(ORDER, inventory, utc_now() + LATE)
            return answer

        world.handlers[name] = call


@pytest.mark.parametrize("task", ["ReserveInventory", "AuthorizePayment"])
def test_an_order_whose_reservation_expired_is_undone_and_never_confirmed(
    world: World, order: Order, mugs: InventoryStore, orders: OrderStore, payments: PaymentStore, task: str
) -> None:
    expiring_after(task, world, mugs)
    assert world.run(saga_input(order))["error"] == "ReservationExpired"
    found, stock, payment = orders.load(ORDER), mugs.stock("mug"), payments.get(derived_id("payment", ORDER))
    assert found
    assert stock
    assert payment
    assert (found.status, found.reason) == (Status.CANCELLED, "reservation-expired")
    assert (stock.on_hand, stock.reserved, payment.status, payment.captured) == (5, 0, "voided", 0)
    assert world.calls[3:] == ["VoidPayment", "ReleaseInventory", "CancelOrder"]


@pytest.mark.parametrize("task", ["KeepReservation", "ConfirmOrder", "CapturePayment"])
def test_an_order_whose_reservation_is_kept_keeps_it(
    world: World, order: Order, mugs: InventoryStore, orders: OrderStore, payments: PaymentStore, task: str
) -> None:
    expiring_after(task, world, mugs)
    assert world.run(saga_input(order))["status"] == "SUCCEEDED"
    stock = mugs.stock("mug")
    assert stock
    assert (stock.on_hand, stock.reserved) == (5, 3)
