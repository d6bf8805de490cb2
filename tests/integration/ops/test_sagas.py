"""The operator's view of the real state machine's executions, and the redrive through a real client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from mercato import aws
from mercato.store.dynamo import Table
from ops import api
from ops.sagas.executions import Executions
from ops.sagas.store import SagaStore
from tests.conftest import NOON
from tests.integration.ops.conftest import MACHINE
from tests.kit import aws_events
from tests.kit.state_machine import FUNCTIONS, ORDER, World, deploy, failing, run_state_machines

ARN = f"arn:aws:states:us-east-1:123456789012:execution:mercato-order:{ORDER}"
INPUT = {
    "order_id": ORDER,
    "customer_id": "cust-1",
    "lines": [{"product_id": "mug", "quantity": 2}],
    "total": {"amount": 4500, "currency": "GBP"},
    "payment_token": "tok_secret",
    "correlation_id": "req-12345678",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "",
    "causation_id": "event-1",
}

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Call:
    for name, value in {
        "TABLE_NAME": make_table("OpsTable").name,
        "CIRCUITS_TABLE": "CircuitsTable",
        "STATE_MACHINE_ARN": MACHINE,
        "NAMESPACE": "mercato",
        "QUEUE_PREFIX": "mercato-",
        "AUDIT_TABLE": make_table("AuditTable").name,
    }.items():
        monkeypatch.setenv(name, value)

    def ask(method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        headers = {"X-Request-Id": "req-operator-1"}
        event = aws_events.rest_request(
            method, f"/api/ops/sagas{path}", body, user="boss", role="admin", headers=headers, query=query
        )
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    return ask


@pytest.fixture
def world(cloud: None, monkeypatch: pytest.MonkeyPatch) -> World:
    """The real state machine. Every function succeeds until a test scripts it."""
    run_state_machines(monkeypatch)
    return deploy(monkeypatch, {name: lambda _: {"payment_id": "pay-1"} for name in FUNCTIONS})


def refuse(world: World, task: str, error: str) -> None:
    for name, handler in list(world.handlers.items()):

        def answer(payload: dict[str, Any], handler: Any = handler) -> Any:
            if payload["task"] == task:
                raise failing(error, "said no")
            return handler(payload)

        world.handlers[name] = answer


def test_a_saga_is_told_step_by_step_and_holds_no_customer_data(call: Call, world: World) -> None:
    world.run(INPUT)
    status, saga = call("GET", f"/{ORDER}")
    assert (status, saga["status"], saga["is_whole"], saga["can_redrive"]) == (200, "succeeded", True, False)
    assert [(step["state"], step["outcome"], step["tries"]) for step in saga["steps"]] == [
        ("IsCancelled", "done", 0),
        ("ReserveInventory", "done", 1),
        ("WaitsForBuyer", "done", 0),
        ("AuthorizePayment", "done", 1),
        ("KeepReservation", "done", 1),
        ("HasClaim", "done", 0),
        ("ConfirmOrder", "done", 1),
        ("CapturePayment", "done", 1),
        ("OrderPaid", "done", 0),
    ]
    assert "  ConfirmOrder --> CapturePayment: 8\n" in saga["diagram"]
    assert "tok_secret" not in json.dumps(saga)
    assert "cust-1" not in json.dumps(saga)


def test_a_parked_saga_shows_each_try_of_the_step_that_is_stuck(call: Call, world: World) -> None:
    refuse(world, "AuthorizePayment", "KeyError")
    refuse(world, "VoidPayment", "TransientError")
    world.start(INPUT)
    world.parked()
    _, saga = call("GET", f"/{ORDER}")
    told = {step["state"]: step for step in saga["steps"]}
    assert (told["VoidPayment"]["tries"], told["VoidPayment"]["outcome"]) == (7, "caught")
    assert {(one["error"], one["detail"]) for one in told["VoidPayment"]["failures"]} == {("TransientError", "said no")}
    assert (saga["status"], saga["steps"][-1]["state"], saga["steps"][-1]["outcome"]) == (
        "running",
        "AwaitOperator",
        "running",
    )
    assert "  class AwaitOperator current\n" in saga["diagram"]


def test_sagas_are_listed_by_their_state(call: Call, world: World) -> None:
    world.run(INPUT)
    refuse(world, "AuthorizePayment", "PaymentDeclined")
    world.run(INPUT | {"order_id": "order-2"})
    listed = [call("GET", "", status=status)[1]["items"] for status in ("all", "succeeded", "failed", "running")]
    assert [sorted(item["order_id"] for item in items) for items in listed] == [
        sorted([ORDER, "order-2"]),
        [ORDER],
        ["order-2"],
        [],
    ]


def test_a_list_tells_the_ends_of_the_business_from_failures_and_a_cancellation_from_its_order(
    call: Call, world: World
) -> None:
    for order_id, error in {"order-1": "OutOfStock", "order-2": "PaymentDeclined", "order-3": "KeyError"}.items():
        world.handlers = {name: lambda _: {"payment_id": "pay-1"} for name in FUNCTIONS}
        refuse(world, "AuthorizePayment", error)
        world.run(INPUT | {"order_id": order_id})
    world.handlers = {name: lambda _: {"payment_id": "pay-1"} for name in FUNCTIONS}
    undoing = INPUT | {"failed_step": "Cancellation", "error": {"Error": "CancelledByCustomer", "Cause": ""}}
    started = boto3.client("stepfunctions").start_execution(
        stateMachineArn=world.arn, name="order-4.cancellation", input=json.dumps(undoing)
    )
    world.finish(started["executionArn"])

    def listed(**chosen: str) -> list[tuple[str, ...]]:
        items = call("GET", "", status="failed", **chosen)[1]["items"]
        return sorted((item["order_id"], item["kind"], item["saga"], item["ending"]) for item in items)

    out, declined = ("order-1", "order", "order-1", "out_of_stock"), ("order-2", "order", "order-2", "declined")
    broken, cancelled = (
        ("order-3", "order", "order-3", "failed"),
        (
            "order-4",
            "cancellation",
            "order-4.cancellation",
            "cancelled",
        ),
    )
    assert listed() == [out, declined, broken, cancelled]
    assert listed(ending="failed") == [broken]
    assert listed(kind="cancellation") == [cancelled]
    assert listed(kind="order", ending="declined") == [declined]
    assert call("GET", "/order-4.cancellation")[1]["order_id"] == "order-4"


def test_the_list_of_sagas_pages_with_whatever_token_step_functions_gives(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("stepfunctions")
    monkeypatch.setattr(aws, "client", lambda *_: client)
    found = {"stateMachineArn": MACHINE, "executionArn": ARN, "name": ORDER, "status": "FAILED", "startDate": NOON}
    failed = {"error": "OutOfStock", "cause": "none left"}
    asked = {"stateMachineArn": MACHINE, "maxResults": 1, "statusFilter": "FAILED"}
    with Stubber(client) as stubber:
        stubber.add_response("list_executions", {"executions": [found], "nextToken": "AA+/=="}, asked)
        stubber.add_response("describe_execution", found | failed, {"executionArn": ARN})
        stubber.add_response("list_executions", {"executions": []}, asked | {"nextToken": "AA+/=="})
        stubber.add_client_error("list_executions", "InvalidToken")
        _, page = call("GET", "", status="failed", limit="1")
        assert [item["order_id"] for item in page["items"]] == [ORDER]
        again = call("GET", "", status="failed", limit="1", cursor=page["next_cursor"])
        assert again == (200, {"items": [], "next_cursor": None})
        assert call("GET", "", status="failed", limit="1", cursor="AAAA")[0] == 400
    assert call("GET", "", status="failed", cursor="_w")[0] == 400


def test_a_saga_that_undid_its_order_is_not_redriven(call: Call, world: World) -> None:
    refuse(world, "AuthorizePayment", "PaymentDeclined")
    world.run(INPUT)
    status, problem = call("POST", f"/{ORDER}/redrive", {"reason": "try again"})
    assert (status, problem["type"]) == (409, "urn:mercato:problem:saga-not-redrivable")
    assert SagaStore(Table("OpsTable")).audit_of(ORDER) == []
    assert call("POST", "/nothing/redrive", {"reason": "try again"})[0] == 404


def test_a_saga_that_still_runs_is_not_redriven(call: Call, world: World) -> None:
    refuse(world, "AuthorizePayment", "KeyError")
    refuse(world, "VoidPayment", "KeyError")
    world.start(INPUT)
    world.parked()
    status, problem = call("POST", f"/{ORDER}/redrive", {"reason": "try again"})
    assert (status, problem["detail"]) == (409, "This saga still runs; there is nothing to redrive.")


@pytest.fixture
def wire(call: Call, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A fake of Step Functions' HTTP API with a saga that was stopped in CapturePayment, since the emulators have no
    redrive.
    """
    client = boto3.client("stepfunctions")
    real = aws.client
    monkeypatch.setattr(aws, "client", lambda service, *more: client if service == "stepfunctions" else real(service))
    with Stubber(client) as stubber:
        described = {"executionArn": ARN, "name": ORDER, "status": "ABORTED", "startDate": NOON, "stopDate": NOON}
        machine = {"stateMachineArn": MACHINE, "name": "m", "roleArn": MACHINE, "updateDate": NOON}
        definition = {"StartAt": "CapturePayment", "States": {"CapturePayment": {"Type": "Task", "End": True}}}
        stubber.add_response(
            "describe_execution", described | {"stateMachineArn": MACHINE, "redriveCount": 2}, {"executionArn": ARN}
        )
        stubber.add_response(
            "describe_state_machine_for_execution",
            machine | {"definition": json.dumps(definition)},
            {"executionArn": ARN},
        )
        entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "CapturePayment"}}
        events = [entered, {"type": "ExecutionAborted", "executionAbortedEventDetails": {}}]
        stubber.add_response(
            "get_execution_history",
            {"events": [event | {"id": n, "timestamp": NOON} for n, event in enumerate(events, start=1)]},
            {"executionArn": ARN, "maxResults": 1000, "includeExecutionData": False},
        )
        yield stubber


