"""Events that the stream's consumer has lost are still published."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError

from mercato import aws
from mercato.events import EventModel, outbox
from mercato.invocation import deadline
from mercato.store.dynamo import Table, put_new
from relay import publish, sweep, wiring
from tests.integration.relay.conftest import Bus, Failures
from tests.kit import aws_events


class Brewed(EventModel):
    TYPE: ClassVar[str] = "tea.brewed"
    EXAMPLE: ClassVar[dict[str, Any]] = {"cups": 1}

    cups: int


class Killed(BaseException):
    """The process ends here."""


class Outbox:
    """A table with a stream. `stream` has the records that Lambda would read from it."""

    def __init__(self, noon: datetime) -> None:
        description = boto3.client("dynamodb", "us-east-1").create_table(
            TableName="TeaTable",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]
        self.arn = description["LatestStreamArn"]
        self.table = Table("TeaTable")
        self.noon = noon
        self.streams = boto3.client("dynamodbstreams", "us-east-1")

    def brew(self, *cups: int) -> list[str]:
        """Writes one event for each. Returns their ids."""
        for one in cups:
            event = Brewed(cups=one)
            self.table.write(outbox.record(event, service="tea", subject=f"pot-{one}", sequence=1, now=self.noon))
        items = [self.table.get(f"OUTBOX#pot-{one}", "0000000001#tea.brewed") for one in cups]
        return [json.loads(item["event"])["id"] for item in items if item]

    def put(self, name: str, **attributes: Any) -> None:
        self.table.write(put_new({"pk": name, "sk": "x"} | attributes))

    @property
    def shard(self) -> str:
        (shard,) = self.streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
        return str(shard["ShardId"])

    def stream(self) -> list[dict[str, Any]]:
        iterator = self.streams.get_shard_iterator(
            StreamArn=self.arn, ShardId=self.shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found: list[dict[str, Any]] = self.streams.get_records(ShardIterator=iterator)["Records"]
        return [record | {"eventSourceARN": self.arn} for record in found]

    def give_up(self, first: int, last: int) -> None:
        """Sends Lambda's failure message about the records from one to the other, counted from 0."""
        numbers = [record["dynamodb"]["SequenceNumber"] for record in self.stream()]
        tell(aws_events.stream_failure(self.arn, self.shard, numbers[first], numbers[last], last - first + 1))


def tell(message: Any) -> None:
    url = wiring.ports().settings.failure_queue_url
    body = message if isinstance(message, str) else json.dumps(message)
    boto3.client("sqs", "us-east-1").send_message(QueueUrl=url, MessageBody=body)


def run() -> tuple[int, int]:
    """Runs the sweeper. Returns the numbers of recovered and remaining events."""
    answer = sweep.handler(aws_events.scheduled_event(), None)
    return answer["recovered"], answer["left"]


@pytest.fixture
def tea(bus: Bus, noon: datetime) -> Outbox:
    return Outbox(noon)


def test_a_relay_that_died_between_commit_and_publish_loses_nothing(tea: Outbox, bus: Bus, failures: Failures) -> None:
    ids = tea.brew(1, 2, 3, 4)
    tea.give_up(1, 2)

    assert run() == (1, 0)

    assert bus.taken == ids[1:3], "what Lambda gave up on, and nothing else"
    assert failures() == []


def test_what_in_a_lost_range_is_no_outbox_record_is_not_published(tea: Outbox, bus: Bus) -> None:
    (first,) = tea.brew(1)
    tea.put("plain")
    (last,) = tea.brew(2)
    tea.give_up(0, 2)
    assert run() == (1, 0)
    assert bus.taken == [first, last]


def test_a_poison_record_in_a_lost_range_is_set_aside_and_the_rest_published(
    tea: Outbox, bus: Bus, failures: Failures
) -> None:
    (first,) = tea.brew(1)
    tea.put("poison", event="not json")
    (last,) = tea.brew(2)
    tea.give_up(0, 2)

    assert run() == (1, 1)

    assert bus.taken == [first, last]
    (left,) = failures()
    assert left["keys"] == {"pk": {"S": "poison"}, "sk": {"S": "x"}}


def test_a_poison_record_stays_visible_until_its_item_is_mended(tea: Outbox, bus: Bus, failures: Failures) -> None:
    tea.put("poison", event="not json")
    assert publish.handler(aws_events.records(*tea.stream()), None) == {"batchItemFailures": []}

    assert run() == run() == (0, 1)
    assert bus.taken == []
    assert len(failures()) == 1, "it says so once"

    (good,) = tea.brew(1)
    item = tea.table.get("OUTBOX#pot-1", "0000000001#tea.brewed")
    assert item
    tea.table.write(put_new(item | {"pk": "other"}))
    mended = {":event": {"S": item["event"]}}
    key = {"pk": {"S": "poison"}, "sk": {"S": "x"}}
    boto3.client("dynamodb", "us-east-1").update_item(
        TableName="TeaTable", Key=key, UpdateExpression="SET event = :event", ExpressionAttributeValues=mended
    )
    assert run() == (1, 0)
    assert bus.taken == [good]
    assert failures() == []


@pytest.mark.parametrize("error", ["ThrottlingException", "MalformedDetail"])
def test_what_the_bus_does_not_take_stays_for_the_next_sweep(
    tea: Outbox, bus: Bus, failures: Failures, error: str
) -> None:
    tea.put("poison", event="not json")
    publish.handler(aws_events.records(*tea.stream()), None)
    (event_id,) = tea.brew(1)
    key = {"pk": {"S": "OUTBOX#pot-1"}, "sk": {"S": "0000000001#tea.brewed"}}
    tell({"reason": "x", "stream": tea.arn, "keys": key, "sequence_number": "9"})
    bus.refuse = {event_id: error}

    assert run() == (0, 2)
    assert len(failures()) == 2

    bus.refuse = {}
    assert run() == (1, 1)
    assert bus.taken[-1] == event_id


