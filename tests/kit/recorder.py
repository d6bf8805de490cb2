"""Adapts the event store to the `eventsourcing` library's interface, so that the library's own tests can run on it."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from eventsourcing.persistence import AggregateRecorder, IntegrityError
from eventsourcing.persistence import StoredEvent as Theirs

from mercato.store.dynamo import Table
from mercato.store.event_store import ConcurrencyError, EventStore
from mercato.store.stored_event import NewEvent, StoredEvent

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class StreamRecorder(AggregateRecorder):
    """The library's versions of a stream may start at any number, and the event store's start at 1.

    So the payload contains the library's version.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._streams = EventStore(table, "recorded")

    def insert_events(self, stored_events: Sequence[Theirs], **kwargs: Any) -> Sequence[int] | None:
        if not stored_events:
            return None
        stream_id = str(stored_events[0].originator_id)
        versions = [event.originator_version for event in stored_events]
        first = self._first(stream_id, versions[0])
        if versions != list(range(versions[0], versions[0] + len(versions))):
            raise IntegrityError(f"{versions} are not one after the other")
        try:
            self._streams.append(stream_id, versions[0] - first, [_ours(event) for event in stored_events])
        except ConcurrencyError as error:
            raise IntegrityError(str(error)) from error
        return None

    def select_events(
        self,
        originator_id: uuid.UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[Theirs]:
        stream_id = str(originator_id)
        before = self._first(stream_id, 1) - 1
        after = 0 if gt is None else max(0, gt - before)
        up_to = None if lte is None else max(0, lte - before)
        events = self._last(stream_id, after, up_to, limit) if desc else self._next(stream_id, after, up_to, limit)
        return [_theirs(originator_id, event) for event in events]

    def _next(self, stream_id: str, after: int, up_to: int | None, limit: int | None) -> list[StoredEvent]:
        """Returns the first events. Versions have no gaps, so a limit on their number is a limit on the version."""
        if limit is not None:
            up_to = after + limit if up_to is None else min(up_to, after + limit)
        return list(self._streams.read(stream_id, after=after, up_to=up_to))

    def _last(self, stream_id: str, after: int, up_to: int | None, limit: int | None) -> list[StoredEvent]:
        """Returns the last events, newest first. The store reads backwards only from the end of a stream."""
        if limit is not None and up_to is None:
            return [event for event in reversed(self._streams.tail(stream_id, limit)) if event.version > after]
        if limit is not None and up_to is not None:
            up_to = min(up_to, self._streams.version(stream_id))
            after = max(after, up_to - limit)
        return list(self._streams.read(stream_id, after=after, up_to=up_to))[::-1]

    def _first(self, stream_id: str, default: int) -> int:
        """Returns the library's version of the stream's first event, or `default` if the stream is empty."""
        return next((int(event.data["version"]) for event in self._streams.read(stream_id, up_to=1)), default)


def _ours(event: Theirs) -> NewEvent:
    data = {"version": event.originator_version, "state": base64.b64encode(event.state).decode()}
    return NewEvent(str(uuid.uuid4()), event.topic, 1, NOON, data)


def _theirs(originator_id: uuid.UUID | str, event: StoredEvent) -> Theirs:
    return Theirs(originator_id, event.data["version"], event.type, base64.b64decode(event.data["state"]))
