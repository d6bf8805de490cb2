"""The audit log: what admins do, in a table to which functions may only add.

An entry is written before the action, so that there is no action without one, and a second one with its outcome.
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
    """Who asked for what, when, by which request. `status` is HTTP's, of the answer; None as long as there is none."""

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
        """Newest first. An action that was answered is listed by its outcome too, just before its asking."""
        page = self._table.query("AUDIT", KeyRange(forward=False), limit=limit, start=decode_cursor(cursor, pk="AUDIT"))
        names = AuditEntry.__dataclass_fields__
        found = [AuditEntry(**{name: item.get(name) for name in names}) for item in page.items]  # type: ignore[arg-type]
        return found, encode_cursor(page.next_key)

    def _add(self, entry: AuditEntry, phase: str) -> None:
        item = {"pk": "AUDIT", "sk": f"{entry.at}#{entry.entry_id}#{phase}"} | asdict(entry)
        # The client library may send it again after a lost answer; nothing else may stand there.
        is_ours = "attribute_not_exists(pk) OR entry_id = :entry"
        self._table.write(put(item, is_ours, values={":entry": entry.entry_id}))
