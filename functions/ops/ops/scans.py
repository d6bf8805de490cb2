"""A walk over a dead-letter queue that takes several calls. Nothing else knows the keys: pk=SCAN#<id>, sk=HELD#<part>.

SQS hands out a random part of what is visible. So what a scan has seen stays hidden until it is over, and an empty
answer means that all was seen. The receipts are kept here, and the last calls give the letters back; where no call
follows, SQS does so ten minutes after the scan began at the latest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from mercato.clock import epoch
from mercato.errors import Conflict
from mercato.ids import derived_id
from mercato.store import dynamo
from mercato.store.dynamo import InvalidCursor, Table
from ops.dead_letters import reader

LASTS = timedelta(minutes=10)
_KEPT = timedelta(days=1)  # as a cursor: nothing is done with a scan that is over


class ScanOver(Conflict):
    """The scan took longer than the dead letters stay invisible. Start again without a cursor."""


@dataclass(frozen=True)
class Scan:
    """`began` is in epoch milliseconds, `parts` how many have been kept, `released` how many of them given back."""

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
    """`about` is what the scan looks for: a cursor is good for the same question alone."""
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
        """What was seen stays hidden until the scan is over."""
        receipts = [one.receipt for one in held]
        key = {"pk": f"SCAN#{scan.scan_id}", "sk": f"HELD#{scan.parts:05}"}
        self._table.write(dynamo.put(key | {"receipts": receipts, "ttl": epoch(now + _KEPT)}))
        reader.hide(url, receipts, max(0, scan.seconds_left(now)))
        return replace(scan, parts=scan.parts + 1)

    def release(self, scan: Scan, url: str, is_time_left: Callable[[], bool]) -> Scan:
        """Part by part, as far as the time allows: over where `released` is `parts`."""
        while scan.released < scan.parts and is_time_left():
            item = self._table.get(f"SCAN#{scan.scan_id}", f"HELD#{scan.released:05}")
            reader.hide(url, item["receipts"] if item else [], 0)
            scan = replace(scan, released=scan.released + 1)
        return scan
