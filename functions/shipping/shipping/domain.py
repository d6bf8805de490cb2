"""A shipment: from a confirmed and paid order to the customer's door.

Facts arrive in any order and more than once. Each function takes the current shipment and returns the changed one. If
nothing changes it returns the same object, so that a duplicate writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound
from mercato.guests import is_guest


class ShipmentNotFound(NotFound):
    """The shipment does not exist, or belongs to another customer."""


class NotWithCarrier(Conflict):
    """The carrier reports on a parcel that was not handed to it."""


class AlreadyDispatched(Conflict):
    """The carrier has the parcel, so it cannot be stopped any more."""


class NoCarrier(Invalid):
    """A dispatch does not name the carrier that took the parcel."""


class NotByHand(Conflict):
    """A carrier's system moves this parcel, so staff cannot report on it."""


class BookingRefused(Exception):
    """The carrier does not take this parcel: its address, its weight, or the service. Nothing is booked. The text is
    for the shop's staff.
    """


class LabelIsOfAnother(Conflict):
    """The parcel has a label, and the dispatch names another carrier or number."""


class ParcelCancelled(Conflict):
    """The order of this parcel is cancelled, so the parcel must not leave."""


class ParcelLeft(Conflict):
    """The parcel has left already, with another tracking number."""


class Status(StrEnum):
    PENDING = "pending"  # the order or its payment is still missing
    BOOKED = "booked"  # both are there: the carrier can be called
    DISPATCHED = "dispatched"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


# The stops of a parcel in their order. A report of a later stop implies the earlier ones; a report of one passed is
# stale.
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
    company: str | None = None
    region: str | None = None
    phone: str | None = None


@dataclass(frozen=True)
class Contents:
    """What a confirmed order says of its parcel. `service` is the code of the delivery service that the buyer chose.
    `order_number` is the one for people; an order of an earlier release has none.
    """

    lines: tuple[Line, ...]
    address: Address
    service: str | None = None
    weight_grams: int | None = None
    order_number: str | None = None


PAGE = r"^https://[!-~]{1,500}$"  # of a carrier; mails print it, where a space would end the link


@dataclass(frozen=True)
class Booking:
    """The label that a carrier's system made for a parcel. `carrier` is who brings it. `tracking_url` is the carrier's
    page for the recipient.
    """

    carrier: str
    tracking_number: str
    label_url: str
    tracking_url: str | None = None


@dataclass(frozen=True)
class Stop:
    """One entry of the shipment's history. Events are derived from it and numbered by its place."""

    at: datetime
    status: Status


