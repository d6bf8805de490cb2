"""How far the orders are, by their events that come after a mail of `domain.OVERTAKEN_BY_LATER`.

pk=ORDER#<order>  sk=PROGRESS   the highest sequence of such an event so far; expires
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from mercato.clock import epoch
from mercato.events import inbox
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, Table

_PROGRESS = "PROGRESS"


class Progress:
    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, order_id: str, sequence: int, now: datetime) -> None:
        """Idempotent: the highest sequence wins, in any order of the events."""
        noted = dynamo.update(
            f"ORDER#{order_id}",
            _PROGRESS,
            "SET #sequence = :sequence, #ttl = :ttl",
            "attribute_not_exists(#sequence) OR #sequence < :sequence",
            names={"#sequence": "sequence", "#ttl": "ttl"},
            values={":sequence": sequence, ":ttl": epoch(now + inbox.KEPT)},
        )
        with suppress(ConditionFailed):
            self._table.write(noted)

    def is_after(self, order_id: str, sequence: int) -> bool:
        item = self._table.get(f"ORDER#{order_id}", _PROGRESS)
        return item is not None and item["sequence"] > sequence
