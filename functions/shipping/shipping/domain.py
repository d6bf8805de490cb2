"""A shipment: from a confirmed and paid order to the customer's door.

Facts come in any order and more than once; each function takes the shipment as it is and returns it as it is then.
Where nothing changes it returns the same object, so that a fact that comes again writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from mercato.errors import Conflict, NotFound


class ShipmentNotFound(NotFound):
    """There is no such shipment, or it is another customer's."""


class NotWithCarrier(Conflict):
    """A carrier reports on a parcel that it was never given."""


class AlreadyDispatched(Conflict):
    """The carrier has the parcel: the order can only be returned."""


class Status(StrEnum):
    PENDING = "pending"  # the order or its payment is still missing
    BOOKED = "booked"  # both are there: the carrier is to be told
    DISPATCHED = "dispatched"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


# The way of a parcel. A report of a later stop implies the ones before it; a report of an earlier one is late news.
_WAY = (Status.BOOKED, Status.DISPATCHED, Status.IN_TRANSIT, Status.DELIVERED)


@dataclass(frozen=True)
class Line:
    product_id: str
    sku: str
    name: str
    quantity: int


@dataclass(frozen=True)
class Address:
    name: str
    line1: str
    line2: str | None
    city: str
    postcode: str
    country: str


@dataclass(frozen=True)
class Stop:
    """One entry of the shipment's history. The announcements follow from it, numbered by their place."""

    at: datetime
    status: Status


@dataclass(frozen=True)
class Shipment:
    """`address` is None until order.confirmed has come, and once it is erased; `handed` says that the carrier has been
    told.
    """

    shipment_id: str
    order_id: str
    customer_id: str
    status: Status = Status.PENDING
    paid: bool = False
    handed: bool = False
    is_anonymous: bool = False
    lines: tuple[Line, ...] = ()
    address: Address | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    failure: str | None = None
    history: tuple[Stop, ...] = field(default=())

    @property
    def is_confirmed(self) -> bool:
        return self.address is not None or self.is_anonymous

    @property
    def awaits_carrier(self) -> bool:
        return self.status is Status.BOOKED and not self.handed


@dataclass(frozen=True)
class Progress:
    """What a carrier reports of a parcel."""

    shipment_id: str
    status: Status
    tracking_number: str
    reason: str | None = None


def confirm(shipment: Shipment, lines: tuple[Line, ...], address: Address, now: datetime) -> Shipment:
    """The order is confirmed. After a cancellation, which may come first, it changes nothing."""
    if shipment.is_confirmed or shipment.status is Status.CANCELLED:
        return shipment
    confirmed = replace(shipment, lines=lines, address=address)
    return _book_if_complete(_move(confirmed, Status.PENDING, now), now)


def mark_paid(shipment: Shipment, now: datetime) -> Shipment:
    if shipment.paid or shipment.status is Status.CANCELLED:
        return shipment
    return _book_if_complete(replace(shipment, paid=True), now)


def cancel(shipment: Shipment, now: datetime) -> Shipment:
    """Only before the carrier has it: what is on its way comes back as a return."""
    if shipment.status not in (Status.PENDING, Status.BOOKED):
        return shipment
    return _move(shipment, Status.CANCELLED, now)


def anonymise(shipment: Shipment) -> Shipment:
    """The order is finished and its customer's account closed."""
    return shipment if shipment.is_anonymous else replace(shipment, address=None, is_anonymous=True)


def hand_over(shipment: Shipment) -> Shipment:
    """The carrier has been told."""
    return replace(shipment, handed=True) if shipment.awaits_carrier else shipment


def record_progress(shipment: Shipment, progress: Progress, carrier: str, now: datetime) -> Shipment:
    """Forward only. A stop that was skipped is passed too, so that nobody who listens misses one."""
    if shipment.status is Status.PENDING:
        raise NotWithCarrier(f"Shipment {shipment.shipment_id} has not been booked.")
    if shipment.status not in _WAY[:-1]:  # delivered, failed and cancelled are ends
        return shipment
    known = replace(
        shipment,
        handed=True,
        carrier=shipment.carrier or carrier,
        tracking_number=shipment.tracking_number or progress.tracking_number,
    )
    if progress.status is Status.FAILED:
        return _move(replace(known, failure=progress.reason or "the carrier gave no reason"), Status.FAILED, now)
    here, there = _WAY.index(shipment.status), _WAY.index(progress.status)
    if there <= here:
        return shipment
    for stop in _WAY[here + 1 : there + 1]:
        known = _move(known, stop, now)
    return known


def next_stop(status: Status) -> Status | None:
    """Where a parcel goes from here; None at the end of the way, and off it."""
    return _WAY[_WAY.index(status) + 1] if status in _WAY[:-1] else None


def _book_if_complete(shipment: Shipment, now: datetime) -> Shipment:
    if shipment.paid and shipment.address is not None:
        return _move(shipment, Status.BOOKED, now)
    return shipment


def _move(shipment: Shipment, status: Status, now: datetime) -> Shipment:
    return replace(shipment, status=status, history=(*shipment.history, Stop(now, status)))
