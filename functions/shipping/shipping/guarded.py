"""The carrier's system behind a circuit breaker: while it does not answer, no label is asked for, and bookings wait in
their queue.

Only bookings and questions about parcels are guarded. A cancellation is retried a bounded number of times by the saga;
a rejection there would only involve an operator sooner. A failure is counted by its parcel, and only failures of
several parcels open the circuit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mercato.breaker import Breaker, Policy
from mercato.errors import TransientError
from shipping.domain import Booking, Progress, Shipment
from shipping.easypost.api import CarrierTimeout, CarrierUnavailable

if TYPE_CHECKING:
    from shipping.usecases import TrackingCarrier

CIRCUIT = "carrier"
_FAILING = (CarrierTimeout, CarrierUnavailable)
POLICY = Policy(
    failures=5,
    origins=3,
    reset=30.0,
    call_timeout=18.0,
    failing=_FAILING,
    # Our own table was busy, which is no failure of the carrier.
    ignoring=lambda error: isinstance(error, TransientError) and not isinstance(error, _FAILING),
)


class GuardedCarrier:
    """A carrier whose bookings go through a breaker. Raises CircuitOpen, a TransientError, if it is open."""

    def __init__(self, carrier: TrackingCarrier, breaker: Breaker) -> None:
        self._carrier = carrier
        self._breaker = breaker
        self.name = carrier.name
        self.is_by_hand = carrier.is_by_hand

    def book(self, shipment: Shipment, booking_key: str) -> Booking | None:
        return self._breaker.call(lambda: self._carrier.book(shipment, booking_key), origin=shipment.shipment_id)

    def cancel(self, shipment: Shipment, booking_key: str) -> None:
        self._carrier.cancel(shipment, booking_key)

    def progress(self, shipment: Shipment, booking_key: str) -> Progress | None:
        return self._breaker.call(lambda: self._carrier.progress(shipment, booking_key), origin=shipment.shipment_id)
