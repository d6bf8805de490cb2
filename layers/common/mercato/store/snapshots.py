"""Snapshots: the state of a long stream at a version, so that only later events must be read. Each can be deleted.

Keys: `pk=S#<type>#<id>, sk=<version, 10 digits>`, a separate partition, so that the events' range has only events. A
snapshot is written after the commit, never in its transaction, and a failed write is ignored. A snapshot of another
schema version is ignored. A stream of at most `every` events is read whole, without a look for a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import epoch
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from mercato.store.event_store import EventStore
from mercato.store.expiry import ABSENT, NAMES, at
from mercato.store.item_size import MAX_ITEM, size_of
from mercato.store.payload import pack, unpack
from mercato.store.stored_event import StoredEvent

EVERY = 100  # events: 10 read units and some 3 ms to fold
_KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Codec[S]:
    """A state as JSON and back. `schema` is the state's: increase it when the state's fields or its fold change."""

    schema: int
    dump: Callable[[S], Any]
    restore: Callable[[Any], S]


class Snapshots[S]:
    """The states of one entity type."""

    def __init__(self, table: Table, entity: str, codec: Codec[S], every: int = EVERY) -> None:
        self._table = table
        self._entity = entity
        self._codec = codec
        self._every = every

    def load(
        self, streams: EventStore, stream_id: str, apply: Callable[[S | None, StoredEvent], S]
    ) -> tuple[S | None, int]:
        """The state after the last event, and its version: a snapshot and the events after it."""
        tail = streams.tail(stream_id, self._every)
        state: S | None = None
        version = 0
        if tail and tail[0].version > 1:
            state, version = self.latest(stream_id) or (None, 0)
            between = tail[0].version - 1
            if version < between:
                for event in streams.read(stream_id, after=version, up_to=between):
                    state, version = apply(state, event), event.version
        for event in tail:
            if event.version > version:
                state, version = apply(state, event), event.version
        return state, version

    def latest(self, stream_id: str) -> tuple[S, int] | None:
        page = self._table.query(self._pk(stream_id), KeyRange(forward=False), limit=1)
        if not page.items or page.items[0]["schema"] != self._codec.schema:
            return None
        found = page.items[0]
        return self._codec.restore(unpack(found["state"])), int(found["sk"])

    def keep(self, stream_id: str, before: int, version: int, state: S, now: datetime) -> bool:
        """Writes a snapshot if the append from one version to another made one due. Returns whether it was written."""
        return before // self._every != version // self._every and self.save(stream_id, version, state, now)

    def save(self, stream_id: str, version: int, state: S, now: datetime) -> bool:
        """Best effort: skips a snapshot that exists, that is too large even when deflated (decision 0016), or that
        cannot be written now.
        """
        key = {"pk": self._pk(stream_id), "sk": f"{version:010d}"}
        item = key | {
            "schema": self._codec.schema,
            "state": pack(self._codec.dump(state)),
            "ttl": epoch(now + _KEPT),
        }
        newer = f"{ABSENT} OR #schema <> :schema"
        names, values = NAMES | {"#schema": "schema"}, at(now) | {":schema": self._codec.schema}
        write = dynamo.put(item, newer, names=names, values=values)
        if size_of(write.parameters["Item"]) > MAX_ITEM:
            return False
        with suppress(ConditionFailed, TransientError):
            self._table.write(write)
            return True
        return False

    def drop(self, stream_id: str) -> int:
        """Deletes all snapshots of a stream and returns their number."""
        dropped = 0
        for item in self._table.query_all(self._pk(stream_id)):
            self._table.write(dynamo.delete(item["pk"], item["sk"]))
            dropped += 1
        return dropped

    def _pk(self, stream_id: str) -> str:
        return f"S#{self._entity}#{stream_id}"