@dataclass(frozen=True)
class Shipment:
    """`address` is None until order.confirmed has come, and once it is erased. `handed`: the carrier has the booking.
    `collected`: the carrier refused to cancel, because it has the parcel. `returned`: by return, how many units of the
    order it took back or wrote off. `by_hand`: the shop's own staff dispatches it and reports on it. `service` is the
    code of the delivery service that the buyer chose. `refusal` is why the carrier's system takes no such parcel.
    `stopping`: the order is being cancelled, and the carrier is asked to void the label. `order_number` is for people,
    and None until order.confirmed has come.
    """

    shipment_id: str
    order_id: str
    customer_id: str
    status: Status = Status.PENDING
    paid: bool = False
    handed: bool = False
    collected: bool = False
    by_hand: bool = False
    is_anonymous: bool = False
    lines: tuple[Line, ...] = ()
    address: Address | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    failure: str | None = None
    service: str | None = None
    weight_grams: int | None = None
    label_url: str | None = None
    tracking_url: str | None = None
    refusal: str | None = None
    stopping: bool = False
    order_number: str | None = None
    history: tuple[Stop, ...] = field(default=())
    returned: Mapping[str, int] = field(default_factory=dict)

    @property
    def order_name(self) -> str:
        """What people call the order."""
        return self.order_number or self.order_id

    @property
    def is_confirmed(self) -> bool:
        return self.address is not None or self.is_anonymous

    @property
    def awaits(self) -> tuple[str, ...]:
        """What the parcel waits for before it leaves."""
        if self.status is Status.PENDING:
            wanted = (("confirmation", self.is_confirmed), ("payment", self.paid))
            return tuple(name for name, is_here in wanted if not is_here)
        if self.status is Status.BOOKED:
            return ("dispatch" if self.is_sent_by_staff else "carrier",)
        return ()

    @property
    def is_sent_by_staff(self) -> bool:
        """Staff packs the parcel and hands it over: by hand, or with the label of the carrier's system."""
        return self.by_hand or self.label_url is not None

    @property
    def needs_staff(self) -> bool:
        """The carrier has given the parcel up, and not all of its goods are returned or written off."""
        units = sum(line.quantity for line in self.lines)
        return self.status is Status.FAILED and sum(self.returned.values()) < units

    @property
    def awaits_dispatch(self) -> bool:
        """Staff can pack the parcel and send it."""
        return self.status is Status.BOOKED and self.is_sent_by_staff

    @property
    def is_under_way(self) -> bool:
        """The parcel left with a label, so that the carrier's system knows where it is, and has not arrived."""
        return self.label_url is not None and self.status in (Status.DISPATCHED, Status.IN_TRANSIT)

    @property
    def awaits_carrier(self) -> bool:
        return self.status is Status.BOOKED and not self.handed

    @property
    def has_left(self) -> bool:
        return self._passed(Status.DISPATCHED)

    @property
    def can_be_stopped(self) -> bool:
        """True also for a parcel that was given up before it left, so that it is not collected later."""
        return self.status in (Status.PENDING, Status.BOOKED) or (self.status is Status.FAILED and not self.has_left)

    @property
    def may_be_with_carrier(self) -> bool:
        """The carrier may have the booking, or a concurrent request may be making it."""
        return self._passed(Status.BOOKED)

    @property
    def was_cancelled_while_booking(self) -> bool:
        return self.status is Status.CANCELLED and self.may_be_with_carrier and not self.handed

    def _passed(self, status: Status) -> bool:
        return any(stop.status is status for stop in self.history)


@dataclass(frozen=True)
class Progress:
    """A report on a parcel. `tracking_url` is the carrier's page about it, if staff names one."""

    shipment_id: str
    status: Status
    tracking_number: str
    reason: str | None = None
    tracking_url: str | None = None


def confirm(shipment: Shipment, contents: Contents, now: datetime) -> Shipment:
    """The order is confirmed. Changes nothing after a cancellation, which may come first."""
    if shipment.is_confirmed or shipment.status is Status.CANCELLED:
        return shipment
    confirmed = replace(shipment, **vars(contents))
    return _book_if_complete(_move(confirmed, Status.PENDING, now), now)


def mark_paid(shipment: Shipment, now: datetime) -> Shipment:
    if shipment.paid or shipment.status is Status.CANCELLED:
        return shipment
    return _book_if_complete(replace(shipment, paid=True), now)


def cancel(shipment: Shipment, now: datetime) -> Shipment:
    """Cancels only before the carrier has the parcel. A parcel on its way comes back as a return."""
    return _move(shipment, Status.CANCELLED, now) if shipment.can_be_stopped else shipment


def begin_stop(shipment: Shipment) -> Shipment:
    """Keeps staff from handing over a parcel while its label is voided."""
    is_news = shipment.can_be_stopped and shipment.label_url is not None and not shipment.stopping
    return replace(shipment, stopping=True) if is_news else shipment


def note_collected(shipment: Shipment, now: datetime) -> Shipment:
    """The carrier refused to cancel, so the parcel has left even if it has not reported a dispatch."""
    if shipment.stopping:
        shipment = replace(shipment, stopping=False)
    if shipment.status is Status.BOOKED and not shipment.collected:
        return replace(shipment, collected=True)
    if shipment.status is Status.FAILED and not shipment.has_left:
        return _move(_move(shipment, Status.DISPATCHED, now), Status.FAILED, now)
    return shipment


