"""The use cases of shipping. All are naturally idempotent: each change is decided on the current shipment and written
on condition that it is unchanged, and a duplicate fact changes and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mercato.guests import is_guest
from mercato.ids import derived_id
from mercato.store.retry import RESEND_ATTEMPTS, retry_on_conflict
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from shipping import domain, manual
from shipping.domain import (
    AlreadyDispatched,
    Booking,
    BookingRefused,
    Contents,
    Progress,
    Shipment,
    ShipmentNotFound,
    Status,
)
from shipping.rates import InvalidRateTable, RateTable, RateTableChanged, RateTableNotFound, findings
from shipping.store import Loaded, Moved, RateTables, ShipmentStore
from shipping.wiring import Ports

_ATTEMPTS = 5


class Carrier(Protocol):
    """A carrier. `name` is in the webhook's path and in shipment.dispatched. `is_by_hand`: staff sends its parcels and
    reports on them, and no system does.

    Every call may be repeated, also concurrently or much later, and may be interrupted. `booking_key` identifies the
    booking. An unavailable carrier or a lost response is a TransientError: the caller retries, and the saga finally
    parks for an operator. Shipping stores a call's outcome after the call. A carrier reports to a signed webhook like
    that of shipping.api, in any order; `record_progress` puts the reports in order.
    """

    name: str
    is_by_hand: bool

    def book(self, shipment: Shipment, booking_key: str) -> Booking | None:
        """Has the parcel collected, once, and returns its label, if the carrier makes one. After a cancel with the same
        key nothing is collected. Most carriers answer a known key with its first booking; for one that does not, look
        up a cancellation before you book. Raises BookingRefused.
        """

    def cancel(self, shipment: Shipment, booking_key: str) -> None:
        """Cancels the collection. A booking that the carrier does not know, or has cancelled, counts as cancelled.
        Returns only when the carrier has agreed, since the refund depends on it. Raises AlreadyDispatched if it has
        the parcel.
        """


class TrackingCarrier(Carrier, Protocol):
    """A carrier whose system says where a parcel is. Its reports may be lost, so it is asked, too."""

    def progress(self, shipment: Shipment, booking_key: str) -> Progress | None:
        """Where the parcel is; None if nothing is known of its way."""
        ...


def shipment_id_of(order_id: str) -> str:
    return derived_id("shipment", order_id)


def booking_key_of(shipment_id: str) -> str:
    return derived_id("booking", shipment_id)


def confirm_order(order_id: str, customer_id: str, contents: Contents, ports: Ports, now: datetime) -> None:
    def decide(found: Shipment) -> Shipment:
        return domain.confirm(found, contents, now)

    _hand_over(_change_or_create(order_id, customer_id, decide, ports.shipments, now), ports, now)


def mark_paid(order_id: str, customer_id: str, ports: Ports, now: datetime) -> None:
    def decide(found: Shipment) -> Shipment:
        return domain.mark_paid(found, now)

    _hand_over(_change_or_create(order_id, customer_id, decide, ports.shipments, now), ports, now)


def claim_shipment(order_id: str, customer_id: str, *, shipments: ShipmentStore, now: datetime) -> None:
    """An account has the guest's order from here on. If order.confirmed comes later, the account keeps the shipment."""
    _change_or_create(order_id, customer_id, lambda found: domain.claim(found, customer_id), shipments, now)


def anonymise_shipment(order_id: str, customer_id: str, *, shipments: ShipmentStore, now: datetime) -> None:
    """Erases the address. If order.confirmed comes later, its address is not stored."""
    _change_or_create(order_id, customer_id, domain.anonymise, shipments, now)


def record_return(
    order_id: str, customer_id: str, return_id: str, units: int, *, shipments: ShipmentStore, now: datetime
) -> None:
    """Notes the units that a return takes back or writes off, so that a parcel given up needs no staff any more."""

    def decide(found: Shipment) -> Shipment:
        return domain.record_return(found, return_id, units)

    _change_or_create(order_id, customer_id, decide, shipments, now)


