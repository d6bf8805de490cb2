"""Reads a dead-letter queue over several calls. Only this module knows its keys: pk=SCAN#<id>, sk=HELD#<part>.

SQS returns a random part of the visible messages. So the letters that a scan has read stay hidden until its end, and an
empty answer means that all were read. The receipts are stored here, and the last calls release the letters. Without a
next call, SQS releases them at most ten minutes after the scan began.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

from mercato.clock import epoch
from mercato.dataclass import dataclass
from mercato.errors import Conflict
from mercato.ids import derived_id
from mercato.store import dynamo
from mercato.store.dynamo import InvalidCursor, Table
from ops.dead_letters import reader

LASTS = timedelta(minutes=10)
_KEPT = timedelta(days=1)  # as long as a cursor


class ScanOver(Conflict):
    """The scan took longer than the dead letters stay invisible. Start again without a cursor."""


@dataclass(frozen=True)
class Scan:
    """`began` is in epoch milliseconds, `parts` the number of stored parts, `released` how many were released."""

    scan_id: str
    queue: str
    began: int
    parts: int = 0
    released: int = 0
    is_at_end: bool = False

    @property
    def began_at(self) -> datetime:
        return datetime.fromtimestamp(self.began / 1000, UTC)

    def seconds_left(self, now: datetime) -> int:
        return int((self.began_at + LASTS - now).total_seconds())


def begin(queue: str, about: str, now: datetime) -> Scan:
    """`about` is the fingerprint of what the scan looks for. A cursor is valid only for the same one."""
    began = int(now.timestamp() * 1000)
    return Scan(derived_id("scan", queue, about, str(began)), queue, began)


def cursor_of(scan: Scan, about: str) -> str:
    text = json.dumps(asdict(scan) | {"about": derived_id("scan", about)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def scan_of(cursor: str, about: str, now: datetime) -> Scan:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        is_meant = found.pop("about") == derived_id("scan", about)
        scan = Scan(**found)
        seconds = scan.seconds_left(now)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise InvalidCursor("The cursor cannot be read; start again without one.") from None
    if not is_meant:
        raise InvalidCursor("The cursor belongs to another redrive; start again without one.")
    if seconds <= 0:
        raise ScanOver("This redrive took longer than ten minutes, and its letters are visible again: start it again.")
    return scan


class Scans:
    def __init__(self, table: Table) -> None:
        self._table = table

    def keep(self, scan: Scan, url: str, held: list[reader.Held], now: datetime) -> Scan:
        """Stores the receipts, so that the letters stay hidden until the scan ends."""
        receipts = [one.receipt for one in held]
        key = {"pk": f"SCAN#{scan.scan_id}", "sk": f"HELD#{scan.parts:05}"}
        self._table.write(dynamo.put(key | {"receipts": receipts, "ttl": epoch(now + _KEPT)}))
        reader.hide(url, receipts, max(0, scan.seconds_left(now)))
        return replace(scan, parts=scan.parts + 1)

    def release(self, scan: Scan, url: str, is_time_left: Callable[[], bool]) -> Scan:
        """Releases part by part, as far as the time allows. The scan is over when `released` equals `parts`."""
        while scan.released < scan.parts and is_time_left():
            item = self._table.get(f"SCAN#{scan.scan_id}", f"HELD#{scan.released:05}")
            reader.hide(url, item["receipts"] if item else [], 0)
            scan = replace(scan, released=scan.released + 1)
        return scan
