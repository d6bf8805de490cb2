"""The journal: each event of the bus, for 14 days, without the personal data that events carry.

Keys, in a table of its own:
- event: pk=LOG#<shard>, sk=N#<number, 12 digits>; gsi1pk=REQUEST#<correlation id>, gsi1sk=<time>#<id>
- a shard's last number: pk=LOG#<shard>, sk=LAST
- that an event is recorded: pk=EVENT#<id>, sk=EVENT

The numbers of a shard have no gaps: an event, its mark and its shard's last number are one transaction, on the
condition that the last number has not moved. So a reader that has read a shard up to a number misses nothing by going
on after it, whatever the order of arrival and however long a write takes: no clock decides.
"""

from __future__ import annotations

import base64
import heapq
import json
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import epoch, rfc3339
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.events import Event
from mercato.store import dynamo, expiry
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, InvalidCursor, KeyRange, Table

SHARDS = 8
KEPT = timedelta(days=14)
MOST_OF_REQUEST = 1000  # events of one request that are read
_ATTEMPTS = 10
_NUMBER = "N#{:012d}"
_BEYOND = "N#~"


@dataclass(frozen=True)
class Entry:
    """`ids` are the fields of the event's data that are ids, which is all that the journal keeps of the data."""

    event_id: str
    type: str
    source: str
    subject: str
    sequence: int
    at: str
    recorded_at: str
    correlation_id: str
    causation_id: str | None
    ids: dict[str, str]


