"""Giving money back: some of it, several times, never more than was captured.

A refund first claims its amount on the payment, in the transaction that writes it down as pending; then the provider is
asked, with the refund's id as the key; then it is done, and announced. Whoever finds it pending goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from mercato.errors import IdempotencyKeyReused, TransientError
from mercato.ids import derived_id, fingerprint
from mercato.money import Money
from payments import domain
from payments.domain import Payment, Refund, RefundStatus
from payments.ports import Payments
from payments.provider import Provider, ProviderDeclined, ProviderTimeout, ProviderUnavailable
from payments.store import PaymentMoved

_ATTEMPTS = 8
RETURNED = "You returned goods."
UNDELIVERED = "Your parcel could not be delivered."


def refund(
    payment_id: str, key: str, amount: Money, reason: str, payments: Payments, provider: Provider, now: datetime
) -> Refund:
    """The same key is the same refund; with another amount or reason it is refused."""
    asked = Refund(
        refund_id=derived_id("refund", payment_id, key),
        payment_id=payment_id,
        amount=amount,
        reason=reason,
        status=RefundStatus.PENDING,
        fingerprint=fingerprint([amount.amount, amount.currency, reason]),
        at=now,
    )
    return _complete(_claim(asked, payments, now), payments, provider, now)


def refund_for_return(
    payment_id: str,
    refund_id: str,
    amount: Money,
    reason: str,
    payments: Payments,
    provider: Provider,
    now: datetime,
) -> None:
    """As much of it as is left: what other refunds gave back is not given again. The same id is the same refund.

    A refund that is under way may yet be refused, so that where it takes too much its end is found out first.
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
    claimed = _claim(asked, payments, now, finish=lambda found: finish_pending(found, payments, provider, now))
    if claimed.amount.amount:
        _complete(claimed, payments, provider, now)


def refund_the_rest(payment: Payment, reason: str, payments: Payments, provider: Provider, now: datetime) -> Payment:
    """All that was captured and is not given back yet, refunds under way included."""
    # Done or refused, either way a pending one's claim is settled; what it did not give back is in the rest.
    payment = finish_pending(payment, payments, provider, now)
    if payment.claimed != payment.refunded:
        return payment  # an admin has begun another since: the undo looks again, and finishes it first
    if payment.refundable:
        rest = Refund(
            refund_id=derived_id(payment.order_id, "refund"),
            payment_id=payment.payment_id,
            amount=Money(amount=payment.refundable, currency=payment.amount.currency),
            reason=reason,
            status=RefundStatus.PENDING,
            fingerprint="",
            at=now,
        )
        with suppress(domain.RefundTooLarge):  # likewise
            _complete(_claim(rest, payments, now), payments, provider, now)
    elif payment.status is not domain.Status.REFUNDED:
        payments.save(payment, domain.nothing_to_refund(payment), now)
    return payments.get(payment.payment_id) or payment


def finish_pending(payment: Payment, payments: Payments, provider: Provider, now: datetime) -> Payment:
    """Refunds whose end nobody has written down. Returns the payment as it then is."""
    for pending in payments.refunds(payment.payment_id):
        if pending.status is RefundStatus.PENDING:
            _close(_ask(pending, payments, provider), payments, now)
    return payments.get(payment.payment_id) or payment


def _claim(
    asked: Refund, payments: Payments, now: datetime, *, finish: Callable[[Payment], Payment] | None = None
) -> Refund:
    """The refund as it is written down. With `finish`, which ends those under way, it may be smaller: as much as is
    left, and not written down at 0.
    """
    for _ in range(_ATTEMPTS):
        known = payments.refund(asked.payment_id, asked.refund_id)
        if known is not None:
            if known.fingerprint != asked.fingerprint:
                raise IdempotencyKeyReused
            return known
        payment = payments.get(asked.payment_id)
        if payment is None or payment.is_tombstone:
            raise domain.UnknownPayment(f"There is no payment {asked.payment_id}.")
        made = replace(asked, amount=domain.at_most_left(payment, asked.amount)) if finish else asked
        if finish and made.amount != asked.amount and payment.claimed != payment.refunded:
            finish(payment)
            continue
        if finish and not made.amount.amount:
            return made
        try:
            payments.claim_refund(payment, domain.claim(payment, made.amount), made, now)
        except PaymentMoved:
            continue
        return made
    raise TransientError(f"payment {asked.payment_id} moves too fast")


def _complete(refund: Refund, payments: Payments, provider: Provider, now: datetime) -> Refund:
    if refund.status is RefundStatus.PENDING:
        refund = _close(_ask(refund, payments, provider), payments, now)
    if refund.status is RefundStatus.REFUSED:
        raise domain.RefundRefused("The payment provider refused this refund.", refund_id=refund.refund_id)
    return refund


def _ask(refund: Refund, payments: Payments, provider: Provider) -> Refund:
    payment = payments.get(refund.payment_id)
    if payment is None:
        raise domain.UnknownPayment(f"There is no payment {refund.payment_id}.")
    try:
        provider.refund(payment.charge_id, refund.amount, refund.refund_id)
    except ProviderDeclined:
        return replace(refund, status=RefundStatus.REFUSED)
    except (ProviderTimeout, ProviderUnavailable) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error
    return replace(refund, status=RefundStatus.DONE)


def _close(refund: Refund, payments: Payments, now: datetime) -> Refund:
    decide = domain.complete_refund if refund.status is RefundStatus.DONE else domain.refuse_refund
    for _ in range(_ATTEMPTS):
        payment = payments.get(refund.payment_id)
        known = payments.refund(refund.payment_id, refund.refund_id)
        if payment is None or known is None or known.status is not RefundStatus.PENDING:
            return known or refund
        try:
            payments.close_refund(payment, decide(payment, refund), refund, now)
        except PaymentMoved:
            continue
        return refund
    raise TransientError(f"payment {refund.payment_id} moves too fast")
