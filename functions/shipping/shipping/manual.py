"""The manual carrier: the shop's own staff packs each parcel, hands it to whom they like, and reports on it."""

from __future__ import annotations

from shipping.domain import Booking, Shipment

NAME = "manual"


class ManualCarrier:
    """Nothing outside the shop knows of a booking: staff finds the parcel in the list of those to send, which is the
    shipment's own record. So there is nothing to call, and whether the order's cancellation or the dispatch comes first
    is decided by that record alone.
    """

    name = NAME
    is_by_hand = True

    def book(self, shipment: Shipment, booking_key: str) -> Booking | None:
        """The record itself puts the parcel into the list."""
        return None

    def cancel(self, shipment: Shipment, booking_key: str) -> None:
        """Always agrees: a parcel that has left is not asked about."""