def stop_shipment(order_id: str, customer_id: str, ports: Ports, now: datetime) -> Shipment:
    """Decides between the cancellation of an order and its parcel. Raises AlreadyDispatched.

    Calls the carrier before it cancels the shipment, so a retry after a crash calls it again. If order.confirmed has
    not come yet, writes the tombstone for it.
    """

    def decide(found: Shipment) -> Shipment:
        if found.can_be_stopped and found.may_be_with_carrier:
            ports.carrier(now).cancel(found, booking_key_of(found.shipment_id))
        return domain.cancel(found, now)

    _change_or_create(order_id, customer_id, domain.begin_stop, ports.shipments, now)
    try:
        shipment = _change_or_create(order_id, customer_id, decide, ports.shipments, now)
    except AlreadyDispatched:
        _change_or_create(order_id, customer_id, lambda found: domain.note_collected(found, now), ports.shipments, now)
        raise
    if shipment.status is not Status.CANCELLED:
        raise AlreadyDispatched(
            f"The parcel of order {order_id} is {shipment.status}.", shipment_id=shipment.shipment_id
        )
    return shipment


def record_progress(progress: Progress, carrier: str, *, shipments: ShipmentStore, now: datetime) -> Shipment:
    """Moves a parcel. The only way, for the carrier's webhook and for the sandbox carrier."""

    def decide(found: Shipment | None) -> Shipment:
        if found is None:
            raise ShipmentNotFound("There is no such shipment.")
        return domain.record_progress(found, progress, carrier, now)

    shipment = _change(progress.shipment_id, decide, shipments, now)
    if shipment.status is Status.CANCELLED and progress.status is not Status.FAILED:
        alert_cancelled_parcel_left(shipment.shipment_id, shipment.order_id, f"The carrier says {progress.status}.")
    return shipment


def hear_of_parcel(
    parcel_id: str, read: Callable[[str], Progress | None], carrier: str, ports: Ports, now: datetime
) -> None:
    """Moves the parcel that the carrier's system calls `parcel_id`. `read` makes the report, for our shipment's id.

    A parcel that is not this shop's is logged and counted: an error would have the carrier send the report again.
    """
    shipment_id = ports.bookings.shipment_of(parcel_id)
    progress = read(shipment_id) if shipment_id else None
    try:
        if progress:
            record_progress(progress, carrier, shipments=ports.shipments, now=now)
    except ShipmentNotFound:
        shipment_id = None
    if shipment_id is None:
        log.warning("a report about a parcel that is not this shop's", extra={"parcel_id": parcel_id})
        metrics.count("UnknownParcelReports")
        metrics.flush()


def report_by_hand(progress: Progress, carrier: str, *, shipments: ShipmentStore, now: datetime) -> Shipment:
    """Moves a parcel that the shop's own staff sends. Of a dispatch and a cancellation at the same time one is refused,
    since both write the shipment's record. Raises ShipmentNotFound, and what domain.report_by_hand raises.
    """

    def decide(found: Shipment | None) -> Shipment:
        if found is None:
            raise ShipmentNotFound("There is no such shipment.")
        carrier_or_ours = carrier or ("" if progress.status is Status.DISPATCHED else manual.NAME)
        return domain.report_by_hand(found, progress, carrier_or_ours, now)

    return _change(progress.shipment_id, decide, shipments, now)


def alert_cancelled_parcel_left(shipment_id: str, order_id: str, reason: str) -> None:
    """Raises the alarm CancelledParcelLeft: the parcel of a cancelled order has left, and its money is refunded."""
    log.error(
        "a parcel of a cancelled order has left",
        extra={"shipment_id": shipment_id, "order_id": order_id, "reason": reason},
    )
    metrics.count("CancelledParcelsLeft")
    metrics.flush()


def show_shipment(shipment_id: str, user_id: str, *, is_admin: bool, shipments: ShipmentStore) -> Shipment:
    """Raises ShipmentNotFound to a customer for an unconfirmed shipment, even if its payment or cancellation is stored.
    Staff sees it.
    """
    shipment = shipments.load(shipment_id).shipment
    if shipment is None or not (is_admin or (shipment.is_confirmed and shipment.customer_id == user_id)):
        raise ShipmentNotFound("There is no such shipment.")
    return shipment


