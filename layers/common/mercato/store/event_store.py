"""An event store on DynamoDB, independent of what it stores.

Keys, in the service's own table: events `pk=<type>#<id>, sk=E#<version, 10 digits>`; head `pk=<type>#<id>, sk=HEAD`
with the version. An append is one transaction: every event is new, and the head moves from the expected version, so
that versions have no gaps and one of several writers wins. A payload is one JSON string, deflated if it is long.
An append without an expected version writes a marker, `sk=C#<id of its first event>`, which identifies a retry.
Snapshots are in their own partitions: mercato.store.snapshots.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any

from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from mercato.store.item_size import check_limits
from mercato.store.stored_event import ALL_VERSIONS, NewEvent, StoredEvent, Upcasts, read_event, sort_key, write_event

NO_STREAM = 0  # the version of a stream without events
_ATTEMPTS = 8  # of an append without an expected version
_ENTITY = re.compile(r"[a-z][a-z0-9_-]*")  # other partitions of a table begin with a capital: S#, OUTBOX#
_LONGEST_ID = 1024  # bytes; DynamoDB takes 2048 for the whole of pk


class Expected(Enum):
    """What an append expects of its stream, if not a version. `ANY`: nothing, it may be new."""

    EXISTS = "exists"
    ANY = "any"


class ConcurrencyError(TransientError):
    """Another writer appended first: load and decide again. `actual` is the version now."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} was not at version {expected}, and is at {actual} now")
        self.expected = expected
        self.actual = actual


class StreamNotFound(LookupError):
    """The stream was expected to exist, but has no events."""


class MixedAppends(ValueError):
    """A stream is written either by `append` or by `append_fast`, from its first event on, since the latter has
    no head.
    """


class BrokenStream(RuntimeError):
    """The stored versions are not contiguous, so no decision may rest on the stream."""


