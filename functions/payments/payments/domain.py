"""A payment: one per order, and the states it goes through, never backwards within one attempt.

    created ──► action_required ──► authorized ──► captured ──► partially_refunded ──► refunded
       │  └─► declined ◄───┘            │
       └────────► voided | failed ◄─────┘

`failed` is `voided` after an error here or at the provider; the customer is notified. `closing` marks a payment that is
being undone: it is no longer authorized, captured or published as paid.

A payment of an order that waits for its buyer may get further attempts, each with a charge of its own, until it is
authorized or closed. The charges of earlier attempts are voided before a later attempt authorizes its own.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, NotFound
from mercato.guests import is_guest
from mercato.languages import Language
from mercato.money import Money

PROVIDER_UNAVAILABLE = "provider_unavailable"
CAPTURE_REFUSED = "capture_refused"
NOT_CONFIRMED = "authentication_required"
_NO_AMOUNT = Money(amount=0, currency="XXX")
_UNCONFIRMED = "The payment was not confirmed at your bank."
_TROUBLES = {
    PROVIDER_UNAVAILABLE: "The payment provider could not be reached. Nothing was charged.",
    CAPTURE_REFUSED: "The payment could not be collected. Nothing was charged.",
}


class Status(StrEnum):
    CREATED = "created"
    ACTION_REQUIRED = "action_required"  # the bank asks for the buyer
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
    ACTION_REQUIRED = "action_required"  # nothing is held until the buyer has confirmed it at the bank
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"
    DECLINED = "declined"


class DisputeStatus(StrEnum):
    """The bank takes the money when a dispute opens, and gives it back when the shop wins."""

    INQUIRY = "inquiry"  # the bank asks, and has taken nothing
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"  # an inquiry that took nothing


class Announcement(StrEnum):
    AUTHORIZED = "payment.authorized"
    COMPLETED = "payment.completed"
    FAILED = "payment.failed"


OPEN = frozenset({Status.CREATED, Status.ACTION_REQUIRED})
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
class Action:
    """What the buyer does at the bank: opens `url`, or gives `client_secret` to the provider's script."""

    url: str = ""
    client_secret: str = ""


@dataclass(frozen=True)
class Charge:
    """The provider's record of one attempt; `reference` is the attempt's. `action` is given while one is required."""

    charge_id: str
    reference: str
    status: ChargeStatus
    amount: Money
    reason: str = ""
    detail: str = ""
    refunded: int = 0
    action: Action | None = None

    @property
    def is_money(self) -> bool:
        is_kept = self.status is ChargeStatus.CAPTURED and self.refunded < self.amount.amount
        return is_kept or self.status is ChargeStatus.AUTHORIZED


@dataclass(frozen=True)
class Dispute:
    """The buyer's bank demands the money back, some or all of it. `reason` is the bank's, such as `fraudulent`."""

    dispute_id: str
    amount: int
    status: DisputeStatus
    reason: str = ""

    @property
    def taken(self) -> int:
        return self.amount if self.status in (DisputeStatus.OPEN, DisputeStatus.LOST) else 0


@dataclass(frozen=True)
class ListedDispute:
    """A dispute in the provider's list of all. `reference` is the charge's, and empty if the charge is not ours."""

    charge_id: str
    reference: str
    dispute_id: str
    status: DisputeStatus


@dataclass(frozen=True)
class Intent:
    """The request to the provider for one attempt, and the charge's id there."""

    charge_id: str
    reference: str
    amount: Money


