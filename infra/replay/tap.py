"""A temporary rule and queue that receive a copy of every event on the bus while the replay runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

_PAUSE = 0.05
_PATTERN = json.dumps({"source": [{"prefix": "mercato."}]})


@dataclass(frozen=True)
class Seen:
    """The fields of an event that the audit needs."""

    event_id: str
    type: str
    at: datetime


class Tap:
    """Counts the distinct events on the bus between entering and leaving the `with` block."""

    def __init__(self, sqs: Any, events: Any, bus: str, name: str, wait: int = 1) -> None:
        """`wait` is the long-polling time of one receive call, in seconds."""
        self._sqs = sqs
        self._events = events
        self._bus = bus
        self._name = name
        self._wait = wait
        self._seen: dict[str, Seen] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="tap", daemon=True)
        self.deliveries = 0
        self.unreadable = 0

    def __enter__(self) -> Self:
        self._url = self._sqs.create_queue(QueueName=self._name, Attributes={"MessageRetentionPeriod": "86400"})[
            "QueueUrl"
        ]
        try:
            self._open()
        except ClientError:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._close()

    def seen(self) -> Mapping[str, Seen]:
        """The events received so far, by id."""
        return dict(self._seen)

    def _open(self) -> None:
        queue_arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        rule_arn = self._events.put_rule(
            Name=self._name,
            EventBusName=self._bus,
            EventPattern=_PATTERN,
            Description="mercato replay counts the events",
        )["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        answer = self._events.put_targets(
            Rule=self._name, EventBusName=self._bus, Targets=[{"Id": "tap", "Arn": queue_arn}]
        )
        if answer["FailedEntryCount"]:
            raise RuntimeError(f"the tap could not be opened: {answer['FailedEntries']}")

    def _close(self) -> None:
        """Deletes the rule and the queue, even if only some of them were created."""
        steps: list[Callable[[], Any]] = [
            lambda: self._events.remove_targets(Rule=self._name, EventBusName=self._bus, Ids=["tap"]),
            lambda: self._events.delete_rule(Name=self._name, EventBusName=self._bus),
            lambda: self._sqs.delete_queue(QueueUrl=self._url),
        ]
        for take_away in steps:
            try:
                take_away()
            except (ClientError, BotoCoreError):
                continue

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.drain():
                    self._stop.wait(_PAUSE)
            except (ClientError, BotoCoreError):
                # The messages stay in the queue, and the audit waits for missing events.
                self._stop.wait(1)

    def drain(self) -> int:
        """Receives, counts and then deletes one batch of messages. Returns the batch's size."""
        messages = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=self._wait
        ).get("Messages", [])
        if not messages:
            return 0
        for message in messages:
            self._count(message["Body"])
        handles = [
            {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]} for place, message in enumerate(messages)
        ]
        self._sqs.delete_message_batch(QueueUrl=self._url, Entries=handles)
        return len(messages)

    def _count(self, body: str) -> None:
        self.deliveries += 1
        try:
            found = read_event(json.loads(body)["detail"])
        except (ValueError, KeyError, TypeError):
            self.unreadable += 1
            return
        self._seen[found.event_id] = found


def read_event(envelope: Mapping[str, Any]) -> Seen:
    return Seen(envelope["id"], envelope["type"], datetime.fromisoformat(envelope["time"]))


def written_events(dynamodb: Any, tables: Iterable[str]) -> Iterator[Seen]:
    """Yields every event in the tables: items with an `event` attribute. Scans the tables: for audits only."""
    for table in tables:
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=table,
            FilterExpression="attribute_exists(#event)",
            ProjectionExpression="#event",
            ExpressionAttributeNames={"#event": "event"},
        )
        for page in pages:
            for item in page["Items"]:
                yield read_event(json.loads(item["event"]["S"]))


def within(events: Iterable[Seen], start: datetime, end: datetime) -> dict[str, str]:
    """Maps the ids of the events from `start` to `end` to their types."""
    return {event.event_id: event.type for event in events if start <= event.at <= end}