def test_a_saga_that_somebody_stopped_is_redriven_with_a_record_of_who_and_why(call: Call, wire: Stubber) -> None:
    """The token depends on the execution's end, not on the caller, so two operators redrive once."""
    wire.add_response("redrive_execution", {"redriveDate": NOON}, {"executionArn": ARN, "clientToken": ANY})
    status, answer = call("POST", f"/{ORDER}/redrive", {"reason": "stopped by mistake"})
    assert status == 200
    assert (answer["step"], answer["action"], answer["operator"]) == ("CapturePayment", "redrive", "boss")
    (record,) = SagaStore(Table("OpsTable")).audit_of(ORDER)
    assert (record.step, record.action, record.reason) == ("CapturePayment", "redrive", "stopped by mistake")
    wire.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [
        ("ExecutionNotRedrivable", 409, "saga-not-redrivable"),
        ("ExecutionLimitExceeded", 503, "temporarily-unavailable"),
        ("AccessDeniedException", 500, "internal-error"),
    ],
)
def test_a_redrive_that_step_functions_refuses_is_told_so(
    call: Call, wire: Stubber, code: str, status: int, problem: str
) -> None:
    wire.add_client_error("redrive_execution", code, "older than 14 days")
    found, told = call("POST", f"/{ORDER}/redrive", {"reason": "stopped by mistake"})
    assert (found, told["type"]) == (status, f"urn:mercato:problem:{problem}")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "because", "step": "x"}])
def test_a_bad_redrive_is_refused(call: Call, body: dict[str, str]) -> None:
    assert call("POST", f"/{ORDER}/redrive", body)[0] == 422


def test_two_redrives_of_the_same_end_are_one_to_step_functions(call: Call, wire: Stubber) -> None:
    tokens: list[str] = []
    execution = Executions(MACHINE).find(ORDER)
    client = aws.client("stepfunctions")
    client.redrive_execution = lambda **asked: tokens.append(asked["clientToken"])
    for _ in range(2):
        Executions.redrive(execution)
    assert len(tokens) == 2
    assert len(set(tokens)) == 1
