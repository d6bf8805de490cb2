"""An event store on DynamoDB that knows nothing of what it stores.

Keys, in the service's own table: events `pk=<type>#<id>, sk=E#<version, 10 digits>`; head `pk=<type>#<id>, sk=HEAD`
with the version. An append is one transaction: every event is new, and the head moves from the expected version, so
that versions have no gaps and one of several writers wins. A payload is one JSON string, deflated where it is long.
Snapshots are beside it, in partitions of their own: mercato.snapshots.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from mercato import correlation, dynamo
from mercato.clock import rfc3339
from mercato.dynamo import ConditionFailed, Table, Write
from mercato.errors import TransientError
from mercato.items import Item

MAX_ITEM = 400 * 1024
MAX_TOTAL = 4 * 1024 * 1024
_PLAIN = 4 * 1024  # bytes; a longer payload is deflated: a transaction is billed twice by the kilobyte


class ConcurrencyError(TransientError):
    """Somebody else appended first: load again and decide again."""

    def __init__(self, stream: str, expected: int, actual: int | None) -> None:
        super().__init__(f"{stream} was expected at version {expected} and is at {actual}")
        self.expected = expected
        self.actual = actual


class AppendTooLarge(ValueError):
    """The append would go past what one transaction takes: 100 writes, 4 MB, 400 KB an item."""


class BrokenStream(RuntimeError):
    """The stored versions are not contiguous. Nothing may be decided on such a stream."""


@dataclass(frozen=True)
class NewEvent:
    """What is to be appended. `public` is the text of the outbox's `event` attribute, where the world is told of it."""

    event_id: str
    type: str
    schema_version: int
    at: datetime
    data: dict[str, Any]
    public: str | None = None


@dataclass(frozen=True)
class StoredEvent:
    version: int
    event_id: str
    type: str
    schema_version: int
    at: datetime
    data: dict[str, Any]
    correlation_id: str
    causation_id: str | None


# Makes the data of one event type at one schema version that of the next version.
Upcasts = Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]


