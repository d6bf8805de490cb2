"""A redriven message never takes effect twice: every event of every consumer, through the dead-letter queue and back,
and each message of a queue that is fed from elsewhere than the bus.

The redrive ends between send and delete, so that the message is in both queues, and is repeated: the consumer gets the
same event twice. After the second delivery its table, mails, sagas and queues are as after the first.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.contract import events
from infra.contract.events import Subscription
from mercato import aws
from mercato.errors import TransientError
from mercato.events import envelope
from mercato.events.consumer import Consumer
from mercato.store.dynamo import Table
from ops.dead_letters import reader
from ops.dead_letters.message import Selection
from ops.dead_letters.queues import find_dead_letter_queue
from ops.dead_letters.redrive import Instruction, Redrive, redrive_queue
from ops.scans import Scans
from ops.wiring import Ports
from tests.integration.ops.conftest import scribe as ops  # noqa: F401 - which hears, unlike the desk of the other tests
from tests.integration.ops.queues import Queues
from tests.kit import aws_events, cases
from tests.kit.cases import SEQUENCE, OwnQueue
from tests.kit.template import resources_of_type

SUBSCRIPTIONS = events.subscriptions()
OWN_QUEUES = cases.collect("OWN_QUEUES", OwnQueue)


class NoAudit:
    def open(self, queue: str, instruction: Instruction) -> str:
        return "audit-1"

    def close(self, queue: str, audit_id: str, result: Redrive) -> None:
        assert audit_id == "audit-1"


class Machine:
    """A fake of Step Functions that starts each execution name once."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.answered: list[str] = []

    def start_execution(self, **call: Any) -> None:
        if call["name"] in self.started:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": "no"}}, "StartExecution")
        self.started.append(call["name"])

    def send_task_success(self, **call: Any) -> None:
        if call["taskToken"] in self.answered:
            raise ClientError({"Error": {"Code": "TaskTimedOut", "Message": "no"}}, "SendTaskSuccess")
        self.answered.append(call["taskToken"])


class Post:
    """One service's queue and dead letters, and everything that its consumer can change."""

    def __init__(self, queue: Subscription | OwnQueue, service: Any, machine: Machine) -> None:
        self.name = queue.queue
        self.service = service
        self.machine = machine
        self.consume = importlib.import_module(queue.module).handler
        self.queues = Queues()
        self.queues.open(self.name)

    def redrive(self, now: datetime) -> Redrive:
        instruction = Instruction(Selection(), 10, False, "again", "boss", "request-1", now)
        queue = find_dead_letter_queue("mercato-", self.name)
        ports = Ports()
        vars(ports).update(redrive_audit=NoAudit(), scans=Scans(Table("OpsTable")))
        return redrive_queue(queue, instruction, ports)

    def deliver(self) -> int:
        """Passes the queue's messages to the consumer, as Lambda does. Returns their number."""
        url, sqs = self.queues.url(self.name), self.queues.sqs
        messages = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        records = [aws_events.received(message, f"mercato-{self.name}") for message in messages]
        assert self.consume(aws_events.records(*records), None) == {"batchItemFailures": []}
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    def effects(self) -> dict[str, Any]:
        """All effects that are visible from outside."""
        items = boto3.client("dynamodb", "us-east-1").scan(TableName=self.service.table.name)["Items"]
        senders = [getattr(self.service, name, None) for name in ("mailer", "mailbox", "texter")]
        carrier = getattr(self.service, "queue_url", None)
        waiting = ["ApproximateNumberOfMessages"]
        return {
            "items": sorted(json.dumps(item, sort_keys=True, default=bytes.hex) for item in items),
            "files": self.service.files() if hasattr(self.service, "files") else [],
            "sent": [list(sender.sent) for sender in senders if sender],
            "sagas": self.machine.started + self.machine.answered,
            "carrier": carrier
            and self.queues.sqs.get_queue_attributes(QueueUrl=carrier, AttributeNames=waiting)["Attributes"],
        }


