"""Refunds of a payment: several partial ones, never more than was captured.

A refund first claims its amount on the payment, in the transaction that stores it as pending. Then the provider is
called with the attempt's key. Then it is stored as done, and published. Any process that finds it pending continues it.
A refused refund was not made; a retry begins another attempt with its own key.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from mercato.errors import IdempotencyKeyReused, TransientError
from mercato.ids import derived_id, fingerprint
from mercato.money import Money
from mercato.store.retry import retry_on_conflict
from payments import agreement, domain
from payments import refund as refunding
from payments.domain import OVER, Payment
from payments.providers.port import ProviderDeclined, transient
from payments.refund import Refund, RefundStatus
from payments.store import PaymentMoved, PaymentStore
from payments.wiring import Ports

_ATTEMPTS = 8
# The most refunds of one payment, refused ones included, that an admin can make: all are read and shown together.
# Refunds of returns and of an undo are exempt; the order limits their number.
MAX_REFUNDS = 1000
RETURNED = "You returned goods."
UNDELIVERED = "Your parcel could not be delivered."
GIVEN_BACK = "Your order was cancelled."

# Caps the refund at what is still refundable. Raises PaymentMoved to make the caller reload and retry.
type Fit = Callable[[Payment], Refund]


def refund(payment_id: str, key: str, amount: Money, reason: str, ports: Ports, now: datetime) -> Refund:
    """The same key is the same refund, even if refused. Raises IdempotencyKeyReused for another amount or reason."""
    asked = Refund(
        refund_id=derived_id("refund", payment_id, key),
        payment_id=payment_id,
        amount=amount,
        reason=reason,
        status=RefundStatus.PENDING,
        fingerprint=fingerprint([amount.amount, amount.currency, reason]),
        at=now,
    )

    def fit(_: Payment) -> Refund:
        """Counts after the payment was read: a concurrent refund changes its version, so the write of this one
        fails.
        """
        if len(ports.payments.refunds(payment_id)) >= MAX_REFUNDS:
            raise refunding.TooManyRefunds(f"One payment has at most {MAX_REFUNDS} refunds.", limit=MAX_REFUNDS)
        return asked

    claimed = _claim(asked, ports.payments, now, fit, retry_refused=False)
    return _complete(claimed, ports, now)


def refund_for_return(
    payment_id: str,
    refund_id: str,
    amount: Money,
    reason: str,
    ports: Ports,
    now: datetime,
) -> None:
    """Refunds as much of the amount as is left after other refunds. The same id is the same refund; a refused one gets
    one more attempt.

    A pending refund may still be refused, so if it leaves too little, it is finished first. If nothing is left
    because a bank took it, or an operator refunded it at the provider, a refund of 0 is published: the order waits.
    """
    asked = Refund(
        refund_id=refund_id,
        payment_id=payment_id,
        amount=amount,
        reason=reason,
        status=RefundStatus.PENDING,
        fingerprint=fingerprint([amount.amount, amount.currency, reason]),
        at=now,
    )

    def fit(payment: Payment) -> Refund:
        made = replace(asked, amount=refunding.at_most_left(payment, asked.amount))
        if made.amount != asked.amount and payment.claimed != payment.refunded:
            finish_pending(payment, ports, now)
            raise PaymentMoved
        return made

    known = ports.payments.refund(payment_id, refund_id)
    if known and known.status is RefundStatus.REFUSED:
        _look_for_others(payment_id, ports, now)
    _complete(_claim(asked, ports.payments, now, fit, retry_refused=True, is_awaited=True), ports, now)


def refund_the_rest(payment: Payment, reason: str, ports: Ports, now: datetime, *, retry_refused: bool) -> Payment:
    """Refunds what was captured, less what is refunded or a bank has taken. Finishes pending refunds first."""
    refunding.require_undisputed(payment)
    begun = ports.payments.refund(payment.payment_id, _rest(payment, reason, now).refund_id)
    if begun and begun.status is RefundStatus.PENDING:
        # If it is refused now, return that; only the next call begins another attempt.
        _complete(begun, ports, now)
    # Done or refused, a finished refund no longer claims money; the rest includes what it did not refund.
    payment = finish_pending(payment, ports, now)

    def fit(current: Payment) -> Refund:
        refunding.require_not_written_off(current)
        refunding.require_undisputed(current)
        rest = _rest(current, reason, now)
        # If an admin has begun another refund since, the undo reads again and finishes that first.
        return rest if current.claimed == current.refunded else replace(rest, amount=_nothing(current))

    if payment.refundable:
        rest = _claim(_rest(payment, reason, now), ports.payments, now, fit, retry_refused=retry_refused)
        _complete(rest, ports, now)
    elif payment.claimed == payment.refunded and payment.status is not domain.Status.REFUNDED:
        ports.payments.save(payment, refunding.nothing_to_refund(payment), now)
    return ports.payments.get(payment.payment_id) or payment


def write_off(payment: Payment, reason: str, payments: PaymentStore, now: datetime) -> None:
    """Ends pending refunds and the undo's own refund as written off."""

    def write(current: Payment) -> None:
        if current.written_off or current.status in OVER:
            return
        known = {refund.refund_id: refund for refund in payments.refunds(current.payment_id)}
        pending = [refund for refund in known.values() if refund.status is RefundStatus.PENDING]
        rest = _rest(current, reason, now)
        if rest.amount.amount:
            pending.append(replace(rest, attempt=known.get(rest.refund_id, rest).attempt))
        ended = [replace(refund, status=RefundStatus.WRITTEN_OFF) for refund in pending]
        payments.write_off(current, refunding.write_off(current), ended, now)

    retry_on_conflict(
        lambda: payments.get(payment.payment_id) or payment,
        write,
        conflict=PaymentMoved,
        attempts=_ATTEMPTS,
        exhausted=f"payment {payment.payment_id} changes too often",
        seen=payment,
    )


