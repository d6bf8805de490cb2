"""The use cases of payments: authorize, try again, capture, undo, and follow the provider.

All are idempotent. The payment's record has the known state. The provider is called for the rest, with a key derived
from the order and the step, and its answer updates the record, which never moves backwards.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.guests import is_guest
from mercato.ids import derived_id
from mercato.languages import Language
from mercato.money import Money
from mercato.store.retry import retry_on_conflict
from payments import agreement, domain, refund, refunds
from payments.domain import CAPTURE_REFUSED, PROVIDER_UNAVAILABLE, Action, Charge, ChargeStatus, Payment, Status
from payments.providers.port import Bank, Provider, ProviderDeclined, transient
from payments.providers.webhooks import ChargeChanged
from payments.refund import Refund
from payments.store import PaymentMoved, PaymentStore
from payments.wiring import Ports

# An undo re-reads this often when other writers change the payment. After that, the caller retries later.
_ATTEMPTS = 8


def payment_id_of(order_id: str) -> str:
    return derived_id("payment", order_id)


@dataclass(frozen=True)
class Due:
    """What is to be paid, by whom and for which order."""

    order_id: str
    customer_id: str
    amount: Money
    order_number: str = ""
    language: Language | None = None


def authorize(due: Due, token: str, ports: Ports, now: datetime) -> Payment:
    """Holds the money. Idempotent. Stores the intent before it calls the provider; an earlier void stops it."""
    payment_id = payment_id_of(due.order_id)
    payment = _open(_begin(due, ports.provider.expected_id(payment_id), now), ports, now)
    if payment.may_authorize:
        payment, _ = _authorize(payment, token, ports, now)
    elif payment.closing or payment.status in (Status.VOIDED, Status.FAILED):
        _void_orphan(payment, _find(payment, ports.provider), ports.provider)
    return domain.require_authorized(payment)


@dataclass(frozen=True)
class Attempted:
    """The payment after an attempt. `action` is what its buyer must do, while the bank asks for it."""

    payment: Payment
    action: Action | None = None


def attempt(due: Due, number: int, token: str, ports: Ports, now: datetime) -> Attempted:
    """Makes an attempt at the payment of an order that waits for its buyer. Idempotent.

    The charges of earlier attempts are voided first, so at most one holds money. One that cannot be voided is taken
    instead of a new one. An attempt that waits for its buyer is looked up at the provider. A call for an attempt before
    the current one changes nothing. Raises PaymentVoided for a payment that is undone.
    """
    payment_id = payment_id_of(due.order_id)
    expected = ports.provider.expected_id(domain.reference_of(payment_id, number))
    begun = _begin(due, expected, now)
    payment = _open(replace(begun, attempt=number, waits_for_buyer=True), ports, now)
    if payment.attempt < number:
        payment = _change(payment, lambda current: domain.begin_attempt(current, number, expected), ports.payments, now)
    charge = None
    if payment.may_authorize and payment.attempt == number:
        payment = _void_earlier(payment, ports, now)
        if payment.may_authorize:
            payment, charge = _authorize(payment, token, ports, now)
    elif payment.closing or payment.status in (Status.ACTION_REQUIRED, Status.VOIDED, Status.FAILED):
        charge = _find(payment, ports.provider)
        payment = _settle(payment, charge, ports.payments, now) if charge else payment
        _void_orphan(payment, charge, ports.provider)
    if payment.may_authorize:
        raise TransientError(f"attempt {payment.attempt} at the payment of order {due.order_id} has no answer yet")
    if payment.status is Status.ACTION_REQUIRED and not payment.closing:
        return Attempted(payment, charge.action if charge else None)
    return Attempted(payment if payment.may_be_tried_again else domain.require_authorized(payment))


def capture(order_id: str, ports: Ports, now: datetime) -> Payment:
    """Captures the money. Idempotent."""
    payment = ports.payments.get(payment_id_of(order_id))
    if payment is None:
        raise domain.CaptureRefused(f"There is no payment for order {order_id}.")
    if payment.status is Status.AUTHORIZED and not payment.closing:
        payment = _settle(payment, _capture(payment, ports, now), ports.payments, now)
    return domain.require_captured(payment)


def undo(order_id: str, reason: str, ports: Ports, now: datetime, *, retry_refused: bool) -> None:
    """Refunds a captured payment, voids an authorized one, and does nothing for one without money.

    Without a payment it writes a tombstone, so that none begins. Raises RefundRefused if the provider has refused the
    refund, with `retry_refused` after one more attempt, and RefundWrittenOff for a written-off one.
    """
    payment_id = payment_id_of(order_id)
    payment = ports.payments.open(domain.tombstone(payment_id, order_id, ports.provider.expected_id(payment_id), now))
    for _ in range(_ATTEMPTS):
        if payment.status in domain.OVER and not payment.may_be_tried_again:
            return
        refund.require_not_written_off(payment)
        try:
            payment = _undo_next(payment, reason, ports, now, retry_refused=retry_refused)
        except PaymentMoved:
            payment = ports.payments.get(payment_id) or payment
    raise TransientError(f"the payment of order {order_id} changes too often")


def write_off(order_id: str, reason: str, ports: Ports, now: datetime) -> None:
    """Leaves the undo to an operator: no refund is made from here on. Does not call the provider, since it may be
    unavailable, which is why an undo is skipped.
    """
    payment_id = payment_id_of(order_id)
    payment = ports.payments.open(domain.tombstone(payment_id, order_id, ports.provider.expected_id(payment_id), now))
    refunds.write_off(payment, reason, ports.payments, now)


def observe(changed: ChargeChanged, ports: Ports, now: datetime) -> None:
    """A webhook reports a change of a charge. Reads its state from the provider, so a late webhook changes nothing."""
    if ports.payments.is_webhook_done(changed.event_id, now):
        return
    payment = ports.payments.get(domain.payment_id_in(changed.payment_id)) if changed.payment_id else None
    charge_id = changed.charge_id or (payment and ports.provider.expected_id(changed.payment_id))
    if charge_id and (payment is None or payment.charge_id != charge_id):
        with transient():
            charge = ports.provider.find(charge_id)
        is_ours = charge is not None and bool(charge.reference)
        payment = ports.payments.get(domain.payment_id_in(charge.reference)) if charge and is_ours else None
        if charge and payment and charge.charge_id in payment.earlier:
            _void_orphan(payment, charge, ports.provider)
        elif charge and is_ours and charge.is_money and (not payment or payment.charge_id != charge.charge_id):
            ports.payments.park(charge, now)
    if payment:
        payment = catch_up(payment, ports, now)
        if changed.is_dispute:
            refunds.learn_disputes(payment, ports, now)
    ports.payments.mark_webhook_done(changed.event_id, now)


def claim(order_id: str, customer_id: str, ports: Ports, now: datetime) -> None:
    """An account has the guest's order from here on, and so its payment. Idempotent.

    The claim is noted first, and a guest's payment looks for it once it has begun: one of the two sees the other.
    """
    payment_id = payment_id_of(order_id)
    ports.payments.note_owner(payment_id, customer_id)
    payment = ports.payments.get(payment_id)
    if payment:
        _hand_over(payment, ports, now)


def answer_bank(
    charge_id: str, may_answer: Callable[[str], bool], bank: Bank, ports: Ports, now: datetime, *, is_confirmed: bool
) -> None:
    """The buyer answers the sandbox's bank, whose webhook follows at once. Idempotent: a charge takes one answer.

    `may_answer` is asked with the customer's id.
    """
    with transient():
        charge = ports.provider.find(charge_id)
    payment = ports.payments.get(domain.payment_id_in(charge.reference)) if charge else None
    if charge is None or payment is None or not may_answer(payment.customer_id):
        raise domain.UnknownPayment("There is no such question of a bank.")
    bank.answer(charge_id, is_confirmed=is_confirmed)
    observe(ChargeChanged(derived_id(charge_id, "answered"), payment_id=charge.reference), ports, now)


def catch_up(payment: Payment, ports: Ports, now: datetime) -> Payment:
    """Updates the payment from the provider and finishes its refunds. The payment must be read before the charge."""
    charge = _find(payment, ports.provider)
    if charge is None:
        return payment
    settled = _settle(payment, charge, ports.payments, now)
    _void_orphan(settled, charge, ports.provider)
    if settled.claimed != settled.refunded:
        return refunds.finish_pending(settled, ports, now)
    compared = agreement.compare(settled, charge) if settled is payment else settled
    if agreement.is_written_off(compared) and compared.refunded_elsewhere > 0:
        return refunds.record_elsewhere(compared, settled, ports.payments, now)
    if compared is not settled:
        # The concurrent writer has read later, so the charge that was read here is stale.
        with suppress(PaymentMoved):
            ports.payments.save(settled, compared, now)
    return compared


def record_order_status(order_id: str, status: str, ports: Ports, now: datetime) -> None:
    """Stores the order's status. A confirmed order without a payment is kept for the reconciler."""
    payment_id = payment_id_of(order_id)
    payment = ports.payments.get(payment_id)
    if payment is None:
        if status != agreement.CONFIRMED:
            return
        payment = ports.payments.open(
            domain.tombstone(payment_id, order_id, ports.provider.expected_id(payment_id), now)
        )
    _change(payment, lambda current: agreement.with_order_status(current, status), ports.payments, now)


