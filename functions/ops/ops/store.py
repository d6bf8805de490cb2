"""Parked sagas and their audit. Nothing else knows the keys.

The saga's last parking: pk=SAGA#<order>, sk=PARKED, state parked, resuming or resumed; listed while it is not resumed:
gsi1pk=PARKED, gsi1sk=<parked at>#<order>. The audit, never changed: pk=SAGA#<order>, sk=AUDIT#<time>#<request id>.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta

from mercato import dynamo
from mercato.clock import rfc3339
from mercato.dynamo import ConditionFailed, Table
from mercato.items import Item
from mercato.paging import decode_cursor, encode_cursor
from ops.domain import Action, Parked, Resumption, SagaNotParked

# A resumption that took longer died on its way; another operator may take over.
_CLAIM_LASTS = timedelta(seconds=60)


class SagaStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def park(self, parked: Parked) -> bool:
        """False where it is known, or older than what is known: a message that comes late or twice changes nothing."""
        at = rfc3339(parked.parked_at)
        item: Item = asdict(parked) | {
            "pk": _pk(parked.order_id),
            "sk": "PARKED",
            "gsi1pk": "PARKED",
            "gsi1sk": f"{at}#{parked.order_id}",
            "parked_at": at,
            "state": "parked",
        }
        newer = "parked_at < :at OR (parked_at = :at AND task_token <> :token)"
        try:
            self._table.write(
                dynamo.put(
                    item, f"attribute_not_exists(pk) OR {newer}", values={":at": at, ":token": parked.task_token}
                )
            )
        except ConditionFailed:
            return False
        return True

    def find(self, order_id: str) -> Parked | None:
        """What waits, or is being resumed; what was resumed waits no more."""
        item = self._table.get(_pk(order_id), "PARKED")
        return _parked(item) if item and item["state"] != "resumed" else None

    def list_parked(self, *, limit: int, cursor: str | None) -> tuple[list[Parked], str | None]:
        """The longest waiting first."""
        start = decode_cursor(cursor, gsi1pk="PARKED")
        page = self._table.query("PARKED", index="gsi1", limit=limit, start=start)
        return [_parked(item) for item in page.items], encode_cursor(page.next_key)

    def audit_of(self, order_id: str) -> list[Resumption]:
        return [_resumption(item) for item in self._table.query_all(_pk(order_id), prefix="AUDIT#")]

    def claim(self, parked: Parked, resumption: Resumption) -> None:
        """The right to resume, and its audit record. One operator gets it; raises SagaNotParked for the others."""
        at = rfc3339(resumption.at)
        claim = dynamo.update(
            _pk(parked.order_id),
            "PARKED",
            "SET #state = :resuming, claimed_at = :at, claimed_by = :request",
            "task_token = :token AND (#state = :parked OR (#state = :resuming AND claimed_at < :stale))",
            names={"#state": "state"},
            values={
                ":token": parked.task_token,
                ":parked": "parked",
                ":resuming": "resuming",
                ":at": at,
                ":stale": rfc3339(resumption.at - _CLAIM_LASTS),
                ":request": resumption.request_id,
            },
        )
        try:
            self._table.transact([claim, _audit(resumption)])
        except ConditionFailed:
            raise SagaNotParked("This saga is being resumed, or was resumed already.") from None

    def record(self, resumption: Resumption) -> None:
        """The audit record of what needs no claim: asked twice by one request, it stands there once."""
        with suppress(ConditionFailed):
            self._table.write(_audit(resumption))

    def give_back(self, parked: Parked, resumption: Resumption) -> None:
        """The claim of a resumption that did not reach the saga."""
        self._leave(parked, resumption, "SET #state = :next REMOVE claimed_at, claimed_by", "parked")

    def close(self, parked: Parked, resumption: Resumption) -> None:
        """The saga goes on, or waits no more: it leaves the list."""
        self._leave(parked, resumption, "SET #state = :next REMOVE gsi1pk, gsi1sk", "resumed")

    def _leave(self, parked: Parked, resumption: Resumption, expression: str, state: str) -> None:
        try:
            self._table.write(
                dynamo.update(
                    _pk(parked.order_id),
                    "PARKED",
                    expression,
                    "task_token = :token AND #state = :resuming AND claimed_by = :request",
                    names={"#state": "state"},
                    values={
                        ":token": parked.task_token,
                        ":resuming": "resuming",
                        ":next": state,
                        ":request": resumption.request_id,
                    },
                )
            )
        except ConditionFailed:
            return  # parked anew already, or taken over: that is the newer truth


def _pk(order_id: str) -> str:
    return f"SAGA#{order_id}"


def _audit(resumption: Resumption) -> dynamo.Write:
    at = rfc3339(resumption.at)
    record: Item = asdict(resumption) | {"at": at, "action": resumption.action.value}
    return dynamo.put_new(record | {"pk": _pk(resumption.order_id), "sk": f"AUDIT#{at}#{resumption.request_id}"})


def _parked(item: Item) -> Parked:
    fields = {name: item[name] for name in Parked.__dataclass_fields__}
    return Parked(**fields | {"parked_at": datetime.fromisoformat(item["parked_at"])})


def _resumption(item: Item) -> Resumption:
    fields = {name: item[name] for name in Resumption.__dataclass_fields__}
    return Resumption(**fields | {"at": datetime.fromisoformat(item["at"]), "action": Action(item["action"])})
