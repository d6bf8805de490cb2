"""HTTP routes of payments."""

import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from mercato import clock
from mercato.errors import NotFound
from mercato.guests import is_guest
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PUBLIC,
    UNLIMITED,
    WATCH,
    App,
    Body,
    Created,
    IdempotencyKey,
    NoContent,
    Query,
    SignedBody,
    View,
    Webhook,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once
from mercato.money import MAX_AMOUNT, Currency, Money
from mercato.text import Exact, ShortReason
from payments import reconciler, refunds, usecases
from payments.agreement import Mismatch
from payments.domain import Dispute, DisputeStatus, Payment, UnknownPayment
from payments.providers import webhooks
from payments.providers.webhooks import ChargeChanged, StripeEvent, WebhookEvent
from payments.refund import Refund
from payments.wiring import SANDBOX, STRIPE, ports


class RefundAmount(Body):
    amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
    currency: Currency


class RefundRequest(Body):
    amount: RefundAmount
    reason: ShortReason


class BankAnswer(Body):
    outcome: Literal["confirmed", "refused"]


class RefundView(View):
    refund_id: str
    payment_id: str
    amount: Money
    reason: str
    status: str

    @classmethod
    def of(cls, refund: Refund) -> Self:
        return cls(
            refund_id=refund.refund_id,
            payment_id=refund.payment_id,
            amount=refund.amount,
            reason=refund.public_reason,
            status=refund.status,
        )


class DisputeView(View):
    """An open dispute has taken `amount` from the shop, and a lost one keeps it. `reason` is the bank's."""

    dispute_id: str
    amount: Money
    status: str
    reason: str

    @classmethod
    def of(cls, dispute: Dispute, currency: str) -> Self:
        amount = Money(amount=dispute.amount, currency=currency)
        return cls(dispute_id=dispute.dispute_id, amount=amount, status=dispute.status, reason=dispute.reason)


class PaymentView(View):
    """`captured` is the total ever captured, `refunded` the part of it that was refunded, and `disputed` the part that
    the buyer's bank has taken back. `attempts` counts the cards that were tried. `order_number` is the order's for
    people; payments of earlier releases have none.
    """

    payment_id: str
    order_id: str
    order_number: str | None
    customer_id: str
    status: str
    amount: Money
    captured: Money
    refunded: Money
    disputed: Money
    reason: str
    detail: str
    attempts: int
    refunds: list[RefundView]
    disputes: list[DisputeView]

    @classmethod
    def of(cls, payment: Payment, made: list[Refund]) -> Self:
        currency = payment.amount.currency
        return cls(
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            order_number=payment.order_number or None,
            customer_id=payment.customer_id,
            status=payment.status,
            amount=payment.amount,
            captured=Money(amount=payment.captured, currency=currency),
            refunded=Money(amount=payment.refunded, currency=currency),
            disputed=Money(amount=payment.disputed, currency=currency),
            reason=payment.reason,
            detail=payment.detail,
            attempts=payment.attempt,
            refunds=[RefundView.of(refund) for refund in made],
            disputes=[DisputeView.of(dispute, currency) for dispute in payment.disputes],
        )


class PaymentsQuery(Query):
    order_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]


class PaymentList(View):
    items: list[PaymentView]


class MismatchView(View):
    """`order_number` is the order's for people. Money without a payment has none."""

    kind: str
    payment_id: str
    order_id: str
    order_number: str | None
    charge_id: str
    amount: Money
    since: datetime

    @classmethod
    def of(cls, found: Mismatch) -> Self:
        return cls(**vars(found))


class DisputedView(View):
    """A payment with open disputes, which the shop answers at the provider. `since` is its last change, and
    `order_number` the order's for people.
    """

    payment_id: str
    order_id: str
    order_number: str | None
    disputes: list[DisputeView]
    since: datetime

    @classmethod
    def of(cls, payment: Payment, since: datetime) -> Self:
        currency = payment.amount.currency
        found = [DisputeView.of(one, currency) for one in payment.disputes if one.status is DisputeStatus.OPEN]
        return cls(
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            order_number=payment.order_number or None,
            disputes=found,
            since=since,
        )


class MismatchList(View):
    """`more`: there are further mismatches. `disputed` are payments whose disputes are open, which is no mismatch."""

    items: list[MismatchView]
    more: bool
    disputed: list[DisputedView]


_MOST_MISMATCHES = 100

app = App("payments", health=table_and_queue)
handler = app.handler


