"""Which parcel of the carrier's system belongs to a booking of ours, in the shipping table.

pk=BOOKING#<booking key>   sk=BOOKING   the first parcel that the system made for it, whether it was cancelled, and
                                        since when the system does not know it
pk=PARCEL#<parcel id>      sk=BOOKING   the shipment of a parcel, for the system's reports
"""

from __future__ import annotations

from datetime import datetime

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, Table, put_new, update

_SORT = "BOOKING"


@dataclass(frozen=True)
class Booked:
    """`parcel_id` is the carrier's id of the parcel; empty for a booking that was cancelled before it was made."""

    parcel_id: str = ""
    is_cancelled: bool = False


class Bookings:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, booking_key: str) -> Booked | None:
        item = self._table.get(_key(booking_key), _SORT)
        return _booked(item) if item else None

    def begin(self, booking_key: str, shipment_id: str, parcel_id: str) -> Booked:
        """Stores the booking's parcel. If there is a booking already, that one stays and is returned."""
        booking = {"pk": _key(booking_key), "sk": _SORT, "parcel_id": parcel_id, "is_cancelled": False}
        parcel = {"pk": _parcel(parcel_id), "sk": _SORT, "shipment_id": shipment_id}
        try:
            self._table.transact([put_new(booking), put_new(parcel)])
        except ConditionFailed:
            return self.find(booking_key) or Booked(parcel_id)
        return Booked(parcel_id)

    def cancel(self, booking_key: str) -> Booked:
        """From now on nothing is bought for this booking."""
        expression = "SET is_cancelled = :yes, parcel_id = if_not_exists(parcel_id, :none)"
        change = update(_key(booking_key), _SORT, expression, values={":yes": True, ":none": ""})
        item = self._table.write(change, return_values="ALL_NEW")
        return _booked(item) if item else Booked(is_cancelled=True)

    def note_unknown(self, booking_key: str, now: datetime) -> datetime:
        """Notes that the carrier's system does not know the parcel. Returns since when: the first time counts."""
        expression = "SET unknown_since = if_not_exists(unknown_since, :now)"
        change = update(_key(booking_key), _SORT, expression, values={":now": rfc3339(now)})
        item = self._table.write(change, return_values="ALL_NEW")
        return datetime.fromisoformat(item["unknown_since"]) if item else now

    def shipment_of(self, parcel_id: str) -> str | None:
        item = self._table.get(_parcel(parcel_id), _SORT)
        return str(item["shipment_id"]) if item else None


def _key(booking_key: str) -> str:
    return f"BOOKING#{booking_key}"


def _parcel(parcel_id: str) -> str:
    return f"PARCEL#{parcel_id}"


def _booked(item: Item) -> Booked:
    return Booked(item["parcel_id"], item["is_cancelled"])
