"""A refund of some or all of a payment, and how it changes the payment.

pending ──► done
 │   ▲
 │   └─► refused, until a retry begins a new attempt
 └─────► written_off, from refused too: an operator refunds by other means
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, SagaEnd, is_error_name
from mercato.money import Money
from payments.domain import HELD, Payment, Status, change


class RefundStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"
    WRITTEN_OFF = "written_off"


class NotRefundable(Conflict):
    """No money was captured, so none can be refunded."""


class TooManyRefunds(Conflict):
    """The payment has the most refunds that a payment can have."""


class RefundTooLarge(Conflict):
    """The amount is larger than what was captured and not yet refunded."""


class PaymentDisputed(Conflict):
    """The buyer's bank has taken the money back, and decides whose it is. Until then nothing is refunded."""


class RefundRefused(Conflict):
    """The payment provider refused the refund."""


class RefundWrittenOff(Conflict):
    """An operator has taken over this refund, to give the money back by other means."""


class WrongCurrency(Invalid):
    """The refund's currency differs from the payment's."""


@dataclass(frozen=True)
class Refund:
    """`attempt` counts from 1. A refund that the provider refused may be tried again."""

    refund_id: str
    payment_id: str
    amount: Money
    reason: str
    status: RefundStatus
    fingerprint: str
    at: datetime
    attempt: int = 1

    @property
    def public_reason(self) -> str:
        """The reason in words, or the order's slug for the error that ended its saga. Never an internal error's
        name.
        """
        if self.reason in SagaEnd:
            return SagaEnd(self.reason).slug
        return "internal-error" if is_error_name(self.reason) else self.reason

    @property
    def key(self) -> str:
        """The provider's idempotency key: one per attempt."""
        return self.refund_id if self.attempt == 1 else f"{self.refund_id}:{self.attempt}"


def claim(payment: Payment, amount: Money) -> Payment:
    """Reserves a refund's amount, so that two refunds cannot refund the same money."""
    if payment.status not in (*HELD, Status.REFUNDED):
        raise NotRefundable(f"Nothing was captured: the payment is {payment.status}.", payment_id=payment.payment_id)
    require_undisputed(payment)
    if amount.currency != payment.amount.currency:
        raise WrongCurrency(f"The payment is in {payment.amount.currency}.", payment_id=payment.payment_id)
    left = Money(amount=payment.refundable, currency=payment.amount.currency)
    if amount.amount > left.amount:
        raise RefundTooLarge(f"At most {left} can be refunded.", refundable=left.model_dump())
    return change(payment, payment.status, claimed=payment.claimed + amount.amount)


def at_most_left(payment: Payment, amount: Money) -> Money:
    """The amount, or what is left of the payment if that is less."""
    if payment.status not in (*HELD, Status.REFUNDED):
        raise NotRefundable(f"Nothing was captured: the payment is {payment.status}.", payment_id=payment.payment_id)
    require_undisputed(payment)
    return Money(amount=min(amount.amount, payment.refundable), currency=amount.currency)


def require_undisputed(payment: Payment) -> None:
    """A refund beside an open dispute would give the money back twice, and providers refuse it."""
    if payment.is_disputed:
        raise PaymentDisputed(
            "The buyer's bank disputes this payment and has taken the money. Answer the dispute at the payment "
            "provider. Once it is closed, what is left can be refunded.",
            payment_id=payment.payment_id,
        )


def complete_refund(payment: Payment, refund: Refund) -> Payment:
    refunded = payment.refunded + refund.amount.amount
    is_all = refunded + max(0, payment.refunded_elsewhere) >= payment.captured
    status = Status.REFUNDED if is_all else Status.PARTIALLY_REFUNDED
    return change(payment, status, refunded=refunded)


def nothing_to_refund(payment: Payment) -> Payment:
    """Undone without a refund: nothing was captured, or everything is refunded."""
    return change(payment, Status.REFUNDED)


def refuse_refund(payment: Payment, refund: Refund) -> Payment:
    return change(payment, payment.status, claimed=payment.claimed - refund.amount.amount)


def write_off(payment: Payment) -> Payment:
    """Ends pending refunds, and prevents that an undo begins another."""
    return change(payment, payment.status, closing=True, written_off=True, claimed=payment.refunded)


def found_given_back(payment: Payment, refund: Refund) -> Payment:
    """Records a refund made at the provider in place of one that was written off."""
    claimed = replace(payment, claimed=payment.claimed + refund.amount.amount, refunded_elsewhere=0)
    return complete_refund(claimed, refund)


def require_not_written_off(payment: Payment) -> None:
    if payment.written_off and payment.status in HELD:
        raise RefundWrittenOff(
            "This undo was skipped: an operator refunds the money by other means.",
            payment_id=payment.payment_id,
        )
