"""The real state machine in this process: moto executes the ASL, and a Lambda call is a call of a Python function."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from inventory import saga as inventory_saga
from inventory import usecases as inventory_usecases
from inventory.domain import Adjustment, Adjustments
from inventory.store import InventoryStore
from mercato.dynamo import Table
from mercato.money import Money
from orders import domain
from orders import saga as orders_saga
from orders.order import Address, Line, Order
from orders.store import OrderStore
from payments import saga as payments_saga
from payments.sandbox import Sandbox
from payments.store import PaymentStore
from tests.template import ROOT

FUNCTIONS = ("InventorySaga", "PaymentsSaga", "OrdersSaga")
ORDER = "5d6aa9d2-0000-5000-8000-000000000001"
PATIENCE = 20.0

Invoke = Callable[[dict[str, Any]], Any]


@dataclass
class Double:
    """Answers each task with the next of its scripted outcomes, an exception among them; then with `{}` for ever."""

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


def failing(name: str, message: str = "no") -> Exception:
    """An exception whose class has this name, as Lambda reports it."""
    error: Exception = type(name, (Exception,), {})(message)
    return error


@dataclass
class World:
    """The state machine and the functions behind it. `calls` has each task called, in order."""

    arn: str
    queue_url: str
    handlers: dict[str, Invoke]
    calls: list[str] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, function_name: str, body: str) -> tuple[Any, bool]:
        payload = json.loads(body)
        with self._lock:
            self.calls.append(payload["task"])
            self.payloads.append(payload)
        try:
            return self.handlers[function_name](payload), False
        except Exception as error:  # noqa: BLE001 - as the Lambda runtime does
            return {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}, True

    def inputs(self, task: str) -> list[dict[str, Any]]:
        return [payload["input"] for payload in self.payloads if payload["task"] == task]

    def start(self, saga_input: dict[str, Any]) -> str:
        answer = boto3.client("stepfunctions").start_execution(
            stateMachineArn=self.arn, name=saga_input["order_id"], input=json.dumps(saga_input)
        )
        return str(answer["executionArn"])

    def finish(self, execution_arn: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = dict(boto3.client("stepfunctions").describe_execution(executionArn=execution_arn))
            return found if found["status"] != "RUNNING" else None

        return poll(ended)

    def run(self, saga_input: dict[str, Any]) -> dict[str, Any]:
        return self.finish(self.start(saga_input))

    def parked(self) -> dict[str, Any]:
        """The next message in the parked queue."""

        def receive() -> dict[str, Any] | None:
            answer = boto3.client("sqs").receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=1)
            if not answer.get("Messages"):
                return None
            (message,) = answer["Messages"]
            boto3.client("sqs").delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            body: dict[str, Any] = json.loads(message["Body"])
            return body

        return poll(receive)

    def resume(self, parked: dict[str, Any], action: str) -> None:
        boto3.client("stepfunctions").send_task_success(
            taskToken=parked["task_token"], output=json.dumps({"action": action})
        )


def poll[T](look: Callable[[], T | None]) -> T:
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        found = look()
        if found is not None:
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"nothing came within {PATIENCE} s")


def _function_of(function_name: str) -> str:
    """`InventorySaga` of its ARN, with or without an alias."""
    return next(name for name in FUNCTIONS if name in function_name)


@pytest.fixture
def saga_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared `cloud`, in which state machines run and a Lambda call needs no container."""
    monkeypatch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
    monkeypatch.setitem(default_user_config, "lambda", {"use_docker": False})


@pytest.fixture
def doubles() -> dict[str, Double]:
    return {name: Double() for name in FUNCTIONS}


@pytest.fixture
def world(saga_cloud: None, doubles: dict[str, Double], monkeypatch: pytest.MonkeyPatch) -> World:
    """The deployed saga: every function is a double until a test puts a real handler in its place."""
    queue_url = boto3.client("sqs").create_queue(QueueName="parked")["QueueUrl"]
    text = (ROOT / "infra/order_saga.asl.json").read_text().replace("${ParkedQueueUrl}", queue_url)
    for name in FUNCTIONS:
        text = text.replace(f"${{{name}}}", f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live")
    assert "${" not in text
    made = boto3.client("stepfunctions").create_state_machine(
        name="mercato-order", definition=text, roleArn="arn:aws:iam::123456789012:role/saga"
    )
    found = World(made["stateMachineArn"], queue_url, dict(doubles))

    def invoke(
        _: LambdaSimpleBackend,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        answer: dict[str, str],
    ) -> bytes:
        result, failed = found.invoke(_function_of(function_name), body)
        if failed:
            answer["x-amz-function-error"] = "Unhandled"
        return json.dumps(result).encode()

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))
    return found


@pytest.fixture
def orders(world: World, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> OrderStore:
    """The real orders handler behind the saga, and its store."""
    store = OrderStore(make_table("OrdersTable"))
    monkeypatch.setattr(orders_saga, "orders", lambda: store)
    world.handlers["OrdersSaga"] = lambda payload: orders_saga.handler(payload, None)
    return store


@pytest.fixture
def order(orders: OrderStore, noon: datetime) -> Order:
    price = Money(amount=1500, currency="GBP")
    lines = (Line(product_id="mug", sku="MUG", name="Mug", quantity=3, unit_price=price),)
    address = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
    return orders.append(ORDER, None, domain.place(ORDER, "cust-1", lines, address, "tok_ok", "print"), noon)


@pytest.fixture
def inventory(world: World, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> InventoryStore:
    """The real inventory handler behind the saga, and its store."""
    store = InventoryStore(make_table("InventoryTable"), low_at=1)
    monkeypatch.setattr(inventory_saga, "store", lambda: store)
    world.handlers["InventorySaga"] = lambda payload: inventory_saga.handler(payload, None)
    return store


@pytest.fixture
def mugs(inventory: InventoryStore, noon: datetime) -> InventoryStore:
    """Five mugs on the shelf; the order wants three."""
    inventory_usecases.open_stock("mug", inventory)
    delivery = Adjustments("adj-1", "print-1", "boss", (Adjustment("mug", 5, "delivery"),), noon)
    inventory_usecases.adjust(delivery, inventory)
    return inventory


@pytest.fixture
def payments(world: World, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> PaymentStore:
    """The real payments handler behind the saga, with its sandbox provider, and its store."""
    table = make_table("PaymentsTable")
    store, sandbox = PaymentStore(table), Sandbox(table)
    monkeypatch.setattr(payments_saga, "store", lambda: store)
    monkeypatch.setattr(payments_saga, "provider", lambda: sandbox)
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
    }
