"""The audit log: the actions of admins, in a table that functions can only add to.

An entry is written before the action, so that no action is without one, and a second one with its outcome.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from mercato.clock import rfc3339
from mercato.ids import new_id
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import KeyRange, Table, put


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


class AuditTrail:
    """pk=AUDIT; sk=<time>#<entry id>#1-asked, and the same with #2-answered."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def ask(self, entry: AuditEntry) -> None:
        self._add(entry, "1-asked")

    def answer(self, entry: AuditEntry, status: int) -> None:
        self._add(replace(entry, status=status), "2-answered")

    def list_page(self, *, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
        """Newest first. A finished action is listed by its outcome too, just before its request."""
        page = self._table.query("AUDIT", KeyRange(forward=False), limit=limit, start=decode_cursor(cursor, pk="AUDIT"))
        names = AuditEntry.__dataclass_fields__
        found = [AuditEntry(**{name: item.get(name) for name in names}) for item in page.items]  # type: ignore[arg-type]
        return found, encode_cursor(page.next_key)

    def _add(self, entry: AuditEntry, phase: str) -> None:
        item = {"pk": "AUDIT", "sk": f"{entry.at}#{entry.entry_id}#{phase}"} | asdict(entry)
        # The client library may retry after a lost response, so this entry may exist, but no other.
        is_ours = "attribute_not_exists(pk) OR entry_id = :entry"
        self._table.write(put(item, is_ours, values={":entry": entry.entry_id}))