def by_listener(subscription: Subscription) -> str:
    return f"{subscription.queue}-{subscription.event_type}"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found, client = Machine(), aws.client
    monkeypatch.setattr(
        aws, "client", lambda service, **how: found if service == "stepfunctions" else client(service, **how)
    )
    return found


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=by_listener)
def test_an_event_that_is_redriven_twice_takes_effect_once(
    subscription: Subscription,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    noon: datetime,
    cloud: None,
    machine: Machine,
) -> None:
    monkeypatch.setattr(reader, "_WAIT", 0)
    service = request.getfixturevalue(subscription.service)
    post = Post(subscription, service, machine)
    data = cases.heard_of(subscription).given(service)
    event = event_of(subscription, data, moment_of(service, noon))
    post.queues.put(f"{post.name}-dlq", json.dumps({"detail": event}), reason="retries-exhausted")
    untouched = post.effects()

    once = after_two_redrives(post, noon, monkeypatch, post.effects)
    assert once != untouched, "the first delivery has an effect"


@pytest.mark.parametrize("own", OWN_QUEUES, ids=str)
def test_a_message_of_an_own_queue_that_is_redriven_twice_takes_effect_once(
    own: OwnQueue,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    noon: datetime,
    cloud: None,
    machine: Machine,
) -> None:
    """The carrier sends the message of the next stop again: the first delivery may have died before. Both messages are
    the same event, so they count as one.
    """
    monkeypatch.setattr(reader, "_WAIT", 0)
    service = request.getfixturevalue(own.service)
    post = Post(own, service, machine)
    body = own.given(service)
    post.queues.put(f"{post.name}-dlq", body if isinstance(body, str) else json.dumps(body), reason="retries-exhausted")
    untouched = post.effects()

    once = after_two_redrives(
        post, noon, monkeypatch, lambda: post.effects() | {"carrier": due_at_the_carrier(service)}
    )
    assert once["items"] != untouched["items"], "the first delivery has an effect"


def after_two_redrives(
    post: Post, noon: datetime, monkeypatch: pytest.MonkeyPatch, look: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The message stays in its queue after the first redrive. Returns what `look` saw after the first delivery."""
    with monkeypatch.context() as patch:
        patch.setattr(reader, "remove", away)
        assert post.redrive(noon).left_behind == 1
    assert post.deliver() == 1
    once = look()
    assert post.redrive(noon).redriven == 1
    assert post.deliver() == 1
    assert look() == once, "the second delivery has no effect"
    assert post.queues.count(f"{post.name}-dlq") == 0
    return once


def due_at_the_carrier(service: Any) -> set[str]:
    """The ids of the events that wait in the carrier's queue, which stay there."""
    if not hasattr(service, "queue_url"):
        return set()
    waiting = service.sqs.receive_message(QueueUrl=service.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
        "Messages", []
    )
    return {json.loads(message["Body"])["detail"]["id"] for message in waiting}


def test_every_subscription_is_among_them() -> None:
    for subscription in SUBSCRIPTIONS:
        assert cases.heard_of(subscription)
    assert {(one.queue, one.event_type) for one in SUBSCRIPTIONS} == set(cases.heard())


def test_every_consumer_is_among_them() -> None:
    tested = {one.module for one in SUBSCRIPTIONS} | {one.module for one in OWN_QUEUES}
    untested = sorted(modules_with_consumers() - tested)
    missing = [cases.to_add(module, "OWN_QUEUES", module.partition(".")[0]) for module in untested]
    assert not missing, "\n".join(missing)
    assert modules_with_consumers() == tested


def modules_with_consumers() -> set[str]:
    """The handlers' modules of all functions that have a consumer."""
    functions = resources_of_type("AWS::Serverless::Function").values()
    modules = {function["Properties"]["Handler"].rpartition(".")[0] for function in functions}
    return {
        module
        for module in modules
        if any(isinstance(value, Consumer) for value in vars(importlib.import_module(module)).values())
    }


def away(*_: object) -> None:
    raise TransientError("SQS is away")


def moment_of(service: Any, noon: datetime) -> datetime:
    """The event's time: the service's own, where a test sets it."""
    found: datetime = getattr(service, "now", noon)
    return found


def event_of(subscription: Subscription, data: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The publisher's own example, with the test's data."""
    publication = next(one for one in events.publications() if subscription.event_type == one.model.TYPE)
    known = {name: value for name, value in data.items() if name in publication.model.model_fields}
    model = publication.model.model_validate(publication.model.EXAMPLE | known)
    subject = str(data.get("product_id") or data.get("order_id") or "subject-1")
    return envelope(
        model, service=publication.service, subject=subject, event_id="event-redriven", sequence=SEQUENCE, now=at
    )
