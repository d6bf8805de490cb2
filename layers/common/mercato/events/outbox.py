"""The outbox: an event is written in the transaction of its state change, and the relay publishes it from the stream.

The relay publishes each inserted item with an `event` attribute: the envelope as one JSON string.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from mercato.clock import epoch
from mercato.events.model import MAX_BYTES, EventModel, envelope
from mercato.ids import derived_id
from mercato.store.dynamo import Write, put_new

# Longer than the relay's failure queue keeps a pointer to it (14 days), so the sweeper can publish it until then.
KEPT = timedelta(days=15)


class EventTooLarge(ValueError):
    """The event would not fit into one EventBridge entry."""


def encode(data: EventModel, *, service: str, subject: str, event_id: str, sequence: int, now: datetime) -> str:
    """The value of the `event` attribute."""
    text = json.dumps(
        envelope(data, service=service, subject=subject, event_id=event_id, sequence=sequence, now=now),
        separators=(",", ":"),
        ensure_ascii=False,
    )
    if len(text.encode()) > MAX_BYTES:
        raise EventTooLarge(f"{data.TYPE} of {subject} is {len(text.encode())} bytes; {MAX_BYTES} is the most")
    return text


def record(data: EventModel, *, service: str, subject: str, sequence: int, now: datetime) -> Write:
    """A write for the transaction of the state change. All records of one subject keep their order.

    The event's id is derived from type, subject and sequence, so the same change is never published twice.
    """
    event_id = derived_id(service, data.TYPE, subject, str(sequence))
    return put_new(
        {
            "pk": f"OUTBOX#{subject}",
            "sk": f"{sequence:010d}#{data.TYPE}",
            "event": encode(data, service=service, subject=subject, event_id=event_id, sequence=sequence, now=now),
            "ttl": epoch(now + KEPT),
        }
    )