@dataclass(frozen=True)
class Position:
    """How far a reader is: by shard, the number of the last event that it has read."""

    numbers: tuple[int, ...] = (0,) * SHARDS

    def encode(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(self.numbers, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Position:
        try:
            numbers = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError:
            numbers = None
        is_position = isinstance(numbers, list) and len(numbers) == SHARDS
        if not is_position or not all(type(number) is int and 0 <= number < 10**12 for number in numbers):
            raise InvalidCursor("`after` cannot be read; start again without it.")
        return cls(tuple(numbers))


class Journal:
    """`sleep` is passed in for tests."""

    def __init__(self, table: Table, sleep: Callable[[float], None] = time.sleep) -> None:
        self._table = table
        self._sleep = sleep
        # A sandbox records in a shard of its own, whose last number it knows, until another one records there, too.
        self._shard: int | None = None
        self._last: int | None = None

    def record(self, event: Event, now: datetime) -> None:
        """Idempotent by event id: a duplicate changes nothing."""
        for _ in range(_ATTEMPTS):
            shard = random.randrange(SHARDS) if self._shard is None else self._shard
            last = self._read_last(shard) if self._last is None else self._last
            unmoved = "#last = :before" if last else "attribute_not_exists(pk)"
            values: dict[str, Any] = {":next": last + 1} | ({":before": last} if last else {})
            names = {"#last": "last"}
            counting = dynamo.update(f"LOG#{shard}", "LAST", "SET #last = :next", unmoved, names=names, values=values)
            mark = {"pk": f"EVENT#{event.id}", "sk": "EVENT", "ttl": epoch(now + KEPT)}
            recorded = dynamo.put_new(_item(event, shard, last + 1, now))
            try:
                self._table.transact([expiry.put_new(mark, now), counting, recorded])
            except ConditionFailed as failed:
                if failed.index == 0:
                    return  # recorded before
                self._shard = self._last = None
                self._sleep(random.uniform(0, 0.02))
                continue
            self._shard, self._last = shard, last + 1
            return
        raise TransientError("other invocations record events of this shard too fast")

    def _read_last(self, shard: int) -> int:
        item = self._table.get(f"LOG#{shard}", "LAST")
        return int(item["last"]) if item else 0

    def read_after(
        self, position: Position, *, limit: int, event_type: str | None = None, now: datetime
    ) -> tuple[list[Entry], Position]:
        """The events after a position, those that were recorded first before all others, and the position after them.

        An event of another type than the one that is asked for is passed over. Fewer events than `limit`, or none, do
        not mean that there are no more.
        """
        shards = [self._following(shard, number, limit) for shard, number in enumerate(position.numbers)]
        numbers, found = list(position.numbers), list[Entry]()
        for item in heapq.merge(*shards, key=_recorded):
            if len(found) == limit:
                break
            numbers[int(item["pk"].removeprefix("LOG#"))] = _number(item)
            if event_type in (None, item["type"]) and expiry.is_live(item, now):
                found.append(_entry(item))
        return found, Position(tuple(numbers))

    def read_newest(self, *, limit: int, event_type: str | None = None, now: datetime) -> tuple[list[Entry], Position]:
        """The newest events, the oldest of them first, and the position after them."""
        shards: list[list[Item]] = []
        numbers: list[int] = []
        newest_first = KeyRange(prefix="N#", forward=False)
        for shard in range(SHARDS):
            # Downwards, a smaller number is there whenever a larger one was seen before it.
            items = self._table.query(f"LOG#{shard}", newest_first, limit=limit).items[::-1]
            shards.append([item for item in items if expiry.is_live(item, now)])
            numbers.append(_number(items[-1]) if items else 0)
        merged = [item for item in heapq.merge(*shards, key=_recorded) if event_type in (None, item["type"])]
        return [_entry(item) for item in merged[-limit:]], Position(tuple(numbers))

    def count(self, begin: datetime, end: datetime, counts: Callable[[str], bool], now: datetime) -> int:
        """How many events whose types count happened from `begin` until before `end`."""
        first, last, found = rfc3339(begin), rfc3339(end), 0
        for shard in range(SHARDS):
            for item in self._table.query_all(f"LOG#{shard}", KeyRange(prefix="N#", forward=False)):
                if item["recorded_at"] < first:  # an event is recorded after it happened
                    break
                found += counts(item["type"]) and first <= item["at"] < last and expiry.is_live(item, now)
        return found

    def of_request(self, correlation_id: str, now: datetime) -> list[Entry]:
        """The events of one request by their own times, at most so many."""
        found: list[Entry] = []
        for item in self._table.query_all(f"REQUEST#{correlation_id}", index="gsi1"):
            if expiry.is_live(item, now):
                found.append(_entry(item))
            if len(found) == MOST_OF_REQUEST:
                break
        return found

    def _following(self, shard: int, number: int, limit: int) -> list[Item]:
        """Events after a number, without one that is missing before another.

        A query goes upwards while events are written: it may pass a number that is not there yet, and then meet the
        next one. A second query, which begins after that, sees both; what is missing there has expired.
        """
        found = self._query(shard, number, limit)
        if found and _number(found[-1]) - number != len(found):
            last = _number(found[-1])
            found = [item for item in self._query(shard, number, limit) if _number(item) <= last]
        return found

    def _query(self, shard: int, number: int, limit: int) -> list[Item]:
        following = KeyRange(between=(_NUMBER.format(number + 1), _BEYOND))
        return self._table.query(f"LOG#{shard}", following, limit=limit).items


def _item(event: Event, shard: int, number: int, now: datetime) -> Item:
    at = rfc3339(event.time)
    return {
        "pk": f"LOG#{shard}",
        "sk": _NUMBER.format(number),
        "gsi1pk": f"REQUEST#{event.correlationid or 'none'}",
        "gsi1sk": f"{at}#{event.id}",
        "event_id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "sequence": event.sequence,
        "at": at,
        "recorded_at": rfc3339(now),
        "correlation_id": event.correlationid or "",
        "causation_id": event.causationid,
        "ids": {name: value for name, value in event.data.items() if name.endswith("_id") and isinstance(value, str)},
        "ttl": epoch(now + KEPT),
    }


def _number(item: Item) -> int:
    return int(item["sk"].removeprefix("N#"))


def _recorded(item: Item) -> str:
    return str(item["recorded_at"])


def _entry(item: Item) -> Entry:
    return Entry(**{name: item[name] for name in Entry.__dataclass_fields__})
