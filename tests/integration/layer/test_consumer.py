import json
from typing import Any

import boto3
import pytest

from mercato import aws
from mercato.errors import Conflict, TransientError
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.telemetry import correlation
from tests.kit import aws_events
from tests.kit.given import published

QUEUE = "shop-tea"


class Brewed(Reads):
    cups: int


class PotIsEmpty(Conflict):
    pass


class Kitchen:
    def __init__(self) -> None:
        self.consumer = Consumer("kitchen")
        self.seen: list[tuple[int, correlation.Correlation]] = []
        self.errors: dict[int, Exception] = {}
        sqs = boto3.client("sqs", "us-east-1")
        self.dlq = sqs.create_queue(QueueName="shop-tea-dlq")["QueueUrl"]

        @self.consumer.on("tea.brewed", "tea.poured")
        def take(_: Event, data: Brewed) -> None:
            self.seen.append((data.cups, correlation.current()))
            if data.cups in self.errors:
                raise self.errors[data.cups]

    def receive(self, *records: dict[str, Any]) -> list[str]:
        answer = self.consumer.handler(aws_events.records(*records), None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def dead_letters(self) -> list[dict[str, Any]]:
        answer = boto3.client("sqs", "us-east-1").receive_message(
            QueueUrl=self.dlq, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [
            {"body": message["Body"]}
            | {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            for message in answer.get("Messages", [])
        ]


@pytest.fixture
def kitchen(cloud: None) -> Kitchen:
    return Kitchen()


def message(cups: Any, event_type: str = "tea.brewed", **changes: Any) -> dict[str, Any]:
    data = {"cups": cups, "later_field": "ignored"}
    fields = {"id": f"event-{cups}", "correlationid": f"request-{cups}-id"} | changes
    return aws_events.bus_record(published(event_type, "pot-1", data, **fields), QUEUE, message_id=f"m{cups}")


def test_each_event_reaches_its_function_with_its_own_correlation(kitchen: Kitchen) -> None:
    assert kitchen.receive(message(1), message(2, "tea.poured")) == []
    assert [(cups, work.correlation_id, work.causation_id) for cups, work in kitchen.seen] == [
        (1, "request-1-id", "event-1"),
        (2, "request-2-id", "event-2"),
    ]
    assert correlation.current().correlation_id not in ("request-1-id", "request-2-id")


@pytest.mark.parametrize("error", [TransientError("away"), ZeroDivisionError("bug")])
def test_what_fails_now_is_reported_alone_and_the_rest_goes_on(kitchen: Kitchen, error: Exception) -> None:
    kitchen.errors = {2: error}
    assert kitchen.receive(message(1), message(2), message(3)) == ["m2"]
    assert [cups for cups, _ in kitchen.seen] == [1, 2, 3]
    assert kitchen.dead_letters() == []


def test_a_business_rule_sends_the_message_to_the_dead_letters_with_its_reason(kitchen: Kitchen) -> None:
    kitchen.errors = {1: PotIsEmpty("The pot is empty.")}
    record = message(1)
    assert kitchen.receive(record, message(2)) == []
    assert kitchen.dead_letters() == [
        {
            "body": record["body"],
            "reason": "pot-is-empty",
            "detail": "The pot is empty.",
            "correlation_id": "request-1-id",
            "message_id": "m1",
            "receive_count": "1",
            "redrive_count": "0",
            "first_failed_at": "2026-11-22T12:00:00.001Z",  # when the queue first handed the message out
        }
    ]


@pytest.mark.parametrize("detail", ["", "line\x00one\nline two", "é" * 3000])
def test_any_detail_can_be_an_attribute(kitchen: Kitchen, detail: str) -> None:
    kitchen.errors = {1: PotIsEmpty(detail)}
    assert kitchen.receive(message(1)) == []
    (found,) = kitchen.dead_letters()
    assert 0 < len(found["detail"]) <= 1000
    assert found["detail"].isprintable()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"detail": null}',
        '{"detail": {"id": "x"}}',
        "[" * 100_000,
        json.dumps({"detail": json.loads(message("two")["body"])["detail"]}),
        json.dumps({"detail": json.loads(message(1)["body"])["detail"] | {"data": []}}),
        json.dumps({"detail": json.loads(message(1)["body"])["detail"] | {"time": "yesterday"}}),
    ],
)
def test_what_can_never_be_read_goes_to_the_dead_letters_at_once(kitchen: Kitchen, body: str) -> None:
    record = aws_events.sqs_record(body or " ", QUEUE, message_id="bad")
    assert kitchen.receive(record, message(2)) == []
    (found,) = kitchen.dead_letters()
    assert (found["reason"], found["message_id"], found["body"]) == ("malformed", "bad", body or " ")
    assert [cups for cups, _ in kitchen.seen] == [2]


def test_where_the_dead_letters_cannot_be_reached_the_message_stays_and_the_rest_goes_on(kitchen: Kitchen) -> None:
    lost = message(1) | {"body": "not json", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:no-such-queue"}
    assert kitchen.receive(lost, message(2)) == ["m1"]
    assert [cups for cups, _ in kitchen.seen] == [2]


def test_an_event_without_a_valid_correlation_gets_a_new_one(kitchen: Kitchen) -> None:
    assert kitchen.receive(message(1, correlationid=None), message(2, correlationid="x y")) == []
    assert all(len(work.correlation_id) == 36 for _, work in kitchen.seen)


def test_what_there_is_no_time_for_is_given_back_untried(kitchen: Kitchen) -> None:
    answer = kitchen.consumer.handler(aws_events.records(message(1), message(2)), aws_events.Context(2900))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]}
    assert (kitchen.seen, kitchen.dead_letters()) == ([], [])


def test_a_consumer_of_long_work_begins_none_that_would_be_cut_off(cloud: None) -> None:
    kitchen, seen = Consumer("kitchen", longest=9.0), list[str]()

    @kitchen.on("tea.brewed")
    def take(event: Event, _: Brewed) -> None:
        seen.append(event.id)

    answer = kitchen.handler(aws_events.records(message(1)), aws_events.Context(9900))
    assert (answer, seen) == ({"batchItemFailures": [{"itemIdentifier": "m1"}]}, [])
    assert kitchen.handler(aws_events.records(message(1)), aws_events.Context(10500)) == {"batchItemFailures": []}
    assert len(seen) == 1


def test_an_empty_batch_calls_nothing(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(aws, "client")
    assert kitchen.receive() == []
