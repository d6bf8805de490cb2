"""An event as an item of its stream: its attributes, its sort key, and how it is read.

Attributes: `id` of the event, `t` its type, `tv` the type's schema version, `ts` its time, `cid` correlation,
`cau` causation, `by` the actor, `tp` traceparent, `d` the payload, and `event`, the envelope that the relay publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.store.attributes import Item
from mercato.store.payload import pack, unpack
from mercato.telemetry import correlation


@dataclass(frozen=True)
class NewEvent:
    """An event to append. `public` is the text of the outbox's `event` attribute, if the event is published."""

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
    actor: str | None = None  # as mercato.telemetry.correlation names it; None for what is older than that


# Converts the data of one event type from one schema version to the next.
Upcasts = Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]


def sort_key(version: int) -> str:
    return f"E#{version:010d}"


ALL_VERSIONS = (sort_key(0), sort_key(10**10 - 1))


def write_event(pk: str, version: int, event: NewEvent) -> Item:
    """The item, with the current correlation."""
    work = correlation.current()
    item: Item = {
        "pk": pk,
        "sk": sort_key(version),
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
    if work.actor:
        item["by"] = work.actor
    if event.public is not None:
        item["event"] = event.public
    return item


def read_event(version: int, item: Item, upcasts: Upcasts) -> StoredEvent:
    """The event, with its data converted to the current schema."""
    kind, schema_version, data = item["t"], item["tv"], unpack(item["d"])
    while (kind, schema_version) in upcasts:
        data, schema_version = upcasts[kind, schema_version](data), schema_version + 1
    return StoredEvent(
        version=version,
        event_id=item["id"],
        type=kind,
        schema_version=schema_version,
        at=datetime.fromisoformat(item["ts"]),
        data=data,
        correlation_id=item["cid"],
        causation_id=item.get("cau"),
        actor=item.get("by"),
    )
