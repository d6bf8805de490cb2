"""The operators' handlers on an empty table."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from infra.contract import events
from mercato import aws
from mercato.events import envelope
from mercato.http.audit import AuditTrail
from mercato.store.dynamo import KeyRange, Table
from ops import api, consumers
from ops.dead_letters import reader
from ops.journal.store import Entry, Journal
from ops.sagas import parked
from tests.kit import aws_events

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:mercato-order"


def message(order_id: str = "ord-1", **changes: Any) -> dict[str, Any]:
    """The message that the saga's AwaitOperator sends."""
    return {
        "order_id": order_id,
        "step": "ReleaseInventory",
        "error": {"Error": "TransientError", "Cause": '{"errorMessage": "the table is away"}'},
        "failed_step": "AuthorizePayment",
        "reason": "PaymentDeclined",
        "task_token": "token-1",
        "parked_at": "2026-11-22T12:00:00.123Z",
        "correlation_id": "req-12345678",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "",
        "causation_id": "",
        "execution_arn": f"arn:aws:states:us-east-1:123456789012:execution:mercato-order:{order_id}",
    } | changes


@dataclass
class Machine:
    """A fake of Step Functions that accepts each task token once. It has no executions."""

    sent: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    fail_with: str = ""
    before_answer: Callable[[], None] | None = None

    def describe_execution(self, *, executionArn: str) -> None:  # noqa: N803 - as boto3 names it
        raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": executionArn}}, "DescribeExecution")

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803 - as boto3 names it
        if self.before_answer:
            self.before_answer()
        code = self.fail_with or ("TaskTimedOut" if taskToken in {*dict(self.sent), *self.dead} else "")
        if code == "no answer":
            raise ReadTimeoutError(endpoint_url="https://states.test")
        if code:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "SendTaskSuccess")
        self.sent.append((taskToken, json.loads(output)))


@dataclass
class Desk:
    """Calls the real handlers with the events that AWS would send."""

    table: Table
    machine: Machine
    trail: AuditTrail

    def park(self, *bodies: dict[str, Any] | str, receives: int = 1) -> list[str]:
        """Returns the ids of the failed messages. `receives` is how often the queue has delivered them."""
        records = [
            aws_events.sqs_record(body, "mercato-parked", message_id=f"m-{n}", receives=receives)
            for n, body in enumerate(bodies)
        ]
        answer = parked.handler(aws_events.records(*records), None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def call(
        self, method: str, path: str, body: Any = None, *, user: str = "boss", role: str = "admin", **query: str
    ) -> tuple[int, Any]:
        headers = {"X-Request-Id": "req-operator-1"}
        event = aws_events.rest_request(
            method, f"/api/ops{path}", body, user=user, role=role, headers=headers, query=query
        )
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    def resume(
        self, action: str = "retry", order_id: str = "ord-1", user: str = "boss", step: str | None = "ReleaseInventory"
    ) -> tuple[int, Any]:
        body = {"action": action, "reason": "table is back"} | ({"step": step} if step else {})
        return self.call("POST", f"/sagas/{order_id}/resume", body, user=user)

    def listed(self) -> list[str]:
        return [item["saga"] for item in self.call("GET", "/sagas", status="parked")[1]["items"]]

    def audit(self, order_id: str = "ord-1") -> list[dict[str, Any]]:
        return list(self.table.query_all(f"SAGA#{order_id}", KeyRange(prefix="AUDIT#")))


@dataclass
class Scribe:
    """The journal's consumer, with the events that its queue would deliver."""

    table: Table
    now: datetime

    def hear(self, *envelopes: dict[str, Any]) -> list[str]:
        """Returns the ids of the failed messages."""
        found = [aws_events.bus_record(told, "mercato-ops", message_id=f"m-{n}") for n, told in enumerate(envelopes)]
        answer = consumers.handler(aws_events.records(*found), None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def example(self, event_type: str, **changes: Any) -> dict[str, Any]:
        """The publisher's own example of an event."""
        found = next(one for one in events.publications() if event_type == one.model.TYPE)
        data = found.model.model_validate(found.model.EXAMPLE)
        told = envelope(data, service=found.service, subject="ord-1", event_id=event_type, sequence=1, now=self.now)
        return told | {"correlationid": "req-12345678"} | changes

    def newest(self) -> list[Entry]:
        return Journal(self.table).read_newest(limit=100, now=self.now)[0]


def open_journal(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Table:
    """Makes the journal's table once, for a test that has both the desk and the scribe."""
    monkeypatch.setenv("JOURNAL_TABLE", "JournalTable")
    with suppress(boto3.client("dynamodb", "us-east-1").exceptions.ResourceInUseException):
        make_table("JournalTable")
    return Table("JournalTable", sleep=lambda _: None)


@pytest.fixture
def scribe(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Scribe:
    """The scribe, whose consumer and API use the test's clock."""
    monkeypatch.setattr(consumers, "utc_now", lambda: noon)
    monkeypatch.setattr(api, "utc_now", lambda: noon)
    return Scribe(open_journal(make_table, monkeypatch), noon)


@pytest.fixture
def desk(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Desk:
    table, trail = make_table("OpsTable"), AuditTrail(make_table("AuditTable"))
    make_table("CircuitsTable")
    open_journal(make_table, monkeypatch)
    for name, value in {
        "TABLE_NAME": "OpsTable",
        "CIRCUITS_TABLE": "CircuitsTable",
        "STATE_MACHINE_ARN": MACHINE,
        "QUEUE_PREFIX": "mercato-",
        "NAMESPACE": "mercato",
        "AUDIT_TABLE": "AuditTable",
    }.items():
        monkeypatch.setenv(name, value)
    machine, client = Machine(), aws.client
    monkeypatch.setattr(
        aws,
        "client",
        lambda service, **more: machine if service == "stepfunctions" else client(service, **more),
    )
    monkeypatch.setattr(reader, "_WAIT", 0)
    return Desk(table, machine, trail)


service = desk  # the name by which the tests of all services know it
