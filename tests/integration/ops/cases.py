"""What the tests of all services try with ops. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.contract.events import publications
from mercato.breaker import Circuits, Policy
from mercato.breaker.store import DynamoStore
from mercato.events import Event
from mercato.http import View
from mercato.store.dynamo import Table
from ops.health.probe import Probe
from ops.health.store import ProbeStore
from ops.journal.store import Journal, Position
from ops.journal.views import EventView
from ops.sagas.domain import Kind
from ops.sagas.views import AuditView, ParkedView
from tests.conftest import NOON
from tests.integration.ops.conftest import MACHINE, message
from tests.integration.ops.queues import Queues
from tests.kit.asked import Asked, asking
from tests.kit.cases import Accepted, Exempt, Expiring, Given, Heard, Largest, MayGo, Refused, RefusedElsewhere
from tests.kit.given import WIDE

# ---- requests that succeed


def _parked(desk: Any) -> Asked:
    assert desk.park(message()) == []
    body = {"action": "skip", "reason": "table is back", "step": "ReleaseInventory"}
    return Asked("/api/ops/sagas/ord-1/resume", body, role="admin")


def _stopped(desk: Any) -> Asked:
    """A saga that an operator stopped in CapturePayment."""
    arn = f"{MACHINE.replace('stateMachine', 'execution')}:ord-1"
    definition = {"StartAt": "CapturePayment", "States": {"CapturePayment": {"Type": "Task", "End": True}}}
    entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "CapturePayment"}}
    events = [entered, {"type": "ExecutionAborted", "executionAbortedEventDetails": {}}]
    machine = desk.machine
    machine.describe_execution = lambda **_: {
        "executionArn": arn,
        "name": "ord-1",
        "status": "ABORTED",
        "startDate": NOON,
        "stopDate": NOON,
        "redriveCount": 0,
    }
    machine.describe_state_machine_for_execution = lambda **_: {"definition": json.dumps(definition)}
    machine.get_execution_history = lambda **_: {
        "events": [event | {"id": n, "timestamp": NOON} for n, event in enumerate(events, start=1)]
    }
    machine.redrive_execution = lambda **_: {"redriveDate": NOON}
    return Asked("/api/ops/sagas/ord-1/redrive", {"reason": "stopped by mistake"}, role="admin")


def _dead_letters(_: Any) -> Asked:
    queues = Queues()
    queues.open("orders", "carts")
    for _ in range(2):
        queues.drop("orders", event="order.created")
    return Asked("/api/ops/dlq/redrive", {"queue": "orders", "dry_run": False, "note": "mended"}, role="admin")


def _used_circuit(_: Any) -> Asked:
    circuits = Circuits(DynamoStore("CircuitsTable"))
    circuits.breaker("payment-provider", Policy(failures=1)).call(lambda: "ok")
    circuits.refresh_due()
    body = {"action": "force_open", "reason": "drill"}
    return Asked("/api/ops/circuits/payment-provider", body, role="admin")


ACCEPTED = (
    Accepted("POST /api/ops/sagas/{order_id}/resume", _parked),
    Accepted("POST /api/ops/sagas/{order_id}/redrive", _stopped),
    Accepted("POST /api/ops/circuits/{name}", _used_circuit),
    Accepted("POST /api/ops/dlq/redrive", _dead_letters),
)

# ---- requests that are refused


_STALE = {"SAGA#": "what an operator tried is in the audit, and a saga whose token is dead is not listed any more"}


def _resuming(step: str | None, *, dead: bool = False, **more: Any) -> Given:
    def given(desk: Any) -> Asked:
        assert desk.park(message()) == []
        if dead:
            desk.machine.fail_with = "TaskDoesNotExist"
        body = {"action": "skip", "reason": "table is back"} | ({"step": step} if step else {})
        return Asked(more.get("path", "/api/ops/sagas/ord-1/resume"), body, role="admin")

    return given


def _redriving(queue: str | None = None, *, note: str = "mended") -> Given:
    body = {"dry_run": False, "max": 10} | ({"note": note} if note else {}) | ({"queue": queue} if queue else {})

    def given(_: Any) -> Asked:
        sqs = boto3.client("sqs", "us-east-1")
        sqs.create_queue(QueueName="mercato-relay-dlq")
        return Asked("/api/ops/dlq/redrive", body, role="admin")

    return given


def _redriving_saga(status: str) -> Given:
    """A request to redrive an execution with this status. Without a status there is none."""

    def given(desk: Any) -> Asked:
        def describe_execution(**_: Any) -> Any:
            if not status:
                raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")
            return {"executionArn": "arn:x:ord-1", "name": "ord-1", "status": status, "startDate": NOON}

        desk.machine.describe_execution = describe_execution
        desk.machine.describe_state_machine_for_execution = lambda **_: {"definition": "{}"}
        desk.machine.get_execution_history = lambda **_: {"events": []}
        return Asked("/api/ops/sagas/ord-1/redrive", {"reason": "mended"}, role="admin")

    return given


_SAGA = "POST /api/ops/sagas/{order_id}/redrive"
_RESUME = "POST /api/ops/sagas/{order_id}/resume"
_REDRIVE = "POST /api/ops/dlq/redrive"
REFUSED = (
    Refused(_RESUME, "step-missing", _resuming(None)),
    Refused(_RESUME, "another-step-parked", _resuming("CancelOrder")),
    Refused(_RESUME, "saga-not-parked", _resuming("ReleaseInventory", path="/api/ops/sagas/ord-2/resume")),
    Refused(_RESUME, "saga-not-parked", _resuming("ReleaseInventory", dead=True), _STALE),
    Refused(
        "POST /api/ops/circuits/{name}",
        "unknown-circuit",
        asking("/api/ops/circuits/nothing", {"action": "force_open", "reason": "testing"}, role="admin"),
    ),
    Refused(_SAGA, "saga-not-found", _redriving_saga("")),
    Refused(_SAGA, "saga-not-redrivable", _redriving_saga("RUNNING")),
    Refused(_REDRIVE, "note-missing", _redriving("mercato-relay-dlq", note="")),
    Refused(_REDRIVE, "nothing-selected", _redriving()),
    Refused(_REDRIVE, "dead-letter-queue-not-found", _redriving("mercato-nothing-dlq")),
    Refused(_REDRIVE, "not-redrivable", _redriving("mercato-relay-dlq")),
)
REFUSED_ELSEWHERE = (
    RefusedElsewhere("POST /api/ops/dlq/redrive", "scan-over", "held by tests/integration/ops/test_redrive.py"),
)

# ---- events


HEARD = tuple(Heard("ops", publication.model.TYPE) for publication in publications())

# ---- items of lists


def _largest_event() -> View:
    """An event's data has six ids at most."""
    about = dict.fromkeys(set(EventView.model_fields) - {"sequence", "ids"}, "x" * 256)
    return EventView(**about, sequence=10**9, ids={f"a_long_name_{number}_id": "x" * 256 for number in range(6)})