@dataclass(frozen=True)
class Payment:
    """`claimed` is the part of the amount in pending and done refunds, `refunded` the part in done ones.

    `trouble` is the reason with which an unfinished payment would end as failed. `order_status` is the last known
    status of the order, `refunded_elsewhere` the amount that the provider refunded beyond our refunds. `written_off`:
    an operator refunds it by other means, so an undo does not. `order_number` is for people, "" for an order without
    one, `language` that of its messages. `version` counts the changes.

    `waits_for_buyer`: a declined attempt may be followed by another one. `attempt` is the number of the current one,
    whose charge is `charge_id`. `earlier` are the charges of those before it.
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
    language: Language | None = None
    attempt: int = 1
    waits_for_buyer: bool = False
    earlier: tuple[str, ...] = ()
    disputes: tuple[Dispute, ...] = ()

    @property
    def is_tombstone(self) -> bool:
        return not self.customer_id

    @property
    def intent(self) -> Intent:
        return Intent(self.charge_id, self.reference, self.amount)

    @property
    def reference(self) -> str:
        return reference_of(self.payment_id, self.attempt)

    @property
    def is_paid(self) -> bool:
        """All of it was captured. At the provider, an operator can capture a part and release the rest."""
        return self.captured >= self.amount.amount

    @property
    def may_authorize(self) -> bool:
        return self.status is Status.CREATED and not self.closing

    @property
    def may_be_tried_again(self) -> bool:
        """Declined, and its buyer may bring another card."""
        return self.waits_for_buyer and self.status is Status.DECLINED and not self.closing

    @property
    def refundable(self) -> int:
        """The captured amount less claimed refunds, refunds made at the provider without us, and what a bank took."""
        return max(0, self.captured - self.claimed - max(0, self.refunded_elsewhere) - self._taken)

    @property
    def disputed(self) -> int:
        """What the buyer's bank has taken back. With the refunds it is never more than what was captured: a bank that
        takes what was refunded before takes it from the shop, not from this payment.
        """
        return min(self._taken, max(0, self.captured - self.refunded - max(0, self.refunded_elsewhere)))

    @property
    def is_disputed(self) -> bool:
        """A dispute is open: the bank decides whose the money is."""
        return any(one.status is DisputeStatus.OPEN for one in self.disputes)

    @property
    def _taken(self) -> int:
        return sum(one.taken for one in self.disputes)


def reference_of(payment_id: str, attempt: int) -> str:
    """The provider's name for an attempt: the payment's id for the first, `‹id›:2` for the second."""
    return payment_id if attempt == 1 else f"{payment_id}:{attempt}"


def payment_id_in(reference: str) -> str:
    return reference.partition(":")[0]


def tombstone(payment_id: str, order_id: str, charge_id: str, now: datetime) -> Payment:
    """A payment that was undone before it began."""
    return Payment(payment_id, order_id, "", _NO_AMOUNT, now, Status.VOIDED, charge_id=charge_id, closing=True)


def prepare(payment: Payment, charge_id: str) -> Payment:
    """Stores the provider's id before any money is held, so that an undo can stop the payment at the provider."""
    if payment.charge_id or not payment.may_authorize:
        return payment
    return change(payment, payment.status, charge_id=charge_id)


def claim(payment: Payment, customer_id: str) -> Payment:
    """An account has claimed the guest's order. The first claim holds."""
    return change(payment, payment.status, customer_id=customer_id) if is_guest(payment.customer_id) else payment


def knows_dispute(payment: Payment, listed: ListedDispute) -> bool:
    """Whether the payment has the dispute with the status that the provider lists."""
    known = {one.dispute_id: one.status for one in payment.disputes}
    return known.get(listed.dispute_id) is listed.status


def learn_dispute(payment: Payment, found: Dispute) -> Payment:
    """The payment with what the provider says of one of its disputes; the same object if that is known. Requires that
    the payment was read before the dispute. No status is final: a bank may decide once more, or make a dispute of an
    inquiry that was closed.
    """
    if found in payment.disputes:
        return payment
    known = {one.dispute_id: one for one in payment.disputes}
    disputes = tuple((known | {found.dispute_id: found}).values())
    return change(replace(payment, disputes=disputes), payment.status)


def begin_attempt(payment: Payment, attempt: int, charge_id: str) -> Payment:
    """The payment at its next attempt; the same object if the money is held already, or the payment is undone."""
    is_open = payment.status in OPEN or payment.may_be_tried_again
    if attempt <= payment.attempt or not is_open or payment.closing:
        return payment
    earlier = (*payment.earlier, payment.charge_id) if payment.charge_id else payment.earlier
    fresh = replace(payment, attempt=attempt, earlier=earlier, reason="", detail="", trouble="")
    return change(fresh, Status.CREATED, charge_id=charge_id)


def adopt(payment: Payment, charge: Charge) -> Payment:
    """The payment with the charge of an earlier attempt, which holds money and cannot be voided. No other is made."""
    if not payment.may_authorize or charge.charge_id not in payment.earlier:
        return payment
    return settle(payment, charge)


