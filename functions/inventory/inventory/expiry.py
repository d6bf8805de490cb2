"""The reservations that may expire, found by the hour in which they do: a sparse index, and no scan.

gsi1pk=EXPIRES#<hour>  gsi1sk=<time>#<order>   on a reservation's record, until it is kept or over
SWEEP#RESERVATIONS     SWEEP                   the hour before which nothing is left
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from inventory.reservation import Reservation
from mercato.clock import rfc3339
from mercato.store.attributes import Item
from mercato.store.dynamo import Table, put

_HOUR = timedelta(hours=1)
_FIRST_LOOK_BACK = timedelta(days=2)


def waits_as(reservation: Reservation) -> Item:
    """The place in the index; nothing for one that cannot expire."""
    if reservation.expires_at is None or reservation.is_over:
        return {}
    return {
        "gsi1pk": _partition(reservation.expires_at),
        "gsi1sk": f"{rfc3339(reservation.expires_at)}#{reservation.order_id}",
    }


class Expiries:
    def __init__(self, table: Table) -> None:
        self._table = table

    def due(self, now: datetime) -> Iterator[str]:
        """The orders whose reservation's time is over, the oldest first; the record itself has the last word."""
        mark = self._table.get("SWEEP#RESERVATIONS", "SWEEP")
        hour = datetime.fromisoformat(mark["swept_to"]) if mark else now - _FIRST_LOOK_BACK
        while _partition(hour) <= _partition(now):
            for item in self._table.query_all(_partition(hour), index="gsi1", between=("0", f"{rfc3339(now)}#~")):
                yield item["order_id"]
            hour += _HOUR

    def mark_swept(self, now: datetime) -> None:
        """One hour stays open: the index is behind the table by a moment."""
        swept_to = {"swept_to": rfc3339(now - _HOUR)}
        self._table.write(put({"pk": "SWEEP#RESERVATIONS", "sk": "SWEEP"} | swept_to))


def _partition(moment: datetime) -> str:
    return f"EXPIRES#{rfc3339(moment)[:13]}"
