"""Do a payment, its order and the provider agree? What does not is looked at until it does, and told to an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mercato.money import Money
from payments.domain import HELD, OVER, Charge, ChargeStatus, Payment, Status, change

CONFIRMED, CANCELLED = "confirmed", "cancelled"
# The saga and its undoing are over by then, or parked.
PATIENCE = timedelta(minutes=45)


@dataclass(frozen=True)
class Unsettled:
    """A payment, or a charge of the provider's that no payment knows of, and when it last changed. `place` is where it
    stands among all that is unsettled.
    """

    what: Payment | Charge
    since: datetime
    place: str = ""


@dataclass(frozen=True)
class Mismatch:
    """`kind` is a stable name; docs/payments.md says what to do about each."""

    kind: str
    payment_id: str
    order_id: str
    charge_id: str
    amount: Money
    since: datetime


def hear_order(payment: Payment, said: str) -> Payment:
    """What its order is now; the order's end is not taken back by what comes late."""
    if payment.order_status in (said, CANCELLED):
        return payment
    return change(payment, payment.status, order_status=said)


def compare(payment: Payment, charge: Charge) -> Payment:
    """Money that went back without us. Only for a charge that was asked for after the payment was read."""
    if charge.status is not ChargeStatus.CAPTURED or payment.claimed != payment.refunded or not payment.captured:
        return payment
    astray = charge.refunded - payment.refunded
    return payment if astray == payment.astray else change(payment, payment.status, astray=astray)


def must_be_undone(payment: Payment) -> bool:
    """An undo that died half way, or money that is still held for an order that is no more. Money that was taken for
    such an order is not given back unasked: somebody may have done so by hand, and where the undo was written off
    somebody has taken it on to.
    """
    if payment.written_off:
        return False
    is_held = payment.status in (Status.CREATED, Status.AUTHORIZED) and payment.order_status == CANCELLED
    return is_held or (payment.closing and payment.status not in OVER)


def is_settled(payment: Payment) -> bool:
    """Nothing is left to be done, asked or heard. Of what was written off, what becomes of it is still to be heard."""
    return not mismatch(payment) and not is_written_off(payment)


def is_written_off(payment: Payment) -> bool:
    """Its undo is an operator's, and the provider has not said yet that the money is back."""
    return payment.written_off and payment.status not in OVER


def mismatch(payment: Payment) -> str:
    """What a payment lacks, by a stable name; empty where it is settled. A payment in its first minutes lacks much."""
    if payment.claimed != payment.refunded:
        return "refund-unfinished"
    if payment.astray:
        return "refunded-elsewhere"
    if is_written_off(payment):
        return "order-without-payment" if payment.order_status == CONFIRMED else ""
    if payment.status is Status.CREATED:
        return "never-answered"
    if payment.status is Status.AUTHORIZED:
        return "order-not-paid" if payment.order_status == CONFIRMED and not payment.closing else "money-held"
    if payment.status in HELD:
        return _of_money_kept(payment)
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
        return Mismatch("charge-without-payment", found.reference, "", found.charge_id, found.amount, since)
    return Mismatch(mismatch(found), found.payment_id, found.order_id, found.charge_id, found.amount, since)