def settle(payment: Payment, charge: Charge) -> Payment:
    """The payment updated from its attempt's charge; the same object if the charge is stale or adds nothing."""
    if payment.status not in (*OPEN, Status.AUTHORIZED):
        return payment
    match charge.status:
        case ChargeStatus.CAPTURED:
            held = replace(payment, charge_id=charge.charge_id, reason="", detail="")
            return change(held, Status.CAPTURED, captured=charge.amount.amount)
        case ChargeStatus.VOIDED if payment.status is Status.AUTHORIZED and not payment.closing:
            # Not voided by us: the authorization expired, or was cancelled at the provider.
            return end_uncaptured(replace(payment, trouble=payment.trouble or CAPTURE_REFUSED))
        case ChargeStatus.VOIDED if payment.status is Status.ACTION_REQUIRED and not payment.closing:
            return change(payment, Status.DECLINED, reason=NOT_CONFIRMED, detail=_UNCONFIRMED)
        case ChargeStatus.VOIDED:
            return end_uncaptured(payment)
        case ChargeStatus.AUTHORIZED if payment.status in OPEN and not payment.closing:
            return change(payment, Status.AUTHORIZED, charge_id=charge.charge_id, reason="", detail="")
        case ChargeStatus.DECLINED if payment.status in OPEN:
            return change(payment, Status.DECLINED, reason=charge.reason, detail=charge.detail)
        case ChargeStatus.ACTION_REQUIRED if payment.may_authorize:
            # Nobody asks the buyer of an order that does not wait.
            to = Status.ACTION_REQUIRED if payment.waits_for_buyer else Status.DECLINED
            return change(payment, to, reason=charge.reason, detail=charge.detail)
    return payment


def end_uncaptured(payment: Payment) -> Payment:
    """The final state after a void: FAILED with a reason if something went wrong, else VOIDED."""
    trouble = payment.trouble or (PROVIDER_UNAVAILABLE if payment.status is Status.CREATED else "")
    if not trouble:
        return change(payment, Status.VOIDED)
    return change(payment, Status.FAILED, reason=trouble, detail=_TROUBLES[trouble])


def is_answered(before: Payment, after: Payment) -> bool:
    """Whether the provider has decided an attempt that waited for its buyer."""
    return before.status is Status.ACTION_REQUIRED and after.status not in OPEN and not after.closing


def announcement(before: Payment, after: Payment) -> Announcement | None:
    """The event of a change. Money captured only to be refunded is not published as paid, and neither is a part of the
    amount. A decline after which the buyer may bring another card is no failure yet.
    """
    if after.status is Status.DECLINED and after.waits_for_buyer:
        is_last = after.closing and not (before.closing and before.status is Status.DECLINED)
        return Announcement.FAILED if is_last else None
    if after.status is before.status:
        return None
    match after.status:
        case Status.AUTHORIZED:
            return Announcement.AUTHORIZED
        case Status.CAPTURED if after.is_paid and not after.closing and before.status not in HELD:
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
    """The provider holds money, or soon may, for a payment that is being undone, and holds money for one that is over
    or has another charge. A declined card can be authorized late.
    """
    if charge.status is ChargeStatus.ACTION_REQUIRED:
        return payment.closing
    is_late = payment.status in OVER or (charge.charge_id in payment.earlier and charge.charge_id != payment.charge_id)
    return charge.status is ChargeStatus.AUTHORIZED and (payment.closing or is_late)


def require_authorized(payment: Payment) -> Payment:
    if payment.status is Status.DECLINED:
        raise PaymentDeclined(payment.detail, reason=payment.reason, payment_id=payment.payment_id)
    if payment.closing or payment.status not in (Status.AUTHORIZED, *HELD, Status.REFUNDED):
        raise PaymentVoided(f"The payment of order {payment.order_id} was cancelled.", payment_id=payment.payment_id)
    return payment


def require_captured(payment: Payment) -> Payment:
    if payment.closing or payment.status not in (*HELD, Status.REFUNDED):
        raise CaptureRefused("The payment could not be collected.", payment_id=payment.payment_id)
    if not payment.is_paid:
        raise CaptureRefused("Only a part of the payment was collected.", payment_id=payment.payment_id)
    return payment


def change(payment: Payment, status: Status, **changes: str | int | bool) -> Payment:
    return replace(payment, status=status, version=payment.version + 1, **changes)  # type: ignore[arg-type]
