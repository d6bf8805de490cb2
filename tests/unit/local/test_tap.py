from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.replay.tap import Seen, Tap, within, written_events
from mercato.store.dynamo import Table, put

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def envelope(event_id: str, event_type: str = "order.created", at: datetime = NOON) -> dict[str, str]:
    return {"id": event_id, "type": event_type, "time": at.isoformat()}


@pytest.fixture
def tap(cloud: None) -> Tap:
    boto3.client("events").create_event_bus(Name="bus")
    return Tap(boto3.client("sqs"), boto3.client("events"), "bus", "mercato-tap-1", wait=0)


def publish(source: str, event_id: str) -> None:
    entry = {
        "EventBusName": "bus",
        "Source": source,
        "DetailType": "order.created",
        "Detail": json.dumps(envelope(event_id)),
    }
    boto3.client("events").put_events(Entries=[entry])


def open_without_thread(tap: Tap) -> None:
    """Opens the tap as `with` does, but the test reads the queue itself."""
    tap._thread.start = lambda: None  # type: ignore[method-assign]
    tap._thread.join = lambda timeout=None: None  # type: ignore[method-assign]
    tap.__enter__()


def test_each_event_of_the_shop_is_counted_once_however_often_it_comes(tap: Tap) -> None:
    open_without_thread(tap)
    for source, event_id in [
        ("mercato.orders", "1"),
        ("mercato.orders", "1"),
        ("mercato.payments", "2"),
        ("other", "3"),
    ]:
        publish(source, event_id)
    while tap.drain():
        continue
    assert dict(tap.seen()) == {
        "1": Seen("1", "order.created", NOON),
        "2": Seen("2", "order.created", NOON),
    }
    assert (tap.deliveries, tap.unreadable) == (3, 0)


def test_what_is_no_event_is_counted_apart(tap: Tap) -> None:
    open_without_thread(tap)
    for body in ("no json", "{}", '{"detail": {"id": "1"}}', '{"detail": {"id": "1", "type": "t", "time": "never"}}'):
        boto3.client("sqs").send_message(QueueUrl=tap._url, MessageBody=body)
    while tap.drain():
        continue
    assert (dict(tap.seen()), tap.deliveries, tap.unreadable) == ({}, 4, 4)


def test_nothing_is_left_behind(tap: Tap) -> None:
    with tap:
        assert [rule["Name"] for rule in boto3.client("events").list_rules(EventBusName="bus")["Rules"]] == [
            "mercato-tap-1"
        ]
    assert boto3.client("events").list_rules(EventBusName="bus")["Rules"] == []
    assert boto3.client("sqs").list_queues().get("QueueUrls", []) == []


def test_a_tap_that_cannot_be_opened_leaves_nothing_behind(cloud: None) -> None:
    tap = Tap(boto3.client("sqs"), boto3.client("events"), "no such bus", "mercato-tap-1", wait=0)
    with pytest.raises(ClientError):
        tap.__enter__()
    assert boto3.client("sqs").list_queues().get("QueueUrls", []) == []


def test_the_events_in_the_tables_are_found_among_other_items(make_table: Callable[[str], Table]) -> None:
    orders, users = make_table("OrdersTable"), make_table("UsersTable")
    orders.write(put({"pk": "a", "sk": "1", "event": json.dumps(envelope("1"))}))
    orders.write(put({"pk": "a", "sk": "2", "note": "no event"}))
    users.write(put({"pk": "b", "sk": "1", "event": json.dumps(envelope("2", "user.registered"))}))
    found = written_events(boto3.client("dynamodb"), ["OrdersTable", "UsersTable"])
    assert sorted(found, key=lambda seen: seen.event_id) == [
        Seen("1", "order.created", NOON),
        Seen("2", "user.registered", NOON),
    ]


def test_only_the_events_of_the_window_count() -> None:
    minute = timedelta(minutes=1)
    events = [Seen(str(place), "t", NOON + place * minute) for place in range(5)]
    assert within(events, NOON + minute, NOON + 3 * minute) == {"1": "t", "2": "t", "3": "t"}
