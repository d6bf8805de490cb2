import io
import json
import logging
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from mercato.telemetry.logs import log
from relay import lag, publish, wiring
from relay.bus import EventBus
from tests.integration.relay.conftest import Bus
from tests.kit import aws_events


def record(number: int, entity: str | None = None, name: str = "INSERT", event: str | None = None) -> dict[str, Any]:
    envelope = {
        "id": f"event-{number}",
        "source": "mercato.orders",
        "type": "order.created",
        "time": "2026-11-22T12:00:00.000Z",
        "subject": f"order-{number}",
        "correlationid": f"request-{number:04}",
        "traceparent": "",
        "data": {},
    }
    keys = {"pk": {"S": entity or f"ORDER#{number}"}, "sk": {"S": "E#0000000001"}}
    image = keys | {"event": {"S": event if event is not None else json.dumps(envelope)}}
    stream = "arn:aws:dynamodb:us-east-1:1:table/orders/stream/1"
    return aws_events.stream_record(image, number=str(number), name=name) | {"eventSourceARN": stream}


def relay(*records: dict[str, Any]) -> list[str]:
    """Returns the sequence numbers from which the stream must continue."""
    answer = publish.handler(aws_events.records(*records), None)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_every_record_is_published_in_order_in_calls_of_ten(bus: Bus) -> None:
    assert relay(*(record(number) for number in range(1, 26))) == []
    assert bus.taken == [f"event-{number}" for number in range(1, 26)]
    assert [len(call) for call in bus.calls] == [10, 10, 5]
    assert {entry["EventBusName"] for call in bus.calls for entry in call} == {"the-bus"}


def test_the_real_client_accepts_the_entries(failures: Any) -> None:
    boto3.client("events", "us-east-1").create_event_bus(Name="the-bus")
    assert relay(record(1), record(2)) == []
    assert failures() == []


def test_what_is_not_an_inserted_outbox_record_is_never_published(bus: Bus) -> None:
    plain = record(3)
    del plain["dynamodb"]["NewImage"]["event"]
    assert relay(record(1, name="MODIFY"), record(2, name="REMOVE"), plain) == []
    assert bus.calls == []


def test_the_stream_goes_on_from_the_first_entry_that_was_not_taken(bus: Bus) -> None:
    bus.refuse = {"event-4": "ThrottlingException", "event-7": "InternalFailure"}
    assert relay(*(record(number) for number in range(1, 26))) == ["4"]
    assert [len(call) for call in bus.calls] == [10, 2, 2, 2], "what was taken is not sent again, nor what comes after"


def test_a_short_throttle_is_waited_out_without_a_second_delivery(bus: Bus) -> None:
    bus.refuse = {"event-2": "ThrottlingException"}
    bus.heal_at = 3
    assert relay(record(1), record(2), record(3)) == []
    assert [len(call) for call in bus.calls] == [3, 1, 1]


def test_a_retry_from_the_failed_record_publishes_the_rest_and_loses_nothing(bus: Bus) -> None:
    records = [record(number) for number in range(1, 15)]
    bus.refuse = {"event-12": "ThrottlingException"}
    (failed,) = relay(*records)
    first = set(bus.taken)
    bus.refuse = {}
    assert relay(*[one for one in records if int(one["dynamodb"]["SequenceNumber"]) >= int(failed)]) == []
    assert first | set(bus.taken) == {f"event-{number}" for number in range(1, 15)}


def test_an_entitys_later_event_never_overtakes_an_earlier_one_that_failed(bus: Bus) -> None:
    bus.refuse = {"event-1": "InternalFailure"}
    assert relay(record(1, "ORDER#a"), record(2, "ORDER#b"), record(3, "ORDER#a")) == ["1"]
    assert bus.taken == ["event-2"]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "PutEvents"),
        ReadTimeoutError(endpoint_url="https://events"),
    ],
)
def test_a_call_that_fails_whole_is_tried_again_from_its_first_record(bus: Bus, error: Exception) -> None:
    bus.fail_from, bus.error = 2, error
    assert relay(*(record(number) for number in range(1, 26))) == ["11"]
    assert [len(call) for call in bus.calls] == [10, 10, 10, 10, 10]


