"""The saga with the real orders handler: what the customer sees in the end, and what the operator's API shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
import pytest

from mercato.store.dynamo import Table
from mercato.telemetry import correlation
from ops import api as ops_api
from ops import wiring as ops_wiring
from ops.sagas import parked as ops_parked
from ops.sagas.executions import Executions
from ops.sagas.store import SagaStore
from orders import domain
from orders.order import Order, PaymentStatus, Shipment, Status
from orders.store import OrderStore
from orders.workflow import OrderSaga, saga_input
from tests.integration.saga.conftest import Double
from tests.kit import aws_events
from tests.kit.state_machine import ORDER, World, failing


def run(world: World, order: Order) -> dict[str, Any]:
    return world.run(saga_input(order))


def now(orders: OrderStore) -> Order:
    found = orders.load(ORDER)
    assert found is not None
    return found


def test_a_good_order_ends_confirmed_and_authorised(world: World, orders: OrderStore, order: Order) -> None:
    assert run(world, order)["status"] == "SUCCEEDED"
    assert (now(orders).status, now(orders).payment_status) == (Status.CONFIRMED, PaymentStatus.AUTHORIZED)
    assert now(orders).payment_id == "pay-1"


@pytest.mark.parametrize(
    ("function", "step", "error", "reason"),
    [
        ("InventorySaga", "ReserveInventory", "OutOfStock", "out-of-stock"),
        ("InventorySaga", "ReserveInventory", "UnknownProduct", "unknown-product"),
        ("InventorySaga", "ReserveInventory", "KeyError", "internal-error"),
        ("PaymentsSaga", "AuthorizePayment", "PaymentDeclined", "payment-declined"),
        ("PaymentsSaga", "AuthorizePayment", "TransientError", "payment-unavailable"),
        ("PaymentsSaga", "CapturePayment", "CaptureRefused", "capture-refused"),
        ("PaymentsSaga", "CapturePayment", "TransientError", "payment-unavailable"),
    ],
)
def test_a_failed_order_ends_cancelled_with_its_reason(
    world: World,
    doubles: dict[str, Double],
    orders: OrderStore,
    order: Order,
    function: str,
    step: str,
    error: str,
    reason: str,
) -> None:
    doubles[function].script(step, *[failing(error, "What the service says.")] * 9)
    assert run(world, order)["error"] == error
    ended = now(orders)
    assert (ended.status, ended.reason) == (Status.CANCELLED, reason)
    is_ours = reason in ("internal-error", "payment-unavailable")
    assert (ended.detail == "What the service says.") is not is_ours


def test_a_confirmation_that_ran_twice_confirmed_once(world: World, orders: OrderStore, order: Order) -> None:
    handler = world.handlers["OrdersSaga"]
    lost: list[bool] = []

    def lose_the_first_answer(payload: dict[str, Any]) -> Any:
        answer = handler(payload)
        if not lost:
            lost.append(True)
            raise failing("Sandbox.Timedout")
        return answer

    world.handlers["OrdersSaga"] = lose_the_first_answer
    assert run(world, order)["status"] == "SUCCEEDED"
    assert world.calls.count("ConfirmOrder") == 2
    assert now(orders).version == 2


def test_a_parcel_that_left_stops_the_cancellation_and_calls_the_operator(
    world: World, doubles: dict[str, Double], orders: OrderStore, order: Order, noon: datetime
) -> None:
    """The capture took effect though its response was lost, and the parcel left before the undo."""

    def capture(payload: dict[str, Any]) -> Any:
        if payload["task"] == "CapturePayment":
            confirmed = now(orders)
            parcel = Shipment(shipment_id="s", carrier="x", tracking_number="1")
            orders.append(ORDER, confirmed, domain.ship(confirmed, parcel), noon)
            raise failing("KeyError")
        return doubles["PaymentsSaga"](payload)

    world.handlers["PaymentsSaga"] = capture
    execution = world.start(saga_input(order))
    parked = world.parked()
    assert (parked["step"], parked["error"]["Error"]) == ("CancelOrder", "OrderNotCancellable")
    assert world.calls.count("CancelOrder") == 1
    world.resume(parked, "skip")
    world.finish(execution)
    assert now(orders).status is Status.SHIPPED


def test_the_same_order_starts_one_execution(world: World, orders: OrderStore, order: Order) -> None:
    with correlation.bound(correlation.accept("req-12345678")):
        OrderSaga(world.arn).start(order)
    with correlation.bound(correlation.accept("req-87654321")):
        OrderSaga(world.arn).start(order)
    (execution,) = boto3.client("stepfunctions").list_executions(stateMachineArn=world.arn)["executions"]
    assert execution["name"] == ORDER
    world.finish(execution["executionArn"])
    assert world.calls == ["ReserveInventory", "AuthorizePayment", "KeepReservation", "ConfirmOrder", "CapturePayment"]


@pytest.fixture
def desk(world: World, make_table: Callable[[str], Table]) -> Callable[..., Any]:
    """Calls the operators' API as an admin. Returns status and response."""
    store = SagaStore(make_table("OpsTable"))
    vars(ops_wiring.ports()).update(sagas=store, executions=Executions(world.arn + ":live"))

    def call(method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
        answer = ops_api.handler(
            aws_events.rest_request(method, f"/api/ops{path}", body, user="boss", role="admin"), None
        )
        return answer["statusCode"], json.loads(answer["body"])

    return call


def test_an_operator_finds_a_stuck_saga_reads_its_story_and_brings_it_home(
    world: World, doubles: dict[str, Double], orders: OrderStore, order: Order, desk: Callable[..., Any]
) -> None:
    doubles["InventorySaga"].script("ReserveInventory", failing("OutOfStock", "Only 2 mugs are left."))
    doubles["InventorySaga"].script("ReleaseInventory", failing("ValueError", "broken"))
    execution = world.start(saga_input(order))
    record = aws_events.sqs_record(world.parked(), "mercato-parked")
    assert ops_parked.handler(aws_events.records(record, record), None) == {"batchItemFailures": []}
    assert now(orders).status is Status.NEEDS_ATTENTION

    (item,) = desk("GET", "/sagas")[1]["items"]
    assert (item["order_id"], item["step"], item["error"]) == (ORDER, "ReleaseInventory", "ValueError")
    status, story = desk("GET", f"/sagas/{ORDER}")
    assert (status, story["status"], story["stopped_at"], story["is_whole"]) == (200, "running", None, True)
    failures = [(step["state"], one["error"], one["detail"]) for step in story["steps"] for one in step["failures"]]
    assert failures == [
        ("ReserveInventory", "OutOfStock", "Only 2 mugs are left."),
        ("ReleaseInventory", "ValueError", "broken"),
    ]
    assert "tok_ok" not in json.dumps(story)
    assert story["parked_step"] == "ReleaseInventory"

    answer = desk("POST", f"/sagas/{ORDER}/resume", {"action": "retry", "reason": "mended"})
    assert answer[0] == 200
    assert world.finish(execution)["error"] == "OutOfStock"
    assert now(orders).status is Status.CANCELLED
    assert desk("GET", "/sagas")[1]["items"] == []
    story = desk("GET", f"/sagas/{ORDER}")[1]
    assert (story["status"], story["resumptions"]) == ("failed", [answer[1]])
    assert story["parked_step"] is None
    assert desk("POST", f"/sagas/{ORDER}/resume", {"action": "retry", "reason": "again"})[0] == 409
    assert world.calls.count("CancelOrder") == 1


def test_an_order_without_a_saga_is_404(desk: Callable[..., Any]) -> None:
    assert desk("GET", "/sagas/nothing")[0] == 404
