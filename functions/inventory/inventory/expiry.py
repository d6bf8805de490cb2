"""Finds expired reservations by the hour of their expiry, through a sparse index and without a scan.

gsi1pk=EXPIRES#<hour>  gsi1sk=<time>#<order>   on a reservation's record, until it is kept or ended
SWEEP#RESERVATIONS     SWEEP                   the hour before which no reservation is left
SWEEP#RESERVATIONS     TURN                    the reservation with which the last run began (mercato.store.round_robin)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from inventory.reservation import Reservation
from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.store.attributes import Item
from mercato.store.dynamo import KeyRange, Table, put
from mercato.store.round_robin import RoundRobin

_HOUR = timedelta(hours=1)
_FIRST_LOOK_BACK = timedelta(days=2)


def index_attributes(reservation: Reservation) -> Item:
    """The index keys of the reservation; empty if it cannot expire."""
    if reservation.expires_at is None or reservation.is_over:
        return {}
    return {
        "gsi1pk": _partition(reservation.expires_at),
        "gsi1sk": f"{rfc3339(reservation.expires_at)}#{reservation.order_id}",
    }


@dataclass(frozen=True)
class Due:
    """`place` is the position in the index, in the order of time."""

    order_id: str
    place: str


class Expiries:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = RoundRobin(table, "RESERVATIONS")

    def due(self, now: datetime) -> Iterator[Due]:
        """The expired reservations: first those after the one with which the last run began, then the oldest first. The
        index may be stale, so the caller checks the reservation's record.
        """
        return self._turns.in_turn(lambda place: self._due_behind(place, now), lambda due: due.place)

    def begin(self, due: Due) -> None:
        self._turns.begin(due.place)

    def _due_behind(self, place: str, now: datetime) -> Iterator[Due]:
        until = f"{rfc3339(now)}#~"
        hour = (
            max(self._swept_to(now), datetime.fromisoformat(place.partition("#")[0])) if place else self._swept_to(now)
        )
        while _partition(hour) <= _partition(now) and place < until:
            for item in self._table.query_all(_partition(hour), KeyRange(between=(place or "0", until)), index="gsi1"):
                if item["gsi1sk"] > place:
                    yield Due(item["order_id"], item["gsi1sk"])
            hour += _HOUR

    def _swept_to(self, now: datetime) -> datetime:
        mark = self._table.get("SWEEP#RESERVATIONS", "SWEEP")
        return datetime.fromisoformat(mark["swept_to"]) if mark else now - _FIRST_LOOK_BACK

    def mark_swept(self, now: datetime) -> None:
        """Marks every hour but the last as swept. The last one stays open, since the index lags behind the table."""
        swept_to = {"swept_to": rfc3339(now - _HOUR)}
        self._table.write(put({"pk": "SWEEP#RESERVATIONS", "sk": "SWEEP"} | swept_to))


def _partition(moment: datetime) -> str:
    return f"EXPIRES#{rfc3339(moment)[:13]}"