def find_payment(
    payment_id: str, may_see: Callable[[Payment], bool], payments: PaymentStore
) -> tuple[Payment, list[Refund]]:
    """The payment and its refunds. Raises UnknownPayment also for a payment that the caller may not see."""
    payment = payments.get(payment_id)
    if payment is None or payment.is_tombstone or not may_see(payment):
        raise domain.UnknownPayment(f"There is no payment {payment_id}.")
    return payment, payments.refunds(payment_id) if payment.captured else []


def _open(begun: Payment, ports: Ports, now: datetime) -> Payment:
    return _hand_over(ports.payments.open(begun), ports, now)


def _hand_over(payment: Payment, ports: Ports, now: datetime) -> Payment:
    """The payment of a guest's order, as that of the account that has claimed the order."""
    owner = ports.payments.find_owner(payment.payment_id) if is_guest(payment.customer_id) else None
    if owner is None:
        return payment
    return _change(payment, lambda current: domain.claim(current, owner), ports.payments, now)


def _begin(due: Due, charge_id: str, now: datetime) -> Payment:
    return Payment(
        payment_id_of(due.order_id),
        due.order_id,
        due.customer_id,
        due.amount,
        now,
        charge_id=charge_id,
        order_number=due.order_number,
        language=due.language,
    )


