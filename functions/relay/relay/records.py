"""Stream records: the envelope that a service wrote with its state change, as an EventBridge entry.

Without pydantic: the envelope was validated when it was written, and the relay needs only four of its fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from mercato.dataclass import dataclass
from mercato.telemetry.correlation import Correlation

MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024  # of one PutEvents call; some regions allow more


class Unreadable(Exception):
    """This record can never be published."""


@dataclass(frozen=True)
class Outgoing:
    """One event to publish. `entity` is the item's partition, within which the order is kept."""

    sequence_number: str
    entity: str
    time: datetime
    entry: dict[str, Any]
    size: int
    event_id: str
    event_type: str
    subject: str
    correlation: Correlation


def is_outbox_record(record: dict[str, Any]) -> bool:
    """Repeats the mapping's filter, so that a wrong or missing filter publishes nothing else."""
    return record.get("eventName") == "INSERT" and "event" in record["dynamodb"].get("NewImage", {})


def read(record: dict[str, Any], bus: str) -> Outgoing:
    try:
        image = record["dynamodb"]["NewImage"]
        detail = image["event"]["S"]
        envelope = json.loads(detail)
        time = datetime.fromisoformat(envelope["time"]).astimezone(UTC)
        entry = {
            "Source": envelope["source"],
            "DetailType": envelope["type"],
            "Detail": detail,
            "Time": time,
            "EventBusName": bus,
        }
        outgoing = Outgoing(
            sequence_number=record["dynamodb"]["SequenceNumber"],
            entity=image["pk"]["S"],
            time=time,
            entry=entry,
            size=_size(entry),
            event_id=envelope["id"],
            event_type=envelope["type"],
            subject=envelope["subject"],
            correlation=Correlation(
                envelope["correlationid"], envelope.get("traceparent", ""), envelope.get("causationid")
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise Unreadable(f"not an envelope: {error!r}") from None
    if outgoing.size > MAX_BYTES:
        raise Unreadable(f"{outgoing.size} bytes; one call takes {MAX_BYTES}")
    return outgoing


def batches(outgoing: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """In order, at most ten entries and 256 KB each, and no entity twice.

    PutEvents may accept some entries of a call and refuse others. With an entity only once per call, its next event is
    never sent before the earlier one was accepted.
    """
    batch: list[Outgoing] = []
    entities: set[str] = set()
    size = 0
    for one in outgoing:
        if batch and (len(batch) == MAX_ENTRIES or size + one.size > MAX_BYTES or one.entity in entities):
            yield batch
            batch, entities, size = [], set(), 0
        batch.append(one)
        entities.add(one.entity)
        size += one.size
    if batch:
        yield batch


def _size(entry: dict[str, Any]) -> int:
    """The size as EventBridge counts it: 14 bytes for the time, and the UTF-8 of source, type and detail."""
    return 14 + sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))