@app.get("/api/payments/mismatches", role=ADMIN, limit=WATCH)
def list_mismatches() -> MismatchList:
    """Lists payments that have long disagreed with their order or provider, and money without a payment. Beside them,
    payments whose disputes wait for an answer.
    """
    found = reconciler.mismatches(ports().payments, clock.utc_now())
    shown = [MismatchView.of(one) for one in itertools.islice(found, _MOST_MISMATCHES + 1)]
    disputed = itertools.islice(reconciler.disputed(ports().payments, clock.utc_now()), _MOST_MISMATCHES)
    return MismatchList(
        items=shown[:_MOST_MISMATCHES],
        more=len(shown) > _MOST_MISMATCHES,
        disputed=[DisputedView.of(*one) for one in disputed],
    )


@app.get("/api/payments", role=ADMIN, limit=WATCH)
def list_payments(query: PaymentsQuery) -> PaymentList:
    """Lists the payment of an order: none before its saga has begun one."""
    try:
        payment, made = usecases.find_payment(usecases.payment_id_of(query.order_id), lambda _: True, ports().payments)
    except UnknownPayment:
        return PaymentList(items=[])
    return PaymentList(items=[PaymentView.of(payment, made)])


@app.get("/api/payments/{payment_id}", role=(CUSTOMER, ADMIN), limit=WATCH)
def show_payment(payment_id: str, caller: Caller) -> PaymentView:
    payment, made = usecases.find_payment(
        payment_id, lambda found: caller.is_admin or found.customer_id == caller.user_id, ports().payments
    )
    return PaymentView.of(payment, made)


@app.post("/api/payments/{payment_id}/refunds", role=ADMIN)
def refund_payment(payment_id: str, body: RefundRequest, caller: Caller, key: IdempotencyKey) -> Created[RefundView]:
    """Refunds some or all of the captured amount. A retry with the same key returns the same refund, or the provider's
    same refusal. A new attempt needs a new key.
    """
    amount = Money(amount=body.amount.amount, currency=body.amount.currency)
    now, asked = clock.utc_now(), Keyed.read("POST /api/payments/{payment_id}/refunds", caller, key, body, payment_id)

    def give_back() -> Created[RefundView]:
        made = refunds.refund(payment_id, asked.id, amount, body.reason, ports(), now)
        return Created(RefundView.of(made), f"/api/payments/{payment_id}")

    return answer_once(asked, ports().table, now, give_back)


@app.post("/api/payments/sandbox/challenges/{charge_id}", role=CUSTOMER)
def answer_bank(charge_id: str, body: BankAnswer, caller: Caller) -> NoContent:
    """The buyer answers the question of the sandbox's bank. Only the first answer counts."""
    return _answer_bank(charge_id, body, lambda customer_id: customer_id == caller.user_id)


@app.post("/api/payments/guests/sandbox/challenges/{charge_id}", role=PUBLIC, capability="charge_id")
def answer_bank_as_guest(charge_id: str, body: BankAnswer) -> NoContent:
    """The buyer without an account answers the question of the sandbox's bank. As at a bank, who knows the charge's id
    may answer; no charge of an account is answered so.
    """
    return _answer_bank(charge_id, body, is_guest)


def _answer_bank(charge_id: str, body: BankAnswer, may_answer: Callable[[str], bool]) -> NoContent:
    is_confirmed = body.outcome == "confirmed"
    usecases.answer_bank(charge_id, may_answer, ports().bank, ports(), clock.utc_now(), is_confirmed=is_confirmed)
    return NoContent()


@app.post("/api/payments/webhooks/sandbox", role=PUBLIC, limit=UNLIMITED)  # signed
def hear_sandbox(message: Webhook[WebhookEvent]) -> NoContent:
    """The signature covers the raw bytes of the body and is checked before the body is read."""
    now = clock.utc_now()
    _handle(webhooks.of_sandbox(message.verified(_secret_of(SANDBOX, now), now)), now)
    return NoContent()


@app.post("/api/payments/webhooks/stripe", role=PUBLIC, limit=UNLIMITED)  # signed
def hear_stripe(message: SignedBody[StripeEvent]) -> NoContent:
    """The signature covers the raw bytes of the body and is checked before the body is read."""
    now = clock.utc_now()
    secret = _secret_of(STRIPE, now)
    event = message.verified_by(lambda headers, body: webhooks.verify_stripe(secret, headers, body, now))
    _handle(webhooks.of_stripe(event), now)
    return NoContent()


def _secret_of(sender: str, now: datetime) -> str:
    if sender != ports().settings.payment_provider:
        raise NotFound("This shop does not use that payment provider.")
    return ports().webhook_secret.read(now)


def _handle(changed: ChargeChanged | None, now: datetime) -> None:
    """Accepts signed messages that do not concern us too; otherwise the provider would retry them."""
    if changed:
        usecases.observe(changed, ports(), now)
