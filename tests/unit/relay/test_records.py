import json
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.records import MAX_BYTES, Unreadable, batches, is_outbox_record, read
from tests.kit import aws_events
from tests.kit.given import published


def envelope(**changes: Any) -> dict[str, Any]:
    fields = {
        "id": "event-1",
        "source": "mercato.orders",
        "correlationid": "request-0001",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    } | changes
    return published("order.created", "order-1", {"order_id": "order-1"}, **fields)


def record(
    number: str = "100", entity: str = "ORDER#1", event: Any = None, name: str = "INSERT", **changes: Any
) -> dict[str, Any]:
    text = event if isinstance(event, str) else json.dumps(envelope(**changes))
    image = {"pk": {"S": entity}, "sk": {"S": "E#1"}, "event": {"S": text}}
    return aws_events.stream_record(image, number=number, name=name)


def sizes(*records: dict[str, Any]) -> list[list[str]]:
    return [[one.sequence_number for one in batch] for batch in batches(read(found, "bus") for found in records)]


def test_an_entry_carries_the_envelope_as_it_was_written() -> None:
    found = record()
    outgoing = read(found, "the-bus")
    assert outgoing.entry == {
        "Source": "mercato.orders",
        "DetailType": "order.created",
        "Detail": found["dynamodb"]["NewImage"]["event"]["S"],
        "Time": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "EventBusName": "the-bus",
    }
    assert outgoing.correlation.correlation_id == "request-0001"
    assert outgoing.size == 14 + sum(len(outgoing.entry[name]) for name in ("Source", "DetailType", "Detail"))


def test_the_size_counts_bytes_and_not_characters() -> None:
    detail = json.dumps(envelope(subject="Łódź"), ensure_ascii=False)
    assert read(record(event=detail), "bus").size == 14 + len("mercato.orders") + len("order.created") + len(
        detail.encode()
    )


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE", None])
def test_only_inserted_items_are_outbox_records(name: str) -> None:
    assert not is_outbox_record(record(name=name))


def test_items_without_an_event_are_no_outbox_records() -> None:
    found = record()
    del found["dynamodb"]["NewImage"]["event"]
    assert not is_outbox_record(found)
    del found["dynamodb"]["NewImage"]
    assert not is_outbox_record(found)


@pytest.mark.parametrize(
    "event",
    [
        "not json",
        "[]",
        '"text"',
        "null",
        "{}",
        "[" * 200_000,
        json.dumps(envelope(time="yesterday")),
        json.dumps(envelope(time=5)),
        json.dumps({name: value for name, value in envelope().items() if name != "source"}),
        json.dumps({name: value for name, value in envelope().items() if name != "correlationid"}),
        json.dumps(envelope(type=7)),
    ],
)
def test_what_is_not_an_envelope_is_unreadable(event: str) -> None:
    with pytest.raises(Unreadable):
        read(record(event=event), "bus")


def test_an_event_attribute_of_another_type_is_unreadable() -> None:
    found = record()
    found["dynamodb"]["NewImage"]["event"] = {"M": {}}
    with pytest.raises(Unreadable):
        read(found, "bus")


def test_an_entry_over_the_limit_of_a_call_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="bytes"):
        read(record(data={"text": "x" * MAX_BYTES}), "bus")


def test_a_call_takes_ten_entries() -> None:
    records = [record(str(number), entity=f"ORDER#{number}") for number in range(21)]
    assert [len(batch) for batch in sizes(*records)] == [10, 10, 1]


def test_a_call_stays_under_256_kilobytes() -> None:
    records = [record(str(number), entity=f"ORDER#{number}", data={"text": "x" * 100_000}) for number in range(5)]
    assert sizes(*records) == [["0", "1"], ["2", "3"], ["4"]]


def test_an_entity_is_only_once_in_a_call() -> None:
    assert sizes(record("1", "ORDER#1"), record("2", "ORDER#2"), record("3", "ORDER#1"), record("4", "ORDER#3")) == [
        ["1", "2"],
        ["3", "4"],
    ]


def test_nothing_makes_no_call() -> None:
    assert sizes() == []