def test_a_lost_range_waits_while_the_bus_is_away(tea: Outbox, bus: Bus, failures: Failures) -> None:
    ids = tea.brew(1, 2)
    tea.give_up(0, 1)
    bus.fail_from = 1
    assert run() == (0, 1)
    bus.fail_from = None
    assert run() == (1, 0)
    assert bus.taken[-2:] == ids


def test_killed_between_publish_and_delete_the_next_sweep_publishes_the_same_event_again(
    tea: Outbox, bus: Bus, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    (event_id,) = tea.brew(1)
    tea.give_up(0, 0)
    sqs = aws.client("sqs")

    def die(**_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sqs, "delete_message", die)
        patch.setattr(sweep, "_HELD_FOR", 0)
        with pytest.raises(Killed):
            run()
    assert run() == (1, 0)
    assert bus.taken == [event_id, event_id], "one id, so that consumers know it"
    assert failures() == []


def test_a_stream_that_delivers_twice_publishes_the_same_event_twice(tea: Outbox, bus: Bus) -> None:
    (event_id,) = tea.brew(1)
    for _ in range(2):
        assert publish.handler(aws_events.records(*tea.stream()), None) == {"batchItemFailures": []}
    assert bus.taken == [event_id, event_id]
    assert bus.calls[0] == bus.calls[1]


@pytest.mark.parametrize("code", ["TrimmedDataAccessException", "ThrottlingException"])
def test_a_range_that_cannot_be_read_stays(
    tea: Outbox, bus: Bus, failures: Failures, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    tea.brew(1)
    tea.give_up(0, 0)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetShardIterator")

    monkeypatch.setattr(aws.client("dynamodbstreams"), "get_shard_iterator", refuse)
    assert run() == (0, 1)
    assert (bus.taken, len(failures())) == ([], 1)


@pytest.mark.parametrize(
    "message",
    [
        "not json",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": {}, "stream": "arn", "sequence_number": "1"}',
        '{"DDBStreamBatchInfo": {}}',
        '{"DDBStreamBatchInfo": {"endSequenceNumber": "x"}}',
        '{"keys": {"pk": {"S": ""}, "sk": {"S": "x"}}, "stream": "table/TeaTable/x", "sequence_number": "1"}',
    ],
)
def test_a_message_that_names_nothing_stays_and_the_others_are_recovered(
    tea: Outbox, bus: Bus, failures: Failures, message: str
) -> None:
    ids = tea.brew(1)
    tell(message)
    tea.give_up(0, 0)
    assert run() == (1, 1)
    assert bus.taken == ids


def test_an_empty_queue_costs_one_call(tea: Outbox, bus: Bus) -> None:
    assert run() == (0, 0)
    assert bus.calls == []


@pytest.fixture
def hog(tea: Outbox, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> str:
    """An event that the bus refuses after the whole time of a run. Its message is in the queue."""
    (event_id,) = tea.brew(0)
    key = {"pk": {"S": "OUTBOX#pot-0"}, "sk": {"S": "0000000001#tea.brewed"}}
    tell({"reason": "x", "stream": tea.arn, "keys": key, "sequence_number": "9"})
    bus.refuse = {event_id: "MalformedDetail"}
    put, time_left = bus.put_events, [60.0]

    def put_slowly(**call: Any) -> Any:
        answer = put(**call)
        if answer["FailedEntryCount"]:
            time_left[0] = 0.0
        return answer

    def begin(context: Any) -> Any:
        time_left[0] = 60.0
        return of_invocation(context)

    of_invocation = deadline.of_invocation
    monkeypatch.setattr(bus, "put_events", put_slowly)
    monkeypatch.setattr(deadline, "of_invocation", begin)
    monkeypatch.setattr(deadline, "left", lambda: time_left[0])
    return event_id


def test_what_failed_before_is_tried_after_all_others(tea: Outbox, bus: Bus, failures: Failures, hog: str) -> None:
    assert run() == (0, 1)
    ids = tea.brew(*range(1, 26))
    for number in range(1, 26):
        tea.give_up(number, number)

    assert run() == (25, 1)

    assert sorted(bus.taken) == sorted(ids)
    assert len(failures()) == 1


def test_of_those_that_were_received_as_often_none_is_kept_from_its_turn_for_ever(
    tea: Outbox, bus: Bus, failures: Failures, hog: str
) -> None:
    (event_id,) = tea.brew(1)
    tea.give_up(1, 1)
    for _ in range(64):
        if run()[0]:
            break
    assert bus.taken == [event_id]
    assert len(failures()) == 1


def test_what_a_run_has_no_time_for_is_visible_at_once(tea: Outbox, bus: Bus, failures: Failures, hog: str) -> None:
    tea.brew(1, 2)
    for number in (1, 2):
        tea.give_up(number, number)
    _, left = run()
    assert left == len(failures()) >= 1


def test_a_short_poll_that_asks_few_of_sqs_servers_hides_no_message(
    tea: Outbox, bus: Bus, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a wait, SQS asks a part of its servers, and may report a queue with few messages as empty."""
    ids = tea.brew(1)
    tea.give_up(0, 0)
    sqs = aws.client("sqs")
    receive = sqs.receive_message
    with monkeypatch.context() as patch:
        patch.setattr(sqs, "receive_message", lambda **call: receive(**call) if call.get("WaitTimeSeconds") else {})
        assert run() == (1, 0)
    assert bus.taken == ids
    assert failures() == []