def record_elsewhere(payment: Payment, before: Payment, payments: PaymentStore, now: datetime) -> Payment:
    """Records a refund of written-off money that was made after all, or by the operator at the provider. `payment` has
    the amount, `before` is the payment as it was read.
    """
    amount = min(payment.refunded_elsewhere, payment.captured - payment.refunded)
    back = Refund(
        refund_id=derived_id("refund", payment.payment_id, "elsewhere", str(payment.refunded + amount)),
        payment_id=payment.payment_id,
        amount=Money(amount=amount, currency=payment.amount.currency),
        reason=GIVEN_BACK,
        status=RefundStatus.DONE,
        fingerprint="",
        at=now,
    )
    after = refunding.found_given_back(before, back)
    try:
        payments.record_refund(before, after, back, now)
    except PaymentMoved:  # the concurrent writer has read later
        return before
    return after


def finish_pending(payment: Payment, ports: Ports, now: datetime) -> Payment:
    """Finishes the refunds that have no recorded end. Returns the payment after that."""
    for pending in ports.payments.refunds(payment.payment_id):
        if pending.status is RefundStatus.PENDING:
            _close(_ask(pending, ports, now), ports.payments, now)
    return ports.payments.get(payment.payment_id) or payment


def learn_disputes(payment: Payment, ports: Ports, now: datetime) -> Payment:
    """Notes the disputes of the payment's charge as the provider states them now. Returns the payment after that.

    The payment is read first, so disputes that were read before another writer's change are read again. Each one is a
    change of its own: a change publishes one event of a type.
    """

    def write(current: Payment | None) -> Payment:
        known = current or payment
        with transient():
            found = ports.provider.disputes(known.charge_id)
        for dispute in found:
            learned = domain.learn_dispute(known, dispute)
            if learned is not known:
                ports.payments.save(known, learned, now)
            known = learned
        return known

    return _retry(payment.payment_id, ports.payments, write)


def _rest(payment: Payment, reason: str, now: datetime) -> Refund:
    """The refund that an undo of the payment makes."""
    return Refund(
        refund_id=derived_id(payment.order_id, "refund"),
        payment_id=payment.payment_id,
        amount=Money(amount=payment.refundable, currency=payment.amount.currency),
        reason=reason,
        status=RefundStatus.PENDING,
        fingerprint="",
        at=now,
    )


def _nothing(payment: Payment) -> Money:
    return Money(amount=0, currency=payment.amount.currency)


