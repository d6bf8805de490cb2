"""The inbox: a marker written in the transaction of an event's effect, so that a duplicate event has none."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from mercato.clock import epoch
from mercato.store.dynamo import ConditionFailed, Table, Write
from mercato.store.expiry import live, put_new

# Longer than a message can stay in a queue and its DLQ (14 days) and be redriven.
KEPT = timedelta(days=45)


def marker(event_id: str, now: datetime) -> Write:
    return put_new({"pk": f"INBOX#{event_id}", "sk": "INBOX", "ttl": epoch(now + KEPT)}, now)


def is_done(table: Table, event_id: str, now: datetime) -> bool:
    """For an effect outside the table, such as a mail: check before it and mark after it, so it happens at
    least once.
    """
    return live(table.get(f"INBOX#{event_id}", "INBOX"), now) is not None


def mark_done(table: Table, event_id: str, now: datetime) -> None:
    """Idempotent: a concurrent delivery may have marked it."""
    with suppress(ConditionFailed):
        table.write(marker(event_id, now))


def once(table: Table, event_id: str, writes: list[Write], now: datetime) -> bool:
    """Writes the effect unless the event was handled before. Returns False, and writes nothing, for a duplicate.

    Raises ConditionFailed, with the index into `writes`, if one of the effect's own conditions failed.
    """
    try:
        table.transact([*writes, marker(event_id, now)])
    except ConditionFailed as failed:
        indexes = getattr(failed, "failures", {failed.index: failed.item})
        if len(writes) in indexes:
            return False
        raise
    return True
