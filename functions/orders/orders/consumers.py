"""Consumes the events of orders, payments, shipping and users. Idempotent: a known or late fact yields no new fact."""

from __future__ import annotations

from collections.abc import Callable

from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer, Unfinished
from mercato.guests import is_guest
from mercato.invocation import deadline
from mercato.money import Money
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from orders import domain, guests, usecases
from orders.facts import Fact
from orders.order import Order, PaymentStatus, Shipment
from orders.wiring import ports

consumer = Consumer("orders")
_ONE_MORE = 5.0  # seconds, enough to change one more order and store the progress


class AboutOrder(Reads):
    order_id: str


class PlacedOrder(AboutOrder):
    """An order that was created or confirmed."""

    customer_id: str = ""


class AboutPayment(Reads):
    payment_id: str
    order_id: str


class PaymentFailed(AboutPayment):
    detail: str | None = None


class PaymentRefunded(AboutPayment):
    refund_id: str
    amount: Money
    reason: str


class ShipmentDispatched(Reads):
    order_id: str
    shipment_id: str
    carrier: str
    tracking_number: str
    tracking_url: str | None = None


class ShipmentDelivered(Reads):
    order_id: str
    shipment_id: str


class ShipmentFailed(Reads):
    order_id: str
    shipment_id: str
    dispatched: bool = False


class UserClosed(Reads):
    user_id: str


class EmailVerified(Reads):
    user_id: str
    email: str | None = None  # events of earlier releases have none


class OrderClaimed(Reads):
    order_id: str
    customer_id: str


@consumer.on("user.closed")
def forget_customer(_: Event, closed: UserClosed) -> None:
    """Resumable: each run continues where the last one ended, so the number of orders has no limit."""
    if not usecases.forget_customer(closed.user_id, orders=ports().orders, now=utc_now(), has_time=_has_time):
        raise Unfinished(f"more orders of {closed.user_id} are left to anonymise")


def _has_time() -> bool:
    return deadline.left() > _ONE_MORE


@consumer.on("user.email_verified")
def claim_orders(_: Event, verified: EmailVerified) -> None:
    """Resumable: what is claimed is listed no more."""
    if verified.email is None:
        return
    about = verified.user_id, verified.email
    if not guests.claim_orders(*about, orders=ports().orders, now=utc_now(), has_time=_has_time):
        raise Unfinished(f"more orders of guests are left for {verified.user_id} to claim")


@consumer.on("order.claimed")
def follow_claim(_: Event, claimed: OrderClaimed) -> None:
    """The account may have been closed after the claim and before the index showed the order."""
    if ports().orders.has_left(claimed.customer_id):
        _change(claimed.order_id, domain.forget_customer)


@consumer.on("order.created")
def start_saga(_: Event, created: PlacedOrder) -> None:
    """The order of a guest also gets its link mailed."""
    usecases.start_workflow(created.order_id, orders=ports().orders, workflows=ports().workflows, now=utc_now())
    if is_guest(created.customer_id):
        orders, mailer, shop_url = ports().orders, ports().mailer, ports().mail.shop_url
        guests.mail_link(created.order_id, shop_url, orders=orders, mailer=mailer, now=utc_now())


@consumer.on("order.cancellation_requested")
def undo_order(_: Event, asked: AboutOrder) -> None:
    usecases.start_cancellation(asked.order_id, orders=ports().orders, workflows=ports().workflows)
    _wake_saga(asked.order_id)


@consumer.on("order.payment_attempted")
def answer_saga(_: Event, attempted: AboutOrder) -> None:
    _wake_saga(attempted.order_id)


@consumer.on("payment.answered")
def hear_of_payment(event: Event, payment: AboutPayment) -> None:
    usecases.hear_of_payment(
        payment.order_id, event.sequence, orders=ports().orders, sagas=ports().sagas, now=utc_now()
    )


def _wake_saga(order_id: str) -> None:
    usecases.wake_saga(order_id, orders=ports().orders, sagas=ports().sagas, now=utc_now())


@consumer.on("order.cancelled", "order.refunded", "order.needs_attention")
def sum_order(_: Event, moved: AboutOrder) -> None:
    """Not at order.created, before which no saga starts: each order has one of these, or order.confirmed, within its
    saga's first minute.
    """
    ports().day_sums.sum_order(moved.order_id)


@consumer.on("order.confirmed")
def sum_and_claim(_: Event, confirmed: PlacedOrder) -> None:
    """A guest's order is claimed here if an account has verified its address before.

    A claim ends the order's link. If it came when the order is created, a stranger could order with an address and a
    bad card, and learn from the link whether the address has an account.
    """
    ports().day_sums.sum_order(confirmed.order_id)
    if is_guest(confirmed.customer_id):
        guests.claim_late(confirmed.order_id, orders=ports().orders, now=utc_now())


@consumer.on("payment.completed")
def record_capture(_: Event, payment: AboutPayment) -> None:
    _change(payment.order_id, lambda o: domain.record_payment(o, PaymentStatus.CAPTURED, payment.payment_id))


@consumer.on("payment.failed")
def record_payment_failure(_: Event, payment: PaymentFailed) -> None:
    _change(
        payment.order_id,
        lambda o: domain.record_payment(o, PaymentStatus.FAILED, payment.payment_id, payment.detail),
    )


@consumer.on("payment.refunded")
def record_refund(_: Event, payment: PaymentRefunded) -> None:
    _change(payment.order_id, lambda o: domain.refund(o, payment.refund_id, payment.amount, payment.reason))


@consumer.on("shipment.dispatched")
def record_dispatch(_: Event, sent: ShipmentDispatched) -> None:
    shipment = Shipment(shipment_id=sent.shipment_id, carrier=sent.carrier, tracking_number=sent.tracking_number)
    _change(sent.order_id, lambda o: domain.ship(o, shipment, sent.tracking_url))


@consumer.on("shipment.delivered")
def record_delivery(_: Event, arrived: ShipmentDelivered) -> None:
    _change(arrived.order_id, lambda o: domain.deliver(o, arrived.shipment_id))


@consumer.on("shipment.failed")
def record_failed_delivery(_: Event, failed: ShipmentFailed) -> None:
    """Every redelivery raises the alarm while the order is stuck, so a crash after the write loses no alarm."""
    order = _change(failed.order_id, lambda o: domain.give_up(o, has_left=failed.dispatched))
    if order.is_given_up:
        log.error("parcel given up", extra={"order_id": order.id, "shipment_id": failed.shipment_id})
        metrics.count("ParcelsGivenUp")
        metrics.flush()


def _change(order_id: str, decide: Callable[[Order], list[Fact]]) -> Order:
    return usecases.change_order(order_id, decide, orders=ports().orders, now=utc_now())


handler = consumer.handler
