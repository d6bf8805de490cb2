"""Consumes the events of orders."""

from __future__ import annotations

from mercato import clock
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.money import Money
from payments import refunds, usecases
from payments.agreement import CANCELLED, CONFIRMED
from payments.usecases import payment_id_of
from payments.wiring import ports

consumer = Consumer("payments")
handler = consumer.handler


class ReturnReceived(Reads):
    order_id: str
    refund_id: str
    amount: Money
    reason: str = ""


class OrderClaimed(Reads):
    order_id: str
    customer_id: str


class AboutOrder(Reads):
    order_id: str


@consumer.on("order.confirmed")
def record_confirmed(_event: Event, order: AboutOrder) -> None:
    """Idempotent: a duplicate changes nothing."""
    usecases.record_order_status(order.order_id, CONFIRMED, ports(), clock.utc_now())


@consumer.on("order.cancelled")
def record_cancelled(_event: Event, order: AboutOrder) -> None:
    """Idempotent: a duplicate changes nothing."""
    usecases.record_order_status(order.order_id, CANCELLED, ports(), clock.utc_now())


@consumer.on("order.claimed")
def hand_over(_event: Event, order: OrderClaimed) -> None:
    """Idempotent: the first claim holds."""
    usecases.claim(order.order_id, order.customer_id, ports(), clock.utc_now())


@consumer.on("order.return_received", "order.return_accepted")
def refund_return(_event: Event, data: ReturnReceived) -> None:
    """Idempotent: the refund's id is derived from order and return, and is the provider's idempotency key.

    order.return_accepted is what older releases published.
    """
    if data.amount.amount:
        refunds.refund_for_return(
            payment_id_of(data.order_id),
            data.refund_id,
            data.amount,
            refunds.UNDELIVERED if data.reason in ("undelivered", "lost") else refunds.RETURNED,
            ports(),
            clock.utc_now(),
        )
