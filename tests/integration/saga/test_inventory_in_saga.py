"""The saga with the real inventory and orders handlers: the stock is right in the end, whatever fails."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from inventory import usecases
from inventory.domain import Adjustment, Adjustments
from inventory.store import InventoryStore
from orders.order import Order, Status
from orders.store import OrderStore
from orders.workflow import saga_input
from tests.integration.saga.conftest import Double
from tests.kit.state_machine import ORDER, World, failing


def on_hand_and_available(inventory: InventoryStore) -> tuple[int, int]:
    found = inventory.stock("mug")
    assert found is not None
    return found.on_hand, found.available


def status(orders: OrderStore) -> Status:
    found = orders.load(ORDER)
    assert found is not None
    return found.status


def test_a_good_order_keeps_its_goods_reserved(
    world: World, mugs: InventoryStore, orders: OrderStore, order: Order
) -> None:
    assert world.run(saga_input(order))["status"] == "SUCCEEDED"
    assert on_hand_and_available(mugs) == (5, 2)
    assert status(orders) is Status.CONFIRMED


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("AuthorizePayment", "PaymentDeclined"),
        ("AuthorizePayment", "KeyError"),
        ("CapturePayment", "CaptureRefused"),
        ("CapturePayment", "TransientError"),
    ],
)
def test_a_payment_that_fails_gives_the_goods_back(
    world: World,
    doubles: dict[str, Double],
    mugs: InventoryStore,
    orders: OrderStore,
    order: Order,
    step: str,
    error: str,
) -> None:
    doubles["PaymentsSaga"].script(step, *[failing(error)] * 9)
    assert world.run(saga_input(order))["error"] == error
    assert on_hand_and_available(mugs) == (5, 5)
    assert status(orders) is Status.CANCELLED


def test_too_few_goods_cancel_the_order_and_nothing_is_paid(
    world: World, mugs: InventoryStore, orders: OrderStore, order: Order, noon: datetime
) -> None:
    usecases.adjust(Adjustments("adj-2", "print-2", "boss", (Adjustment("mug", -3, "broken"),), noon), mugs)
    assert world.run(saga_input(order))["error"] == "OutOfStock"
    assert world.calls == ["ReserveInventory", "ReleaseInventory", "CancelOrder"]
    assert on_hand_and_available(mugs) == (2, 2)
    found = orders.load(ORDER)
    assert found is not None
    assert (found.status, found.reason) == (Status.CANCELLED, "out-of-stock")


def test_goods_that_do_not_exist_cancel_the_order(
    world: World, inventory: InventoryStore, orders: OrderStore, order: Order
) -> None:
    assert world.run(saga_input(order))["error"] == "UnknownProduct"
    assert status(orders) is Status.CANCELLED


def test_an_answer_that_is_lost_after_its_effect_reserves_once(
    world: World, mugs: InventoryStore, orders: OrderStore, order: Order
) -> None:
    handler, lost = world.handlers["InventorySaga"], set()

    def lose_each_first_answer(payload: dict[str, Any]) -> Any:
        answer = handler(payload)
        if payload["task"] not in lost:
            lost.add(payload["task"])
            raise failing("Sandbox.Timedout")
        return answer

    world.handlers["InventorySaga"] = lose_each_first_answer
    assert world.run(saga_input(order))["status"] == "SUCCEEDED"
    assert world.calls.count("ReserveInventory") == 2
    assert on_hand_and_available(mugs) == (5, 2)