def _look_for_others(payment_id: str, ports: Ports, now: datetime) -> None:
    """Before another attempt, subtracts refunds made at the provider itself, so that no money is refunded twice."""
    payment = ports.payments.get(payment_id)
    if payment is None:
        return
    with transient():
        charge = ports.provider.find(payment.charge_id)
    compared = agreement.compare(payment, charge) if charge else payment
    if compared is not payment:
        with suppress(PaymentMoved):  # by another refund of ours, so the charge that was read is stale
            ports.payments.save(payment, compared, now)


def _claim(
    asked: Refund, payments: PaymentStore, now: datetime, fit: Fit, *, retry_refused: bool, is_awaited: bool = False
) -> Refund:
    """Stores the refund as pending. `fit` may reduce its amount. A refund of 0 is stored as done if it `is_awaited` by
    an order that does not know where the money went, and else not at all.
    """

    def write(payment: Payment | None) -> Refund:
        # The payment is read before the refund: any change of the refund since then also changes the payment's version.
        if payment is None or payment.is_tombstone:
            raise domain.UnknownPayment(f"There is no payment {asked.payment_id}.")
        known = payments.refund(asked.payment_id, asked.refund_id)
        if known and known.fingerprint != asked.fingerprint:
            raise IdempotencyKeyReused
        if known and not (retry_refused and known.status is RefundStatus.REFUSED):
            return known
        made = fit(payment)
        if not made.amount.amount and not (is_awaited and payment.refunded < payment.captured):
            return made
        made = replace(made, attempt=known.attempt + 1) if known else made
        if not made.amount.amount:
            done = replace(made, status=RefundStatus.DONE)
            payments.record_nothing(payment, refunding.claim(payment, done.amount), done, now)
            return done
        payments.claim_refund(payment, refunding.claim(payment, made.amount), made, now)
        return made

    return _retry(asked.payment_id, payments, write)


def _retry[T](payment_id: str, payments: PaymentStore, write: Callable[[Payment | None], T]) -> T:
    return retry_on_conflict(
        lambda: payments.get(payment_id),
        write,
        conflict=PaymentMoved,
        attempts=_ATTEMPTS,
        exhausted=f"payment {payment_id} changes too often",
    )


def _complete(refund: Refund, ports: Ports, now: datetime) -> Refund:
    """Finishes a refund. Raises RefundRefused or RefundWrittenOff. A refund of 0 is done."""
    if not refund.amount.amount:
        return refund
    if refund.status is RefundStatus.PENDING:
        refund = _close(_ask(refund, ports, now), ports.payments, now)
    match refund.status:
        case RefundStatus.PENDING:
            raise TransientError(f"refund {refund.refund_id} is at attempt {refund.attempt}, begun by another request")
        case RefundStatus.REFUSED:
            raise refunding.RefundRefused("The payment provider refused this refund.", refund_id=refund.refund_id)
        case RefundStatus.WRITTEN_OFF:
            raise refunding.RefundWrittenOff("An operator gives this money back by other means.")
    return refund


def _ask(refund: Refund, ports: Ports, now: datetime) -> Refund:
    """The refund with the provider's answer. A refusal may come from a dispute of which no webhook came."""
    payment = ports.payments.get(refund.payment_id)
    if payment is None:
        raise domain.UnknownPayment(f"There is no payment {refund.payment_id}.")
    try:
        with transient():
            ports.provider.refund(payment.charge_id, refund.amount, refund.key)
    except ProviderDeclined:
        learn_disputes(payment, ports, now)
        return replace(refund, status=RefundStatus.REFUSED)
    return replace(refund, status=RefundStatus.DONE)


def _close(refund: Refund, payments: PaymentStore, now: datetime) -> Refund:
    decide = refunding.complete_refund if refund.status is RefundStatus.DONE else refunding.refuse_refund

    def write(payment: Payment | None) -> Refund:
        known = payments.refund(refund.payment_id, refund.refund_id)
        if payment is None or known is None:
            return refund
        if known.status is not RefundStatus.PENDING or known.attempt != refund.attempt:
            return known
        payments.close_refund(payment, decide(payment, refund), refund, now)
        return refund

    return _retry(refund.payment_id, payments, write)
