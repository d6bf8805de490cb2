"""A message that fails: when it is received again, and what its dead letter says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import boto3
import pytest

from mercato import aws
from mercato.errors import Conflict, TransientError
from mercato.events import Event, Reads, dead_letters
from mercato.events.consumer import Consumer
from mercato.store.dynamo import Table
from tests.kit import aws_events
from tests.kit.given import published
from tests.kit.template import load_template, resources_of_type


class Brewed(Reads):
    VERSION: ClassVar[int] = 2

    cups: int


class PotIsEmpty(Conflict):
    pass


class Kitchen:
    """A consumer that fails with `error`, its queue and its dead letters."""

    def __init__(self) -> None:
        self.consumer = Consumer("kitchen", jitter=lambda _, most: most)
        self.sqs = boto3.client("sqs", "us-east-1")
        self.dlq = self.sqs.create_queue(QueueName="shop-tea-dlq")["QueueUrl"]
        self.queue = self.sqs.create_queue(QueueName="shop-tea")["QueueUrl"]
        self.error: Exception | None = None
        self.taken: list[int] = []

        @self.consumer.on("tea.brewed")
        def take(_: Event, data: Brewed) -> None:
            if self.error:
                raise self.error
            self.taken.append(data.cups)

    def send(self, **changes: Any) -> None:
        fields = {"id": "event-1", "correlationid": "request-1-id"} | changes
        event = aws_events.bus_event(published("tea.brewed", "pot-1", {"cups": 1}, **fields))
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps(event))

    def record(self, **attributes: str) -> dict[str, Any]:
        """The message as Lambda passes it."""
        (message,) = self.sqs.receive_message(QueueUrl=self.queue, MessageSystemAttributeNames=["All"])["Messages"]
        return aws_events.received(message, "shop-tea", **attributes)

    def handle(self, record: dict[str, Any]) -> bool:
        """Returns True if the message is done."""
        return self.consumer.handler(aws_events.records(record), None) == {"batchItemFailures": []}

    def dead_letters(self) -> list[dict[str, str]]:
        answer = self.sqs.receive_message(QueueUrl=self.dlq, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return [
            {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            for message in answer.get("Messages", [])
        ]


@pytest.fixture
def kitchen(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    monkeypatch.setenv("TABLE_NAME", make_table("ProductsTable").name)
    dead_letters._dlq_url.cache_clear()
    return Kitchen()


@pytest.mark.parametrize(
    ("receives", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640), (8, 900), (100, 900)]
)
def test_the_pause_doubles_up_to_a_quarter_of_an_hour(receives: int, seconds: int) -> None:
    assert dead_letters.pause_after(receives, lambda _, most: most) == seconds
    assert dead_letters.pause_after(receives, lambda least, _: least) == seconds / 2


@pytest.mark.parametrize("error", [TransientError("away"), ZeroDivisionError("bug")])
def test_what_may_heal_comes_back_after_a_pause_and_is_no_dead_letter(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    kitchen.error = error
    pauses: list[int] = []
    kitchen.send()
    record = kitchen.record(ApproximateReceiveCount="3")
    monkeypatch.setattr(
        aws.client("sqs"), "change_message_visibility", lambda **call: pauses.append(call["VisibilityTimeout"])
    )

    for _ in range(3):
        assert not kitchen.handle(record)

    assert pauses == [10, 20, 40], "each is twice the one before, by the tries and not by the receives"
    assert kitchen.dead_letters() == []


def test_a_pause_of_nothing_gives_the_message_back_at_once(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "pause_after", lambda *_: 0)
    kitchen.error = TransientError("away")
    kitchen.send()

    assert not kitchen.handle(kitchen.record())

    kitchen.error = None
    assert kitchen.handle(kitchen.record())
    assert kitchen.taken == [1]


@pytest.mark.parametrize("broken", ["receiptHandle", "eventSourceARN"])
def test_a_pause_that_cannot_be_set_leaves_the_message_to_its_queue(kitchen: Kitchen, broken: str) -> None:
    kitchen.error = TransientError("away")
    kitchen.send()

    assert not kitchen.handle(kitchen.record() | {broken: "arn:aws:sqs:us-east-1:1:nothing"})

    assert kitchen.dead_letters() == []


def test_after_the_last_try_the_message_is_a_dead_letter_that_says_what_stopped_it(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    kitchen.error = TransientError("the table is away")
    kitchen.send()
    monkeypatch.setattr(dead_letters, "pause_after", lambda *_: 0)
    for _ in range(dead_letters.MAX_TRIES - 1):
        assert not kitchen.handle(kitchen.record(ApproximateReceiveCount="1"))

    assert kitchen.handle(kitchen.record(ApproximateReceiveCount="8", ApproximateFirstReceiveTimestamp="1795348800123"))

    (found,) = kitchen.dead_letters()
    assert found.pop("message_id")
    assert found == {
        "reason": "retries-exhausted",
        "detail": "TransientError: the table is away",
        "correlation_id": "request-1-id",
        "receive_count": "8",
        "redrive_count": "0",
        "first_failed_at": "2026-11-22T12:00:00.123Z",
    }


def test_a_redriven_message_that_fails_again_keeps_its_history(kitchen: Kitchen) -> None:
    kitchen.error = PotIsEmpty("The pot is empty.")
    kitchen.send()
    history = {"redrive_count": "2", "first_failed_at": "2026-11-20T08:00:00.000Z"}
    carried = {name: {"stringValue": value, "dataType": "String"} for name, value in history.items()}

    assert kitchen.handle(kitchen.record() | {"messageAttributes": carried | {"reason": {"stringValue": "old"}}})

    (found,) = kitchen.dead_letters()
    assert (found["reason"], found["redrive_count"], found["first_failed_at"]) == (
        "pot-is-empty",
        "2",
        "2026-11-20T08:00:00.000Z",
    )


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"type": "tea.spilled"}, "unknown-event-type", "kitchen has no use for tea.spilled"),
        (
            {"dataschema": "urn:mercato:event:tea.brewed:3"},
            "unknown-event-version",
            "tea.brewed is version 3; this consumer reads up to 2",
        ),
        ({"dataschema": "urn:tea"}, "malformed", "dataschema: 'urn:tea' ends in no version"),
        ({"data": {"cups": "many"}}, "malformed", "tea.brewed: cups: Input should be a valid integer, unable to"),
    ],
)
def test_what_this_consumer_cannot_know_is_a_dead_letter_at_once(
    kitchen: Kitchen, changes: dict[str, Any], reason: str, detail: str
) -> None:
    kitchen.send(**changes)

    assert kitchen.handle(kitchen.record())

    (found,) = kitchen.dead_letters()
    assert (found["reason"], found["detail"][: len(detail)]) == (reason, detail)
    assert kitchen.taken == []


@pytest.mark.parametrize("schema", ["", "urn:mercato:event:tea.brewed:1", "urn:mercato:event:tea.brewed:2"])
def test_a_version_that_is_known_and_fields_that_are_new_are_read(kitchen: Kitchen, schema: str) -> None:
    kitchen.send(dataschema=schema, data={"cups": 4, "sugar": True}, later_extension="x")

    assert kitchen.handle(kitchen.record())

    assert (kitchen.taken, kitchen.dead_letters()) == ([4], [])


def test_the_kit_knows_how_often_each_of_its_queues_delivers() -> None:
    subscription = resources_of_type("AWS::SQS::Queue", "infra/subscription.yaml")["Queue"]
    resources = load_template()["Resources"]

    for queue in (subscription, resources["CarrierQueue"], resources["ParkedQueue"]):
        assert queue["Properties"]["RedrivePolicy"]["maxReceiveCount"] == dead_letters.MAX_RECEIVES


def test_a_message_that_kills_its_function_is_a_dead_letter_after_as_many_tries(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer cannot count such an attempt at its end. From the ninth receive on it counts before the attempt."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(kitchen.consumer, "_dispatch", die)
    kitchen.send()
    record = kitchen.record()
    for receives in range(1, 2 * dead_letters.MAX_TRIES + 1):
        record["attributes"]["ApproximateReceiveCount"] = str(receives)
        with pytest.raises(Killed):
            kitchen.handle(record)
    record["attributes"]["ApproximateReceiveCount"] = "17"
    assert kitchen.handle(record)
    (found,) = kitchen.dead_letters()
    assert (found["reason"], found["detail"][:36]) == ("retries-exhausted", "The function ended without an answer")


def test_receives_without_a_try_do_not_count(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen.error = TransientError("away")
    kitchen.send()
    assert not kitchen.handle(kitchen.record(ApproximateReceiveCount="50"))
    assert kitchen.dead_letters() == []
