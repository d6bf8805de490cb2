"""The audit log: the actions of admins, in a table that functions can only add to.

An entry is written before the action, so that no action is without one, and a second one with its outcome.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, datetime

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.ids import new_id
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import KeyRange, Table, put

_READ_AT_ONCE = 100
_MOST_READS = 10


@dataclass(frozen=True)
class AuditEntry:
    """An action: its user, request and time. `status` is the response's HTTP status; None before the response."""

    entry_id: str
    at: str
    actor: str
    service: str
    action: str
    target: str
    request_id: str
    status: int | None = None

    @classmethod
    def make(cls, actor: str, service: str, action: str, target: str, request_id: str, now: datetime) -> AuditEntry:
        return cls(new_id(now), rfc3339(now), actor, service, action, target, request_id)


@dataclass(frozen=True)
class AuditFilter:
    """Which entries are listed; None takes all. `target` is an id, or a name and an id as the entry has them. The days
    are in UTC and inclusive.
    """

    actor: str | None = None
    target: str | None = None
    first_day: date | None = None
    last_day: date | None = None

    def takes(self, item: Item) -> bool:
        parts = item["target"].split(" ")
        targets = {*parts, *(part.partition("=")[2] for part in parts)}
        return self.actor in (None, item["actor"]) and (self.target is None or self.target in targets)

    def keys(self) -> KeyRange:
        first = self.first_day.isoformat() if self.first_day else "0"
        last = f"{self.last_day.isoformat()}~" if self.last_day else "~"  # after all times of that day
        return KeyRange(between=(first, max(first, last)), forward=False)


_ALL = AuditFilter()


class AuditTrail:
    """pk=AUDIT; sk=<time>#<entry id>#1-asked, and the same with #2-answered."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def ask(self, entry: AuditEntry) -> None:
        self._add(entry, "1-asked")

    def answer(self, entry: AuditEntry, status: int) -> None:
        self._add(replace(entry, status=status), "2-answered")

    def list_page(
        self, *, limit: int, cursor: str | None, wanted: AuditFilter = _ALL
    ) -> tuple[list[AuditEntry], str | None]:
        """Newest first. A finished action is listed by its outcome too, just before its request.

        Actor and target select among the entries that are read, of which there are at most so many for a page: it may
        hold fewer than `limit`, or none, and still have a cursor.
        """
        start = decode_cursor(cursor, pk="AUDIT")
        found: list[AuditEntry] = []
        selects = wanted.actor is not None or wanted.target is not None
        for _ in range(_MOST_READS):
            page = self._table.query("AUDIT", wanted.keys(), limit=_READ_AT_ONCE if selects else limit, start=start)
            for item in page.items:
                start = {"pk": item["pk"], "sk": item["sk"]}
                if wanted.takes(item):
                    found.append(_entry(item))
                if len(found) == limit:
                    more = page.next_key is not None or item is not page.items[-1]
                    return found, encode_cursor(start) if more else None
            start = page.next_key
            if start is None or found:  # what one query finds fits into an answer
                break
        return found, encode_cursor(start)

    def _add(self, entry: AuditEntry, phase: str) -> None:
        item = {"pk": "AUDIT", "sk": f"{entry.at}#{entry.entry_id}#{phase}"} | asdict(entry)
        # The client library may retry after a lost response, so this entry may exist, but no other.
        is_ours = "attribute_not_exists(pk) OR entry_id = :entry"
        self._table.write(put(item, is_ours, values={":entry": entry.entry_id}))


def _entry(item: Item) -> AuditEntry:
    return AuditEntry(**{name: item.get(name) for name in AuditEntry.__dataclass_fields__})  # type: ignore[arg-type]
