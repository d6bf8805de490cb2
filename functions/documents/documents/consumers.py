"""Consumes the events of payments: money that came is invoiced, money that went back is credited. An account that
claims the order of a guest has its documents.
"""

from __future__ import annotations

from documents import usecases
from documents.domain import Paid, Refunded
from documents.wiring import ports
from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.money import Money

consumer = Consumer("documents")
handler = consumer.handler


class PaymentCompleted(Reads):
    payment_id: str
    order_id: str
    amount: Money


class PaymentRefunded(PaymentCompleted):
    refund_id: str
    reason: str
    captured: Money | None = None


class OrderClaimed(Reads):
    order_id: str
    customer_id: str


@consumer.on("order.claimed")
def hand_over(_event: Event, data: OrderClaimed) -> None:
    """Idempotent: an order is claimed once."""
    ports().documents.hand_over(data.order_id, data.customer_id)


@consumer.on("payment.completed")
def issue_invoice(_event: Event, data: PaymentCompleted) -> None:
    """Idempotent: a payment has one invoice."""
    paid = Paid(**data.model_dump(exclude={"amount"}), amount=data.amount)
    usecases.issue_invoice(paid, ports().orders, ports().documents, utc_now())


@consumer.on("payment.refunded")
def issue_credit_note(_event: Event, data: PaymentRefunded) -> None:
    """Idempotent: a refund has one credit note. A refund of 0 has none, nor has that of a part which paid no order."""
    if not data.amount.amount:
        return
    refunded = Refunded(**data.model_dump(exclude={"amount", "captured"}), amount=data.amount, captured=data.captured)
    usecases.issue_credit_note(refunded, ports().orders, ports().documents, utc_now())
