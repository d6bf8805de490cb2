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
    """The shipment does not exist, or belongs to another customer."""


class NotWithCarrier(Conflict):
    """The carrier reports on a parcel that was not handed to it."""


class AlreadyDispatched(Conflict):
    """The carrier has the parcel: it cannot be stopped any more."""


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
    told, `collected` that it would not cancel, because it has the parcel.
    """

    shipment_id: str
    order_id: str
    customer_id: str
    status: Status = Status.PENDING
    paid: bool = False
    handed: bool = False
    collected: bool = False
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

    @property
    def has_left(self) -> bool:
        return self._passed(Status.DISPATCHED)

    @property
    def can_be_stopped(self) -> bool:
        """A parcel that was given up before it left is stopped, too, so that nothing more comes of it."""
        return self.status in (Status.PENDING, Status.BOOKED) or (self.status is Status.FAILED and not self.has_left)

    @property
    def is_carriers(self) -> bool:
        """The carrier may know of it, or hear of it yet from somebody who began to tell it."""
        return self._passed(Status.BOOKED)

    @property
    def was_cancelled_while_booking(self) -> bool:
        return self.status is Status.CANCELLED and self.is_carriers and not self.handed

    def _passed(self, status: Status) -> bool:
        return any(stop.status is status for stop in self.history)


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
    return _move(shipment, Status.CANCELLED, now) if shipment.can_be_stopped else shipment


def note_collected(shipment: Shipment, now: datetime) -> Shipment:
    """The carrier would not cancel: what it has not reported as dispatched has left all the same."""
    if shipment.status is Status.BOOKED and not shipment.collected:
        return replace(shipment, collected=True)
    if shipment.status is Status.FAILED and not shipment.has_left:
        return _move(_move(shipment, Status.DISPATCHED, now), Status.FAILED, now)
    return shipment


def anonymise(shipment: Shipment) -> Shipment:
    """The order is finished and its customer's account closed."""
    return shipment if shipment.is_anonymous else replace(shipment, address=None, is_anonymous=True)


def hand_over(shipment: Shipment) -> Shipment:
    """The carrier has been told."""
    return replace(shipment, handed=True) if shipment.awaits_carrier else shipment


def record_progress(shipment: Shipment, progress: Progress, carrier: str, now: datetime) -> Shipment:
    """Forward only. A stop that was skipped is passed too, so that nobody who listens misses one.

    A parcel that was given up may arrive all the same. That it was dispatched before is late news, but tells that the
    goods have left.
    """
    if shipment.status is Status.PENDING:
        raise NotWithCarrier(f"Shipment {shipment.shipment_id} has not been booked.")
    if shipment.status in (Status.DELIVERED, Status.CANCELLED):
        return shipment
    known = replace(
        shipment,
        handed=True,
        carrier=shipment.carrier or carrier,
        tracking_number=shipment.tracking_number or progress.tracking_number,
    )
    if progress.status is Status.FAILED:
        return shipment if shipment.status is Status.FAILED else _give_up(known, progress.reason, now)
    here = max(_WAY.index(stop.status) for stop in shipment.history if stop.status in _WAY)
    there = _WAY.index(progress.status)
    if shipment.status is not Status.FAILED or progress.status is Status.DELIVERED:
        return _go_on(replace(known, failure=None), here, there, now) if there > here else shipment
    if shipment.has_left:
        return shipment
    return _move(_go_on(known, here, there, now), Status.FAILED, now)


def next_stop(status: Status) -> Status | None:
    """Where a parcel goes from here; None at the end of the way, and off it."""
    return _WAY[_WAY.index(status) + 1] if status in _WAY[:-1] else None


def _book_if_complete(shipment: Shipment, now: datetime) -> Shipment:
    if shipment.paid and shipment.address is not None:
        return _move(shipment, Status.BOOKED, now)
    return shipment


def _go_on(shipment: Shipment, here: int, there: int, now: datetime) -> Shipment:
    for stop in _WAY[here + 1 : there + 1]:
        shipment = _move(shipment, stop, now)
    return shipment


def _give_up(shipment: Shipment, reason: str | None, now: datetime) -> Shipment:
    if shipment.collected and not shipment.has_left:
        shipment = _move(shipment, Status.DISPATCHED, now)
    return _move(replace(shipment, failure=reason or "the carrier gave no reason"), Status.FAILED, now)


def _move(shipment: Shipment, status: Status, now: datetime) -> Shipment:
    return replace(shipment, status=status, history=(*shipment.history, Stop(now, status)))
