"""HTTP routes of payments."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mercato import clock, webhooks
from mercato.auth import Caller
from mercato.health import table_and_queue
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PUBLIC,
    UNLIMITED,
    App,
    Body,
    Created,
    IdempotencyKey,
    NoContent,
    Request,
    Response,
    View,
    read_body,
)
from mercato.idempotency import Keyed, answer_once
from mercato.money import MAX_AMOUNT, Currency, Money
from mercato.text import LINE
from payments import refunds, usecases
from payments.domain import Payment, Refund
from payments.settings import provider, store, table, webhook_secret


class RefundAmount(Body):
    amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
    currency: Currency


class RefundRequest(Body):
    amount: RefundAmount
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=LINE)]


class ChargeNews(BaseModel):
    """What we read of a webhook: which charge to ask the provider about. Providers add fields as they like."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    reference: Annotated[str, Field(min_length=1, max_length=200)]


class WebhookEvent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    id: Annotated[str, Field(min_length=1, max_length=200)]
    data: ChargeNews


class RefundView(View):
    refund_id: str
    payment_id: str
    amount: Money
    reason: str
    status: str

    @classmethod
    def of(cls, refund: Refund) -> RefundView:
        return cls(
            refund_id=refund.refund_id,
            payment_id=refund.payment_id,
            amount=refund.amount,
            reason=refund.reason,
            status=refund.status,
        )


class PaymentView(View):
    """`captured` is all that was ever taken, `refunded` what of it was given back."""

    payment_id: str
    order_id: str
    customer_id: str
    status: str
    amount: Money
    captured: Money
    refunded: Money
    reason: str
    detail: str
    refunds: list[RefundView]

    @classmethod
    def of(cls, payment: Payment, made: list[Refund]) -> PaymentView:
        currency = payment.amount.currency
        return cls(
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            customer_id=payment.customer_id,
            status=payment.status,
            amount=payment.amount,
            captured=Money(amount=payment.captured, currency=currency),
            refunded=Money(amount=payment.refunded, currency=currency),
            reason=payment.reason,
            detail=payment.detail,
            refunds=[RefundView.of(refund) for refund in made],
        )


app = App("payments", health=table_and_queue)
handler = app.handler


@app.get("/api/payments/{payment_id}", role=(CUSTOMER, ADMIN))
def show_payment(payment_id: str, caller: Caller) -> PaymentView:
    payment, made = usecases.find_payment(
        payment_id, lambda found: caller.is_admin or found.customer_id == caller.user_id, store()
    )
    return PaymentView.of(payment, made)


@app.post("/api/payments/{payment_id}/refunds", role=ADMIN)
def refund_payment(payment_id: str, body: RefundRequest, caller: Caller, key: IdempotencyKey) -> Response[RefundView]:
    """Some or all of what was captured. A retry with the same key is the same refund."""
    amount = Money(amount=body.amount.amount, currency=body.amount.currency)
    now, asked = clock.utc_now(), Keyed.read("POST /api/payments/{payment_id}/refunds", caller, key, body, payment_id)

    def give_back() -> Response[RefundView]:
        made = refunds.refund(payment_id, asked.id, amount, body.reason, store(), provider(), now)
        return Created(RefundView.of(made), f"/api/payments/{payment_id}")

    return answer_once(asked, table(), now, give_back)


@app.post("/api/payments/webhooks/sandbox", role=PUBLIC, limit=UNLIMITED)  # signed
def hear_sandbox(request: Request) -> Response[None]:
    """The signature is over the raw bytes, and is checked before anything reads them."""
    now = clock.utc_now()
    webhooks.verify(webhook_secret().read(now), request.headers, request.body, now)
    event = read_body(WebhookEvent, request.body)
    usecases.observe(event.id, event.data.reference, store(), provider(), now)
    return NoContent()
