"""A payment: one per order, and the states it goes through, never backwards.

    created ──► authorized ──► captured ──► partially_refunded ──► refunded
       │  └─► declined   │
       └────► voided | failed

`failed` is `voided` after an error here or at the provider; the customer is notified. `closing` marks a payment that is
being undone: it is no longer authorized, captured or published as paid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from mercato.errors import Conflict, NotFound
from mercato.money import Money

PROVIDER_UNAVAILABLE = "provider_unavailable"
CAPTURE_REFUSED = "capture_refused"
_NO_AMOUNT = Money(amount=0, currency="XXX")
_TROUBLES = {
    PROVIDER_UNAVAILABLE: "The payment provider could not be reached. Nothing was charged.",
    CAPTURE_REFUSED: "The payment could not be collected. Nothing was charged.",
}


class Status(StrEnum):
    CREATED = "created"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DECLINED = "declined"
    VOIDED = "voided"
    FAILED = "failed"


class ChargeStatus(StrEnum):
    """The provider's status of a charge. A refunded charge is captured, with the refunded amount."""

    PREPARED = "prepared"  # nothing is held yet
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"
    DECLINED = "declined"


class Announcement(StrEnum):
    AUTHORIZED = "payment.authorized"
    COMPLETED = "payment.completed"
    FAILED = "payment.failed"


HELD = frozenset({Status.CAPTURED, Status.PARTIALLY_REFUNDED})
OVER = frozenset({Status.DECLINED, Status.VOIDED, Status.FAILED, Status.REFUNDED})


class UnknownPayment(NotFound):
    """The payment does not exist, or belongs to another customer."""


class PaymentDeclined(Conflict):
    """The bank declined; `reason` in the extra says why."""


class PaymentVoided(Conflict):
    """The payment was undone before. A late authorization must not charge."""


class CaptureRefused(Conflict):
    """The money cannot be collected, now or later."""


@dataclass(frozen=True)
class Charge:
    """The provider's record of one payment; `reference` is our payment's id."""

    charge_id: str
    reference: str
    status: ChargeStatus
    amount: Money
    reason: str = ""
    detail: str = ""
    refunded: int = 0

    @property
    def is_money(self) -> bool:
        is_kept = self.status is ChargeStatus.CAPTURED and self.refunded < self.amount.amount
        return is_kept or self.status is ChargeStatus.AUTHORIZED


@dataclass(frozen=True)
class Intent:
    """The request to the provider for one payment, and the charge's id there."""

    charge_id: str
    reference: str
    amount: Money


@dataclass(frozen=True)
class Payment:
    """`claimed` is the part of the amount in pending and done refunds, `refunded` the part in done ones.

    `trouble` is the reason with which an unfinished payment would end as failed. `order_status` is the last known
    status of the order, `refunded_elsewhere` the amount that the provider refunded beyond our refunds. `written_off`:
    an operator refunds it by other means, so an undo does not. `order_number` is for people, "" for an order without
    one. `version` counts the changes.
    """

    payment_id: str
    order_id: str
    customer_id: str
    amount: Money
    created_at: datetime
    status: Status = Status.CREATED
    version: int = 1
    charge_id: str = ""
    captured: int = 0
    refunded: int = 0
    claimed: int = 0
    closing: bool = False
    trouble: str = ""
    order_status: str = ""
    refunded_elsewhere: int = 0
    written_off: bool = False
    reason: str = ""
    detail: str = ""
    order_number: str = ""

    @property
    def is_tombstone(self) -> bool:
        return not self.customer_id

    @property
    def intent(self) -> Intent:
        return Intent(self.charge_id, self.payment_id, self.amount)

    @property
    def may_authorize(self) -> bool:
        return self.status is Status.CREATED and not self.closing

    @property
    def refundable(self) -> int:
        """The captured amount less claimed refunds and refunds made at the provider without us."""
        return max(0, self.captured - self.claimed - max(0, self.refunded_elsewhere))