def record_return(shipment: Shipment, return_id: str, units: int) -> Shipment:
    if return_id in shipment.returned:
        return shipment
    return replace(shipment, returned={**shipment.returned, return_id: units})


def claim(shipment: Shipment, customer_id: str) -> Shipment:
    """The first account that claims a guest's order has its shipment, too."""
    return replace(shipment, customer_id=customer_id) if is_guest(shipment.customer_id) else shipment


def anonymise(shipment: Shipment) -> Shipment:
    """The order is finished and its customer's account closed. A label shows the address, and a refusal may name it."""
    if shipment.is_anonymous:
        return shipment
    return replace(shipment, address=None, is_anonymous=True, label_url=None, tracking_url=None, refusal=None)


def hand_over(shipment: Shipment, *, by_hand: bool, booking: Booking | None = None) -> Shipment:
    """The carrier has the booking; with `by_hand` the shop's staff has it. `booking` is the label, if there is one."""
    if not shipment.awaits_carrier:
        return shipment
    handed = replace(shipment, handed=True, by_hand=by_hand)
    return replace(handed, **vars(booking)) if booking else handed


def leave_to_staff(shipment: Shipment, refusal: str) -> Shipment:
    """The carrier's system takes no such parcel: staff sends it another way, or cancels the order."""
    if not shipment.awaits_carrier:
        return shipment
    return replace(shipment, handed=True, by_hand=True, refusal=refusal)


def record_progress(shipment: Shipment, progress: Progress, carrier: str, now: datetime) -> Shipment:
    """Moves forward only. Adds skipped stops too, so that each one is published.

    A parcel that was given up may still arrive. A late report that it was dispatched does not move it, but shows that
    the goods have left.
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
        tracking_url=shipment.tracking_url or progress.tracking_url,
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


def report_by_hand(shipment: Shipment, progress: Progress, carrier: str, now: datetime) -> Shipment:
    """Records what a member of staff reports. Unlike a carrier's, such a report is refused where it cannot be true: a
    dispatch is an intention until it is recorded. A parcel with a label is dispatched with it: `carrier` and the
    tracking number may then be empty.

    Raises NotWithCarrier, NotByHand, ParcelCancelled, LabelIsOfAnother, NoCarrier, and ParcelLeft for a second dispatch
    with another number.
    """
    if shipment.status is Status.CANCELLED:
        raise ParcelCancelled(f"Order {shipment.order_name} is cancelled: do not send its parcel.")
    if shipment.stopping and progress.status is Status.DISPATCHED:
        raise ParcelCancelled(f"Order {shipment.order_name} is being cancelled: do not send its parcel.")
    if not shipment.handed:
        raise NotWithCarrier(
            f"Shipment {shipment.shipment_id} cannot be sent yet: its order is not confirmed and paid."
        )
    if not shipment.is_sent_by_staff:
        raise NotByHand(f"The carrier itself reports on shipment {shipment.shipment_id}.")
    is_dispatch = progress.status is Status.DISPATCHED
    if shipment.label_url:
        carrier = carrier or shipment.carrier or ""
        progress = replace(progress, tracking_number=progress.tracking_number or shipment.tracking_number or "")
    if is_dispatch and not carrier:
        raise NoCarrier("A dispatch names the carrier that took the parcel.")
    is_other = progress.tracking_number != shipment.tracking_number or carrier != shipment.carrier
    if is_dispatch and shipment.label_url and is_other:
        raise LabelIsOfAnother(
            f"The parcel has a label of {shipment.carrier}, number {shipment.tracking_number}: send it with that one.",
            carrier=shipment.carrier,
            tracking_number=shipment.tracking_number,
        )
    if is_dispatch and shipment.has_left and is_other:
        raise ParcelLeft(
            f"The parcel has left with {shipment.carrier}, number {shipment.tracking_number or 'none'}.",
            carrier=shipment.carrier,
            tracking_number=shipment.tracking_number,
        )
    return record_progress(shipment, progress, carrier, now)


def next_stop(status: Status) -> Status | None:
    """The stop after this one; None after the last one and for a parcel that is not under way."""
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