def _largest_audit_entry() -> View:
    """A path has three ids at most, of 200 characters each."""
    about = dict.fromkeys(("entry_id", "at", "actor", "service", "request_id"), "x" * 200)
    return AuditView(**about, action="x" * 300, target=WIDE * 700, status=200)


def _largest_saga() -> View:
    """Step Functions keeps 32,768 letters of a cause, each of which JSON may escape twice."""
    names = set(ParkedView.model_fields) - {"kind", "cause", "error"}
    return ParkedView(**dict.fromkeys(names, "x" * 200), kind=next(iter(Kind)), cause='"' * 32_768, error="x" * 256)


LARGEST = (
    Largest("GET /api/ops/events", _largest_event),
    Largest("GET /api/ops/audit", _largest_audit_entry, is_one_query=True),
    Largest("GET /api/ops/sagas", _largest_saga, is_one_query=True),
)

# ---- items that expire


_ORDER_CREATED = Event(
    specversion="1.0",
    id="event-1",
    source="mercato.orders",
    type="order.created",
    time=datetime(2026, 11, 22, 12, tzinfo=UTC),
    subject="order-1",
    data={},
    correlationid="req-12345678",
)


def _read_journal(table: Table, now: datetime) -> object:
    journal = Journal(table)
    told = [entry.recorded_at for entry in journal.of_request("req-12345678", now)]
    told += [entry.recorded_at for entry in journal.read_newest(limit=9, now=now)[0]]
    told += [entry.recorded_at for entry in journal.read_after(Position(), limit=9, now=now)[0]]
    journal.record(_ORDER_CREATED, now)
    return told, [entry.recorded_at for entry in journal.read_after(Position(), limit=9, now=now)[0]]


def _probe(table: Table, now: datetime) -> None:
    ProbeStore(table).save(Probe("carts", "carts-1", "healthy", "", 5, now))


EXPIRING = (
    Expiring(
        "probe",
        "OpsTable",
        ("ops.health.store:ProbeStore.save",),
        _probe,
        lambda table, now: ProbeStore(table).last(now),
    ),
    Expiring(
        "event in the journal",
        "JournalTable",
        ("ops.journal.store:Journal.record", "ops.journal.store:_item"),
        lambda table, now: Journal(table).record(_ORDER_CREATED, now),
        _read_journal,
    ),
)
EXEMPT = (Exempt("ops.scans:Scans.keep", "the scan that reads it is over, by its own clock, a day before"),)
MAY_GO = (
    MayGo(
        "functions/ops/ops/health/store.py", "the last probe, for a day: the prober writes the next one within a minute"
    ),
    MayGo("functions/ops/ops/journal/store.py", "an event in the journal, after 14 days: facts and tables stay"),
    MayGo("functions/ops/ops/scans.py", "the receipts of a walk over dead letters, which are good for ten minutes"),
)
