"""The saga with doubles, and with the real handlers one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from inventory import saga as inventory_saga
from inventory import usecases as inventory_usecases
from inventory import wiring as inventory_wiring
from inventory.domain import Adjustment, Adjustments
from inventory.store import InventoryStore
from mercato.money import Money
from mercato.store.dynamo import Table
from orders import domain
from orders import saga as orders_saga
from orders import wiring as orders_wiring
from orders.order import Address, Line, Order
from orders.store import OrderStore
from payments import saga as payments_saga
from payments import wiring as payments_wiring
from payments.providers.sandbox import Sandbox
from payments.store import PaymentStore
from tests.kit.state_machine import FUNCTIONS, ORDER, World, deploy, run_state_machines


@dataclass
class Double:
    """Answers each task with the next of its scripted outcomes, which may be exceptions, and then with `{}`."""

    scripts: dict[str, list[Any]] = field(default_factory=dict)

    def script(self, task: str, *outcomes: Any) -> None:
        self.scripts[task] = list(outcomes)

    def __call__(self, payload: dict[str, Any]) -> Any:
        task = payload["task"]
        left = self.scripts.get(task)
        if not left:
            return {"payment_id": "pay-1"} if task == "AuthorizePayment" else {}
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def saga_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared `cloud`, in which state machines run and a Lambda call needs no container."""
    run_state_machines(monkeypatch)


@pytest.fixture
def doubles() -> dict[str, Double]:
    return {name: Double() for name in FUNCTIONS}


@pytest.fixture
def world(saga_cloud: None, doubles: dict[str, Double], monkeypatch: pytest.MonkeyPatch) -> World:
    """The deployed saga. Every function is a double until a test puts a real handler in its place."""
    return deploy(monkeypatch, dict(doubles))


@pytest.fixture
def orders(world: World, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> OrderStore:
    """Puts the real orders handler behind the saga. Returns its store."""
    store = OrderStore(make_table("OrdersTable"))
    vars(orders_wiring.ports()).update(orders=store)
    world.handlers["OrdersSaga"] = lambda payload: orders_saga.handler(payload, None)
    return store


@pytest.fixture
def order(orders: OrderStore, noon: datetime) -> Order:
    price = Money(amount=1500, currency="GBP")
    lines = (Line(product_id="mug", sku="MUG", name="Mug", quantity=3, unit_price=price),)
    address = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
    return orders.place(ORDER, domain.place(ORDER, "cust-1", lines, "tok_ok", "print"), address, noon)


@pytest.fixture
def inventory(world: World, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> InventoryStore:
    """Puts the real inventory handler behind the saga. Returns its store."""
    store = InventoryStore(make_table("InventoryTable"), low_at=1)
    vars(inventory_wiring.ports()).update(store=store)
    world.handlers["InventorySaga"] = lambda payload: inventory_saga.handler(payload, None)
    return store


@pytest.fixture
def mugs(inventory: InventoryStore, noon: datetime) -> InventoryStore:
    """Five mugs in stock. The order wants three."""
    inventory_usecases.open_stock("mug", inventory)
    delivery = Adjustments("adj-1", "print-1", "boss", (Adjustment("mug", 5, "delivery"),), noon)
    inventory_usecases.adjust(delivery, inventory)
    return inventory


@pytest.fixture
def payments(world: World, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> PaymentStore:
    """Puts the real payments handler with its sandbox provider behind the saga. Returns its store."""
    table = make_table("PaymentsTable")
    store, sandbox = PaymentStore(table), Sandbox(table)
    vars(payments_wiring.ports()).update(payments=store, provider=sandbox)
    world.handlers["PaymentsSaga"] = lambda payload: payments_saga.handler(payload, None)
    return store


@pytest.fixture
def saga_input() -> dict[str, Any]:
    return {
        "order_id": ORDER,
        "customer_id": "cust-1",
        "lines": [{"product_id": "mug", "quantity": 2}, {"product_id": "pot", "quantity": 1}],
        "total": {"amount": 4500, "currency": "GBP"},
        "payment_token": "tok_ok",
        "correlation_id": "req-12345678",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "",
        "causation_id": "",
    }