class EventStore:
    """The streams of one entity type in one table. `upcasts` bring what older code has stored up to today's schema."""

    def __init__(self, table: Table, entity: str, upcasts: Upcasts = MappingProxyType({})) -> None:
        if "#" in entity:
            raise ValueError("an entity type has no '#'")
        self._table = table
        self._entity = entity
        self._upcasts = upcasts

    def append(
        self, stream_id: str, expected: int, events: Sequence[NewEvent], *, alongside: Sequence[Write] = ()
    ) -> int:
        """Append after version `expected` (0: a new stream); `alongside` are writes of the same transaction.

        Returns the new version. Raises ConcurrencyError where the stream has moved on, and ConditionFailed, with the
        index into `alongside`, where only a condition of those failed. An append whose answer was lost and that comes
        again is found done by its event ids, so these must belong to one command alone.
        """
        if not events:
            raise ValueError("there is nothing to append")
        pk = self._pk(stream_id)
        items = [self._item(pk, expected + offset, event) for offset, event in enumerate(events, 1)]
        writes = [dynamo.put_new(item) for item in items]
        writes.append(self._move_head(pk, expected, expected + len(events)))
        writes += alongside
        _check_limits(items, writes)
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            if failed.index > len(events):  # the first that failed: neither an event nor the head
                raise ConditionFailed(failed.index - len(events) - 1, failed.item) from None
            if not self._is_done(pk, expected, events):
                raise ConcurrencyError(f"{self._entity} {stream_id}", expected, self.version(stream_id)) from None
        except TransientError:
            # A time-out tells nothing: the append may have been done.
            if not self._is_done(pk, expected, events):
                raise
        return expected + len(events)

    def silence(self, stream_id: str, version: int) -> Write:
        """A write that takes the announcement off an event, which is published long since, and leaves the event."""
        return dynamo.update(
            self._pk(stream_id), _sort_key(version), "REMOVE #event", "attribute_exists(pk)", names={"#event": "event"}
        )

    def read(self, stream_id: str, *, after: int = 0, up_to: int | None = None) -> Iterator[StoredEvent]:
        """The events after one version, and up to another, in order, page by page."""
        version = after
        limit = None if up_to is None else up_to - after
        if limit is not None and limit <= 0:
            return
        for item in self._table.query_all(self._pk(stream_id), after=_sort_key(after), limit=limit):
            if not item["sk"].startswith("E#"):
                return
            version += 1
            if item["sk"] != _sort_key(version):
                raise BrokenStream(f"{self._entity} {stream_id} lacks version {version}")
            yield self._stored(version, item)
            if version == up_to:  # before another page is asked for
                return

    def tail(self, stream_id: str, most: int) -> list[StoredEvent]:
        """The newest events, at most so many, in order."""
        items: list[Item] = []
        bounds = {"between": (_sort_key(0), _sort_key(10**10 - 1)), "forward": False, "limit": most}
        for item in self._table.query_all(self._pk(stream_id), **bounds):
            items.append(item)
            if len(items) == most:
                break
        items.reverse()
        first = int(items[0]["sk"][2:]) if items else 1
        for version, item in enumerate(items, first):
            if item["sk"] != _sort_key(version):
                raise BrokenStream(f"{self._entity} {stream_id} lacks version {version}")
        return [self._stored(version, item) for version, item in enumerate(items, first)]

    def version(self, stream_id: str) -> int:
        """Of the last event; 0 where there is no stream."""
        head = self._table.get(self._pk(stream_id), "HEAD")
        return head["ver"] if head else 0

    def is_still_at(self, stream_id: str, version: int) -> Write:
        """A condition for another transaction: nobody has appended since."""
        return dynamo.check(self._pk(stream_id), "HEAD", "ver = :version", values={":version": version})

    def fold(
        self, stream_id: str, apply: Callable[[Any, StoredEvent], Any], state: Any, *, after: int = 0
    ) -> tuple[Any, int]:
        """The state after the last event, and its version."""
        version = after
        for event in self.read(stream_id, after=after):
            state, version = apply(state, event), event.version
        return state, version

    def _stored(self, version: int, item: Item) -> StoredEvent:
        kind, schema_version, data = item["t"], item["tv"], unpack(item["d"])
        while (kind, schema_version) in self._upcasts:
            data, schema_version = self._upcasts[kind, schema_version](data), schema_version + 1
        return StoredEvent(
            version=version,
            event_id=item["id"],
            type=kind,
            schema_version=schema_version,
            at=datetime.fromisoformat(item["ts"]),
            data=data,
            correlation_id=item["cid"],
            causation_id=item.get("cau"),
        )

    def _is_done(self, pk: str, expected: int, events: Sequence[NewEvent]) -> bool:
        keys = [(pk, _sort_key(expected + offset)) for offset in range(1, len(events) + 1)]
        stored = {item["sk"]: item["id"] for item in self._table.get_many(keys)}
        return [stored.get(sk) for _, sk in keys] == [event.event_id for event in events]

    def _pk(self, stream_id: str) -> str:
        return f"{self._entity}#{stream_id}"

    @staticmethod
    def _move_head(pk: str, expected: int, version: int) -> Write:
        condition = "ver = :expected" if expected else "attribute_not_exists(pk)"
        values: dict[str, Any] = {":ver": version} | ({":expected": expected} if expected else {})
        return dynamo.update(pk, "HEAD", "SET ver = :ver", condition, values=values)

    @staticmethod
    def _item(pk: str, version: int, event: NewEvent) -> Item:
        work = correlation.current()
        item: Item = {
            "pk": pk,
            "sk": _sort_key(version),
            "id": event.event_id,
            "t": event.type,
            "tv": event.schema_version,
            "ts": rfc3339(event.at),
            "cid": work.correlation_id,
            "tp": work.traceparent,
            "d": pack(event.data),
        }
        if work.causation_id:
            item["cau"] = work.causation_id
        if event.public is not None:
            item["event"] = event.public
        return item


def _sort_key(version: int) -> str:
    return f"E#{version:010d}"


def pack(data: Any) -> str | bytes:
    """JSON, deflated where it is long."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    encoded = text.encode()
    return text if len(encoded) <= _PLAIN else zlib.compress(encoded)


def unpack(payload: str | bytes) -> Any:
    return json.loads(zlib.decompress(payload) if isinstance(payload, bytes) else payload)


def _check_limits(items: Sequence[Item], writes: Sequence[Write]) -> None:
    if len(writes) > dynamo.MAX_TRANSACTION:
        raise AppendTooLarge(f"{len(writes)} writes; a transaction takes {dynamo.MAX_TRANSACTION}")
    largest = max(_size(item) for item in items)
    if largest > MAX_ITEM:
        raise AppendTooLarge(f"an event of {largest} bytes; {MAX_ITEM} is the most")
    total = sum(_size(write.parameters) for write in writes)
    if total > MAX_TOTAL:
        raise AppendTooLarge(f"{total} bytes; a transaction takes {MAX_TOTAL}")


def _size(value: Any) -> int:
    """Bytes as DynamoDB counts them, names included; never less."""
    match value:
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case Mapping():
            return 3 + sum(1 + len(name.encode()) + _size(part) for name, part in value.items())
        case list() | tuple():
            return 3 + sum(1 + _size(part) for part in value)
        case _:
            return 21  # a number at its longest