def test_an_unreadable_record_is_set_aside_and_the_others_are_published(bus: Bus, failures: Any) -> None:
    assert relay(record(1), record(2, event="not json"), record(3)) == []
    assert bus.taken == ["event-1", "event-3"]
    (found,) = failures()
    assert found["keys"] == {"pk": {"S": "ORDER#2"}, "sk": {"S": "E#0000000001"}}
    assert found["sequence_number"] == "2"
    assert found["stream"] == "arn:aws:dynamodb:us-east-1:1:table/orders/stream/1"
    assert found["reason"].startswith("not an envelope")


def test_an_entry_that_will_never_be_taken_is_set_aside_and_the_stream_goes_on(bus: Bus, failures: Any) -> None:
    bus.refuse = {"event-2": "MalformedDetail"}
    assert relay(*(record(number) for number in range(1, 13))) == []
    assert bus.taken == [f"event-{number}" for number in range(1, 13) if number != 2]
    assert [found["reason"] for found in failures()] == ["MalformedDetail: no"]


def test_a_refused_entry_is_set_aside_even_when_a_later_one_must_be_tried_again(bus: Bus, failures: Any) -> None:
    bus.refuse = {"event-1": "InvalidArgument", "event-3": "ThrottlingException"}
    assert relay(record(1), record(2), record(3)) == ["3"]
    assert [found["sequence_number"] for found in failures()] == ["1"]


def test_a_missing_permission_is_not_a_poison_record(bus: Bus, failures: Any) -> None:
    bus.refuse = {"event-1": "AccessDeniedException"}
    assert relay(record(1)) == ["1"]
    assert failures() == []


def test_a_record_that_cannot_even_be_set_aside_is_kept_by_the_stream(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILURE_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/1/gone")
    vars(wiring.ports()).pop("settings", None)
    assert relay(record(1), record(2, event="not json"), record(3)) == ["2"]
    assert "event-1" in bus.taken, "what comes before the record that is kept is done"


def test_each_published_event_is_one_log_line_with_its_correlation_id(bus: Bus) -> None:
    bus.refuse = {"event-2": "ThrottlingException"}
    written = io.StringIO()
    to_text = logging.StreamHandler(written)
    to_text.setFormatter(log.registered_formatter)
    logging.getLogger(log.service).addHandler(to_text)
    try:
        relay(record(1), record(2))
    finally:
        logging.getLogger(log.service).removeHandler(to_text)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["event_id"], line["correlation_id"]) for line in lines if line["message"] == "event published"] == [
        ("event-1", "request-0001")
    ]


def test_the_publish_lag_is_a_metric_in_the_log(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = datetime(2026, 11, 22, 12, 0, 1, 250_000, tzinfo=UTC)
    vars(wiring.ports()).update(event_bus=EventBus("the-bus", sleep=lambda _: None, now=lambda: later))
    bus.refuse = {"event-2": "ThrottlingException"}

    relay(record(1), record(2), record(3))

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert line == {
        "_aws": {
            "Timestamp": 1795348801250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Mercato",
                    "Dimensions": [["bus"]],
                    "Metrics": [{"Name": "PublishLag", "Unit": "Milliseconds"}],
                }
            ],
        },
        "bus": "the-bus",
        "PublishLag": [1250, 1250],
    }


def test_no_lag_is_below_zero_and_nothing_published_is_no_metric(capsys: pytest.CaptureFixture[str]) -> None:
    noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    lag.report([noon], "b", datetime(2026, 11, 22, 11, 59, 59, tzinfo=UTC))
    lag.report([], "b", noon)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["PublishLag"] == [0]