def show_guest_shipment(shipment_id: str, *, shipments: ShipmentStore) -> Shipment:
    """Raises ShipmentNotFound for a parcel of an account, also of one that has claimed the order."""
    shipment = shipments.load(shipment_id).shipment
    if shipment is None or not (shipment.is_confirmed and is_guest(shipment.customer_id)):
        raise ShipmentNotFound("There is no such shipment.")
    return shipment


def change_rates(wanted: RateTable, shop_currency: str, rates: RateTables) -> RateTable:
    """Replaces the table of the version before. Idempotent: a retry finds the table that it has written, also a retry
    that runs at once. Raises RateTableChanged.
    """
    wrong = findings(wanted.zones, wanted.currency, shop_currency)
    if errors := [{"field": field, "message": message} for field, message in wrong]:
        raise InvalidRateTable("The shipping rates contradict each other, or the shop.", errors=errors)

    def write(current: RateTable) -> RateTable:
        if current.states_the_same(wanted):
            return current
        if current.version != wanted.version - 1:
            raise RateTableChanged(
                f"The shipping rates are at version {current.version}, not {wanted.version - 1}.",
                version=current.version,
            )
        rates.add(wanted)
        return wanted

    return retry_on_conflict(rates.current, write, conflict=RateTableChanged, attempts=RESEND_ATTEMPTS)


def find_rates(version: int | None, rates: RateTables) -> RateTable:
    """The current table, or an earlier version of it."""
    found = rates.current() if version is None else rates.version(version)
    if found is None:
        raise RateTableNotFound(f"There is no version {version} of the shipping rates.")
    return found


def _hand_over(shipment: Shipment, ports: Ports, now: datetime) -> None:
    """Books with the carrier, always after the write, so that a redelivery after a crash books again.

    A booking and a cancellation may run concurrently without seeing each other; so the booking checks for one
    afterwards and cancels with the carrier.
    """
    key, carrier = booking_key_of(shipment.shipment_id), ports.carrier(now)
    if shipment.awaits_carrier:
        decide = _booked(carrier, shipment, key)
        shipment = _change(shipment.shipment_id, lambda found: decide(found or shipment), ports.shipments, now)
    if shipment.was_cancelled_while_booking:
        try:
            carrier.cancel(shipment, key)
        except AlreadyDispatched as error:
            alert_cancelled_parcel_left(shipment.shipment_id, shipment.order_id, error.detail)


def _booked(carrier: Carrier, shipment: Shipment, key: str) -> Callable[[Shipment], Shipment]:
    """Books, and returns the change that records the carrier's answer."""
    try:
        booking = carrier.book(shipment, key)
    except BookingRefused as error:
        refusal = str(error)  # it may name the address, so no log has it
        log.warning("the carrier refuses a parcel", extra={"shipment_id": shipment.shipment_id})
        return lambda found: domain.leave_to_staff(found, refusal)
    return lambda found: domain.hand_over(found, by_hand=carrier.is_by_hand, booking=booking)


def _change_or_create(
    order_id: str,
    customer_id: str,
    decide: Callable[[Shipment], Shipment],
    shipments: ShipmentStore,
    now: datetime,
) -> Shipment:
    new = Shipment(shipment_id_of(order_id), order_id, customer_id)
    return _change(new.shipment_id, lambda found: decide(found or new), shipments, now)


def _change(
    shipment_id: str, decide: Callable[[Shipment | None], Shipment], shipments: ShipmentStore, now: datetime
) -> Shipment:
    def write(before: Loaded) -> Shipment:
        after = decide(before.shipment)
        if after is not before.shipment:
            shipments.save(after, before, now)
        return after

    return retry_on_conflict(
        lambda: shipments.load(shipment_id),
        write,
        conflict=Moved,
        attempts=_ATTEMPTS,
        exhausted=f"shipment {shipment_id} was changed by others {_ATTEMPTS} times in a row",
    )