def _authorize(payment: Payment, token: str, ports: Ports, now: datetime) -> tuple[Payment, Charge | None]:
    """Authorizes the current attempt with its own keys. The charge is None if another attempt has begun, or an undo."""
    begun = payment
    try:
        if not payment.charge_id:
            with transient():
                charge_id = ports.provider.prepare(
                    payment.reference, payment.amount, token, _key_of(payment, "prepare")
                )

            def prepare(current: Payment) -> Payment:
                return domain.prepare(current, charge_id) if current.attempt == begun.attempt else current

            payment = _change(payment, prepare, ports.payments, now)
        if not payment.may_authorize or payment.attempt != begun.attempt:
            return payment, None
        with transient():
            charge = ports.provider.authorize(payment.intent, token, _key_of(payment, "authorize"))
    except ProviderDeclined as declined:
        found = _find(payment, ports.provider)
        charge = found if found and found.status is not ChargeStatus.PREPARED else _declined(payment, declined)
    payment = _settle(payment, charge, ports.payments, now)
    _void_orphan(payment, charge, ports.provider)
    return payment, charge


def _key_of(payment: Payment, step: str) -> str:
    """The idempotency key of a step of the payment's current attempt."""
    return derived_id(payment.order_id, step, *([] if payment.attempt == 1 else [str(payment.attempt)]))


def _void_earlier(payment: Payment, ports: Ports, now: datetime) -> Payment:
    """Voids the charges of earlier attempts, also those that hold nothing yet: they never will. Takes over one that
    holds money and cannot be voided.
    """
    for charge_id in payment.earlier:
        charge = _void(payment, charge_id, ports.provider)
        if charge and charge.is_money:
            # Captured at the provider, or held by a bank that does not let go.
            return _change(
                payment, functools.partial(_adopt, attempt=payment.attempt, charge=charge), ports.payments, now
            )
    return payment


def _adopt(current: Payment, attempt: int, charge: Charge) -> Payment:
    return domain.adopt(current, charge) if current.attempt == attempt else current


def _void(payment: Payment, charge_id: str, provider: Provider) -> Charge | None:
    """The charge after the void, or as it is if the provider refuses, as for one that was declined."""
    with transient():
        try:
            return provider.void(charge_id, _void_key(payment, charge_id))
        except ProviderDeclined:
            return provider.find(charge_id)


def _void_key(payment: Payment, charge_id: str) -> str:
    is_only_one = payment.attempt == 1 and not payment.earlier
    return derived_id(payment.order_id, "void", *([] if is_only_one else [charge_id]))


