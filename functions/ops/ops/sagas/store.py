"""Parked sagas and their audit, and the only module that knows the keys.

The saga's last parking: pk=SAGA#<saga>, sk=PARKED, state parked, resuming or resumed, task_tokens, and among them the
dead_tokens. Listed while it may wait: gsi1pk=PARKED, gsi1sk=<parked at>#<saga>. It leaves the list when it is resumed,
or when all its tokens are dead; a message with another token for the same parking lists it again.
The audit, never changed: pk=SAGA#<saga>, sk=AUDIT#<time>#<request id>.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta

from mercato.clock import rfc3339
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from ops.sagas.domain import Action, Parked, Resumption, SagaNotParked

# A resumption that takes longer has crashed; another operator may take over.
_CLAIM_LASTS = timedelta(seconds=60)


class SagaStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def park(self, parked: Parked) -> bool:
        """Returns False for a parking that is known or stale: a late or duplicate message changes nothing."""
        at = rfc3339(parked.parked_at)
        item: Item = asdict(parked) | {
            "pk": _pk(parked.saga),
            "sk": "PARKED",
            "gsi1pk": "PARKED",
            "gsi1sk": f"{at}#{parked.saga}",
            "parked_at": at,
            "state": "parked",
            "task_tokens": list(parked.task_tokens),
            "dead_tokens": [],
        }
        try:
            self._table.write(dynamo.put(item, "attribute_not_exists(pk) OR parked_at < :at", values={":at": at}))
        except ConditionFailed:
            return self._add_token(parked, item)
        return True

    def _add_token(self, parked: Parked, item: Item) -> bool:
        """Adds another token of the same parking. Only Step Functions knows which of its tokens is valid."""
        (token,) = parked.task_tokens
        try:
            self._table.write(
                dynamo.update(
                    item["pk"],
                    item["sk"],
                    "SET task_tokens = list_append(task_tokens, :tokens), gsi1pk = :list, gsi1sk = :place",
                    "parked_at = :at AND #state <> :resumed AND NOT contains(task_tokens, :token)",
                    names={"#state": "state"},
                    values={
                        ":tokens": [token],
                        ":token": token,
                        ":list": item["gsi1pk"],
                        ":place": item["gsi1sk"],
                        ":at": item["parked_at"],
                        ":resumed": "resumed",
                    },
                )
            )
        except ConditionFailed:
            return False
        return True

    def find(self, saga: str) -> Parked | None:
        """The parking if the saga may wait or is being resumed, else None."""
        item = self._table.get(_pk(saga), "PARKED")
        parked = _parked(item) if item and item["state"] != "resumed" else None
        return parked if parked and parked.task_tokens else None

    def list_parked(self, *, limit: int, cursor: str | None) -> tuple[list[Parked], str | None]:
        """Those that have waited longest come first."""
        start = decode_cursor(cursor, gsi1pk="PARKED")
        page = self._table.query("PARKED", index="gsi1", limit=limit, start=start)
        return [_parked(item) for item in page.items], encode_cursor(page.next_key)

    def audit_of(self, saga: str) -> list[Resumption]:
        return [_resumption(item) for item in self._table.query_all(_pk(saga), KeyRange(prefix="AUDIT#"))]

    def claim(self, parked: Parked, resumption: Resumption) -> None:
        """Claims the right to resume and writes its audit record. Raises SagaNotParked for all operators but one."""
        at = rfc3339(resumption.at)
        claim = dynamo.update(
            _pk(parked.saga),
            "PARKED",
            "SET #state = :resuming, claimed_at = :at, claimed_by = :request",
            "parked_at = :parked_at AND (#state = :parked OR (#state = :resuming AND claimed_at < :stale))",
            names={"#state": "state"},
            values={
                ":parked_at": rfc3339(parked.parked_at),
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
        """Writes the audit record of an action that needs no claim. Idempotent by request."""
        with suppress(ConditionFailed):
            self._table.write(_audit(resumption))

    def drop_token(self, parked: Parked, token: str, resumption: Resumption) -> Parked | None:
        """Marks a token as dead. Returns the parking with the remaining tokens, some of which may be new; None if the
        claim was lost.
        """
        with suppress(ConditionFailed):  # the claim was lost, or this is a retry after a lost response
            self._change(
                parked,
                resumption,
                "SET dead_tokens = list_append(dead_tokens, :tokens)",
                " AND NOT contains(dead_tokens, :token)",
                {":tokens": [token], ":token": token},
            )
        item = self._table.get(_pk(parked.saga), "PARKED")
        return _parked(item) if item and item.get("claimed_by") == resumption.request_id else None

    def unlist(self, parked: Parked, resumption: Resumption) -> bool:
        """Removes the saga from the list when all tokens are dead. Returns False if another token came in between."""
        expression = "SET #state = :next REMOVE claimed_at, claimed_by, gsi1pk, gsi1sk"
        all_are_dead = " AND size(dead_tokens) = size(task_tokens)"
        try:
            self._change(parked, resumption, expression, all_are_dead, {":next": "parked"})
        except ConditionFailed:
            self.give_back(parked, resumption)
            return False
        return True

    def give_back(self, parked: Parked, resumption: Resumption) -> None:
        """Releases the claim of a resumption that did not reach the saga."""
        with suppress(ConditionFailed):  # the saga parked again, or was taken over, so the stored state is newer
            expression = "SET #state = :next REMOVE claimed_at, claimed_by"
            self._change(parked, resumption, expression, "", {":next": "parked"})

    def close(self, parked: Parked, resumption: Resumption) -> None:
        """Removes a resumed saga from the list."""
        with suppress(ConditionFailed):  # as above
            expression = "SET #state = :next REMOVE gsi1pk, gsi1sk"
            self._change(parked, resumption, expression, "", {":next": "resumed"})

    def _change(
        self, parked: Parked, resumption: Resumption, expression: str, also: str, values: dict[str, object]
    ) -> None:
        """Raises ConditionFailed if this resumption has lost its claim on this parking, or `also` is false."""
        self._table.write(
            dynamo.update(
                _pk(parked.saga),
                "PARKED",
                expression,
                "parked_at = :at AND #state = :resuming AND claimed_by = :request" + also,
                names={"#state": "state"},
                values=values
                | {
                    ":at": rfc3339(parked.parked_at),
                    ":resuming": "resuming",
                    ":request": resumption.request_id,
                },
            )
        )


def _pk(saga: str) -> str:
    return f"SAGA#{saga}"


def _audit(resumption: Resumption) -> dynamo.Write:
    at = rfc3339(resumption.at)
    record: Item = asdict(resumption) | {"at": at, "action": resumption.action.value}
    return dynamo.put_new(record | {"pk": _pk(resumption.saga), "sk": f"AUDIT#{at}#{resumption.request_id}"})


def _parked(item: Item) -> Parked:
    fields = {name: item[name] for name in Parked.__dataclass_fields__}
    alive = tuple(token for token in item["task_tokens"] if token not in item["dead_tokens"])
    return Parked(**fields | {"parked_at": datetime.fromisoformat(item["parked_at"]), "task_tokens": alive})


def _resumption(item: Item) -> Resumption:
    fields = {name: item[name] for name in Resumption.__dataclass_fields__}
    return Resumption(**fields | {"at": datetime.fromisoformat(item["at"]), "action": Action(item["action"])})