def tombstone(payment_id: str, order_id: str, charge_id: str, now: datetime) -> Payment:
    """A payment that was undone before it began."""
    return Payment(payment_id, order_id, "", _NO_AMOUNT, now, Status.VOIDED, charge_id=charge_id, closing=True)


def prepare(payment: Payment, charge_id: str) -> Payment:
    """Stores the provider's id before any money is held, so that an undo can stop the payment at the provider."""
    if payment.charge_id or not payment.may_authorize:
        return payment
    return change(payment, payment.status, charge_id=charge_id)


def settle(payment: Payment, charge: Charge) -> Payment:
    """The payment updated from the charge; the same object if the charge is stale or adds nothing."""
    if payment.status not in (Status.CREATED, Status.AUTHORIZED):
        return payment
    match charge.status:
        case ChargeStatus.CAPTURED:
            return change(payment, Status.CAPTURED, charge_id=charge.charge_id, captured=charge.amount.amount)
        case ChargeStatus.VOIDED if payment.status is Status.AUTHORIZED and not payment.closing:
            # Not voided by us: the authorization expired, or was cancelled at the provider.
            return end_uncaptured(replace(payment, trouble=payment.trouble or CAPTURE_REFUSED))
        case ChargeStatus.VOIDED:
            return end_uncaptured(payment)
        case ChargeStatus.AUTHORIZED if payment.status is Status.CREATED and not payment.closing:
            return change(payment, Status.AUTHORIZED, charge_id=charge.charge_id)
        case ChargeStatus.DECLINED if payment.status is Status.CREATED:
            return change(payment, Status.DECLINED, reason=charge.reason, detail=charge.detail)
    return payment


def end_uncaptured(payment: Payment) -> Payment:
    """The final state after a void: FAILED with a reason if something went wrong, else VOIDED."""
    trouble = payment.trouble or (PROVIDER_UNAVAILABLE if payment.status is Status.CREATED else "")
    if not trouble:
        return change(payment, Status.VOIDED)
    return change(payment, Status.FAILED, reason=trouble, detail=_TROUBLES[trouble])


def announcement(before: Payment, after: Payment) -> Announcement | None:
    """The event of a change. Money captured only to be refunded is not published as paid."""
    if after.status is before.status:
        return None
    match after.status:
        case Status.AUTHORIZED:
            return Announcement.AUTHORIZED
        case Status.CAPTURED if not after.closing and before.status not in HELD:
            return Announcement.COMPLETED
        case Status.DECLINED | Status.FAILED:
            return Announcement.FAILED
    return None


def close(payment: Payment) -> Payment:
    return payment if payment.closing else change(payment, payment.status, closing=True)


def note_trouble(payment: Payment, trouble: str) -> Payment:
    """A refusal replaces a missing answer as the reason."""
    if payment.status not in (Status.CREATED, Status.AUTHORIZED) or payment.trouble in (trouble, CAPTURE_REFUSED):
        return payment
    return change(payment, payment.status, trouble=trouble)


def is_orphan(payment: Payment, charge: Charge) -> bool:
    """The provider holds money for a payment that is being undone or is over. A declined card can be authorized
    late.
    """
    return charge.status is ChargeStatus.AUTHORIZED and (payment.closing or payment.status in OVER)


def require_authorized(payment: Payment) -> Payment:
    if payment.status is Status.DECLINED:
        raise PaymentDeclined(payment.detail, reason=payment.reason, payment_id=payment.payment_id)
    if payment.closing or payment.status not in (Status.AUTHORIZED, *HELD, Status.REFUNDED):
        raise PaymentVoided(f"The payment of order {payment.order_id} was cancelled.", payment_id=payment.payment_id)
    return payment


def require_captured(payment: Payment) -> Payment:
    if payment.closing or payment.status not in (*HELD, Status.REFUNDED):
        raise CaptureRefused("The payment could not be collected.", payment_id=payment.payment_id)
    return payment


def change(payment: Payment, status: Status, **changes: str | int | bool) -> Payment:
    return replace(payment, status=status, version=payment.version + 1, **changes)  # type: ignore[arg-type]
