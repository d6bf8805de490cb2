"""Compares a payment with its order and the provider. Mismatches stay on a list and are reported to an operator."""

from __future__ import annotations

from datetime import datetime, timedelta

from mercato.dataclass import dataclass
from mercato.money import Money
from payments.domain import HELD, OPEN, OVER, Charge, ChargeStatus, Payment, Status, change, payment_id_in

CONFIRMED, CANCELLED = "confirmed", "cancelled"
# The saga and its cancellation are finished or parked by then.
PATIENCE = timedelta(minutes=45)


@dataclass(frozen=True)
class Unsettled:
    """A payment, or a charge at the provider without a payment of ours, and when it last changed. `place` is its
    position among all unsettled ones.
    """

    what: Payment | Charge
    since: datetime
    place: str = ""


@dataclass(frozen=True)
class Mismatch:
    """`kind` is a stable name; docs/payments.md says what to do about each. `order_number` is for people; money without
    a payment has none.
    """

    kind: str
    payment_id: str
    order_id: str
    charge_id: str
    amount: Money
    since: datetime
    order_number: str | None = None


def with_order_status(payment: Payment, order_status: str) -> Payment:
    """Stores the order's status. A cancelled order stays cancelled after a late event."""
    if payment.order_status in (order_status, CANCELLED):
        return payment
    return change(payment, payment.status, order_status=order_status)


def compare(payment: Payment, charge: Charge) -> Payment:
    """Stores how much was refunded at the provider without us. Requires that the payment was read before the charge."""
    if charge.status is not ChargeStatus.CAPTURED or payment.claimed != payment.refunded or not payment.captured:
        return payment
    refunded_elsewhere = charge.refunded - payment.refunded
    return (
        payment
        if refunded_elsewhere == payment.refunded_elsewhere
        else change(payment, payment.status, refunded_elsewhere=refunded_elsewhere)
    )


def must_be_undone(payment: Payment) -> bool:
    """True for an unfinished undo, and for money still held for a cancelled order. Captured money is never refunded
    automatically: an operator may have done it by hand, or has taken it over (`written_off`).
    """
    if payment.written_off:
        return False
    is_held = payment.status in (*OPEN, Status.AUTHORIZED) and payment.order_status == CANCELLED
    return is_held or (payment.closing and payment.status not in OVER)


def is_settled(payment: Payment) -> bool:
    """Nothing is left to do. A written-off payment is unsettled until the provider reports the refund, and a disputed
    one until the bank has decided.
    """
    return not mismatch(payment) and not is_written_off(payment) and not payment.is_disputed


def is_written_off(payment: Payment) -> bool:
    """An operator has taken over its undo, and the provider has not reported the refund yet."""
    return payment.written_off and payment.status not in OVER


def mismatch(payment: Payment) -> str:
    """The stable name of what is missing; empty for a settled payment. A payment in its first minutes has a
    mismatch.
    """
    if payment.claimed != payment.refunded:
        return "refund-unfinished"
    if payment.refunded_elsewhere:
        return "refunded-elsewhere"
    if is_written_off(payment):
        return "order-without-payment" if payment.order_status == CONFIRMED else ""
    if payment.status in OPEN:
        return "never-answered"
    if payment.status is Status.AUTHORIZED:
        return "order-not-paid" if payment.order_status == CONFIRMED and not payment.closing else "money-held"
    if payment.status in HELD:
        return _of_money_kept(payment)
    if payment.closing and payment.refundable:  # a bank has given back what it had taken
        return "undo-unfinished"
    if payment.order_status == CONFIRMED and (payment.closing or payment.status is not Status.REFUNDED):
        return "order-without-payment"
    return ""


def _of_money_kept(payment: Payment) -> str:
    if payment.closing:
        return "undo-unfinished"
    return {CONFIRMED: "", CANCELLED: "payment-of-cancelled-order"}.get(payment.order_status, "payment-without-order")


def mismatch_of(unsettled: Unsettled) -> Mismatch:
    found, since = unsettled.what, unsettled.since
    if isinstance(found, Charge):
        payment_id = payment_id_in(found.reference)
        return Mismatch("charge-without-payment", payment_id, "", found.charge_id, found.amount, since)
    number = found.order_number or None
    return Mismatch(mismatch(found), found.payment_id, found.order_id, found.charge_id, found.amount, since, number)