def _declined(payment: Payment, declined: ProviderDeclined) -> Charge:
    """The declined charge of a payment that the provider refused to begin, as with an unknown card."""
    return Charge(
        payment.charge_id,
        payment.reference,
        ChargeStatus.DECLINED,
        payment.amount,
        reason=declined.reason,
        detail=declined.detail,
    )


def _undo_next(payment: Payment, reason: str, ports: Ports, now: datetime, *, retry_refused: bool) -> Payment:
    """Takes one step of the undo. Raises PaymentMoved if another writer was first."""
    closing = domain.close(payment)
    if closing is not payment:
        # Before the provider is called, so that a concurrent authorize or capture sees it and stops.
        ports.payments.save(payment, closing, now)
        return closing
    for charge_id in payment.earlier:
        earlier = _void(payment, charge_id, ports.provider) if charge_id != payment.charge_id else None
        if earlier and earlier.is_money:
            raise TransientError(f"the charge {charge_id} of order {payment.order_id} cannot be voided")
    charge = _find(payment, ports.provider)
    if charge and charge.status is ChargeStatus.CAPTURED:
        settled = _settle(payment, charge, ports.payments, now)
        if settled is not payment:
            return settled
        compared = agreement.compare(payment, charge)
        if compared is not payment:
            # Refunds made at the provider without us are not made again.
            ports.payments.save(payment, compared, now)
            return compared
        return refunds.refund_the_rest(payment, reason, ports, now, retry_refused=retry_refused)
    is_declined = charge is not None and charge.status is ChargeStatus.DECLINED
    is_voided = charge is not None and charge.status is ChargeStatus.VOIDED
    if payment.charge_id and not is_declined and not is_voided:
        try:
            # Also if nothing is held yet: a concurrent authorization then comes too late.
            with transient():
                ports.provider.void(payment.charge_id, _void_key(payment, payment.charge_id))
        except ProviderDeclined:
            # Captured in between: read again.
            return payment
    ended = domain.settle(payment, charge) if charge and is_declined else domain.end_uncaptured(payment)
    ports.payments.save(payment, ended, now)
    return ended


def _capture(payment: Payment, ports: Ports, now: datetime) -> Charge:
    """Stores a refusal or a missing answer, so that the payment's end can state the reason."""
    try:
        with transient():
            return ports.provider.capture(payment.charge_id, derived_id(payment.order_id, "capture"))
    except TransientError:
        _note_trouble(payment, PROVIDER_UNAVAILABLE, ports.payments, now)
        raise
    except ProviderDeclined as declined:
        charge = _find(payment, ports.provider)
        if charge and charge.status is ChargeStatus.CAPTURED:
            return charge
        _note_trouble(payment, CAPTURE_REFUSED, ports.payments, now)
        raise domain.CaptureRefused(declined.detail, reason=declined.reason, payment_id=payment.payment_id) from None


def _settle(payment: Payment, charge: Charge, payments: PaymentStore, now: datetime) -> Payment:
    """Leaves a payment that has begun another attempt since it was read: the charge is not that attempt's."""

    def settle(current: Payment) -> Payment:
        return domain.settle(current, charge) if current.attempt == payment.attempt else current

    return _change(payment, settle, payments, now)


def _note_trouble(payment: Payment, trouble: str, payments: PaymentStore, now: datetime) -> None:
    _change(payment, lambda current: domain.note_trouble(current, trouble), payments, now)


def _change(payment: Payment, decide: Callable[[Payment], Payment], payments: PaymentStore, now: datetime) -> Payment:
    """Decides and writes. Retries from the current state if another writer was first."""

    def write(before: Payment) -> Payment:
        after = decide(before)
        if after is not before:
            payments.save(before, after, now)
        return after

    return retry_on_conflict(
        lambda: payments.get(payment.payment_id) or payment,
        write,
        conflict=PaymentMoved,
        attempts=_ATTEMPTS,
        exhausted=f"payment {payment.payment_id} changes too often",
        seen=payment,
    )


def _find(payment: Payment, provider: Provider) -> Charge | None:
    if not payment.charge_id:
        return None
    with transient():
        return provider.find(payment.charge_id)


def _void_orphan(payment: Payment, charge: Charge | None, provider: Provider) -> None:
    """Voids an authorization that succeeded after its payment was undone, with the undo's key."""
    if charge and domain.is_orphan(payment, charge):
        # A refusal means that the undo has voided it, or will find it captured.
        with transient(), suppress(ProviderDeclined):
            provider.void(charge.charge_id, _void_key(payment, charge.charge_id))