class EventStore:
    """The streams of one entity type in one table. `upcasts` convert events of older schemas when they are read."""

    def __init__(
        self,
        table: Table,
        entity: str,
        upcasts: Upcasts = MappingProxyType({}),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not _ENTITY.fullmatch(entity):
            raise ValueError(f"the entity type {entity!r} is not of the form {_ENTITY.pattern}")
        self._table = table
        self._entity = entity
        self._upcasts = upcasts
        self._sleep = sleep

    def append(
        self, stream_id: str, expected: int | Expected, events: Sequence[NewEvent], *, alongside: Sequence[Write] = ()
    ) -> int:
        """Appends after version `expected`, or at any version; `alongside` are writes of the same transaction.

        Returns the new version. Raises ConcurrencyError if the stream has moved on (or, with Expected, changes too
        often), StreamNotFound, and ConditionFailed, with the index into `alongside`, if only a condition of those
        failed. A retry after a lost response is recognised by its event ids and returns the original version, so event
        ids must be unique to one command.
        """
        if not events:
            raise ValueError("there is nothing to append")
        if isinstance(expected, Expected):
            return self._append_wherever(stream_id, expected, events, alongside)
        return self._append_after(stream_id, expected, events, alongside)

    def append_fast(self, stream_id: str, expected: int, event: NewEvent) -> int:
        """Appends one event by one put: for a stream with one writer and independent events.

        An event of 1 KB costs 1 write and 1 read unit, where `append` costs 4 write units. It gives up several events
        at once, writes alongside, Expected, and the stream's head, so that `append` to such a stream is refused
        (MixedAppends), as is this on a stream of `append`. It keeps the other guarantees: versions have no gaps, since
        the previous event is checked; an event is never removed; of two writers one wins each version and the other
        gets a ConcurrencyError; a retry is recognised.
        """
        pk = self._pk(stream_id)
        before = self._table.get(pk, sort_key(expected)) if expected != NO_STREAM else {"fast": True}
        if before and not before.get("fast"):
            raise MixedAppends(f"{self._entity} {stream_id} is written by append, and not by append_fast")
        if not before:
            raise self._conflict(stream_id, expected)
        write = dynamo.put_new(write_event(pk, expected + 1, event) | {"fast": True})
        check_limits([write])
        try:
            self._table.write(write)
        except ConditionFailed as failed:
            if failed.item is None or failed.item["id"] != event.event_id:
                raise self._conflict(stream_id, expected) from None
        except TransientError:
            if not self._is_done(pk, expected, [event]):
                raise
        return expected + 1

    def silence(self, stream_id: str, version: int) -> Write:
        """A write that removes the `event` attribute of an event that was published long ago, and keeps the event."""
        return dynamo.update(
            self._pk(stream_id), sort_key(version), "REMOVE #event", "attribute_exists(pk)", names={"#event": "event"}
        )

    def read(self, stream_id: str, *, after: int = 0, up_to: int | None = None) -> Iterator[StoredEvent]:
        """The events after one version, and up to another, in order, page by page."""
        version = after
        limit = None if up_to is None else up_to - after
        if limit is not None and limit <= 0:
            return
        for item in self._table.query_all(self._pk(stream_id), KeyRange(after=sort_key(after)), limit=limit):
            if not item["sk"].startswith("E#"):
                return
            version += 1
            if item["sk"] != sort_key(version):
                raise BrokenStream(f"{self._entity} {stream_id} lacks version {version}")
            yield read_event(version, item, self._upcasts)
            if version == up_to:  # before another page is asked for
                return

    def tail(self, stream_id: str, most: int) -> list[StoredEvent]:
        """The newest `most` events, in order."""
        items: list[Item] = []
        newest_first = KeyRange(between=ALL_VERSIONS, forward=False)
        for item in self._table.query_all(self._pk(stream_id), newest_first, limit=most):
            items.append(item)
            if len(items) == most:
                break
        items.reverse()
        first = int(items[0]["sk"][2:]) if items else 1
        for version, item in enumerate(items, first):
            if item["sk"] != sort_key(version):
                raise BrokenStream(f"{self._entity} {stream_id} lacks version {version}")
        return [read_event(version, item, self._upcasts) for version, item in enumerate(items, first)]

    def version(self, stream_id: str) -> int:
        """The version of the last event; NO_STREAM if there is none."""
        return self._end(self._pk(stream_id))[0]

    def is_still_at(self, stream_id: str, version: int) -> Write:
        """A check for another transaction: no event was appended since this version was read."""
        return dynamo.check(self._pk(stream_id), sort_key(version + 1), "attribute_not_exists(pk)")

    def fold(
        self, stream_id: str, apply: Callable[[Any, StoredEvent], Any], state: Any, *, after: int = 0
    ) -> tuple[Any, int]:
        """The state after the last event, and its version."""
        version = after
        for event in self.read(stream_id, after=after):
            state, version = apply(state, event), event.version
        return state, version

    def _append_after(
        self, stream_id: str, expected: int, events: Sequence[NewEvent], alongside: Sequence[Write]
    ) -> int:
        pk = self._pk(stream_id)
        writes = [dynamo.put_new(write_event(pk, expected + offset, event)) for offset, event in enumerate(events, 1)]
        writes.append(self._move_head(pk, expected, expected + len(events)))
        writes += alongside
        check_limits(writes)
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            if failed.index > len(events):  # the first failure is neither an event's nor the head's
                raise ConditionFailed(failed.index - len(events) - 1, failed.item) from None
            if not self._is_done(pk, expected, events):
                raise self._refusal(stream_id, expected) from None
        except TransientError:
            # After a time-out the append may have succeeded.
            if not self._is_done(pk, expected, events):
                raise
        return expected + len(events)

    def _append_wherever(
        self, stream_id: str, expected: Expected, events: Sequence[NewEvent], alongside: Sequence[Write]
    ) -> int:
        """Reads the head, and again if another writer was first. On a retry the stream may have moved to another
        version, so event ids cannot reveal a duplicate. The marker item does.
        """
        pk = self._pk(stream_id)
        for attempt in range(1, _ATTEMPTS + 1):
            version = self.version(stream_id)
            if expected is Expected.EXISTS and version == NO_STREAM:
                raise StreamNotFound(f"there is no {self._entity} {stream_id} to append to")
            marker = {"pk": pk, "sk": f"C#{events[0].event_id}", "ver": version + len(events)}
            try:
                return self._append_after(stream_id, version, events, [dynamo.put_new(marker), *alongside])
            except ConditionFailed as failed:
                if failed.index:  # not the marker
                    raise ConditionFailed(failed.index - 1, failed.item) from None
                done: int = failed.item["ver"] if failed.item else NO_STREAM
                if not self._is_done(pk, done - len(events), events):
                    raise ValueError(f"event {events[0].event_id} was appended before, with others") from None
                return done
            except ConcurrencyError:
                if attempt == _ATTEMPTS:
                    raise
            self._sleep(random.uniform(0, min(0.02 * 2**attempt, 0.5)))
        raise AssertionError("unreachable")

    def _refusal(self, stream_id: str, expected: int) -> ConcurrencyError | MixedAppends:
        """The reason of a refused transaction. A stream without a head refuses every append, also at its last
        version.
        """
        actual, fast = self._end(self._pk(stream_id))
        if fast and actual == expected:
            return MixedAppends(f"{self._entity} {stream_id} is written by append_fast, and not by append")
        return self._conflict(stream_id, expected, actual)

    def _conflict(self, stream_id: str, expected: int, actual: int | None = None) -> ConcurrencyError:
        """`actual` is read after the refusal, and may be the expected version by now: the caller loads again."""
        at = self.version(stream_id) if actual is None else actual
        return ConcurrencyError(f"{self._entity} {stream_id}", expected, at)

    def _end(self, pk: str) -> tuple[int, bool]:
        """The last version, and whether the stream is one of `append_fast`, which has no head."""
        head = self._table.get(pk, "HEAD")
        if head:
            return head["ver"], False
        last = self._table.query(pk, KeyRange(between=ALL_VERSIONS, forward=False), limit=1).items
        return (int(last[0]["sk"][2:]), last[0].get("fast", False)) if last else (NO_STREAM, False)

    def _is_done(self, pk: str, expected: int, events: Sequence[NewEvent]) -> bool:
        keys = [(pk, sort_key(expected + offset)) for offset in range(1, len(events) + 1)]
        stored = {item["sk"]: item["id"] for item in self._table.get_many(keys)}
        return [stored.get(sk) for _, sk in keys] == [event.event_id for event in events]

    def _pk(self, stream_id: str) -> str:
        if not 0 < len(stream_id.encode()) <= _LONGEST_ID:
            raise ValueError(f"a stream id has 1 to {_LONGEST_ID} bytes: {stream_id[:40]!r}")
        return f"{self._entity}#{stream_id}"

    @staticmethod
    def _move_head(pk: str, expected: int, version: int) -> Write:
        condition = "ver = :expected" if expected else "attribute_not_exists(pk)"
        values: dict[str, Any] = {":ver": version} | ({":expected": expected} if expected else {})
        return dynamo.update(pk, "HEAD", "SET ver = :ver", condition, values=values)
