"""What the customer is told of. Every function is done once per event: the inbox marker is written with its effect."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mercato import config
from mercato.aws.mail import SesMailer
from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer, Unfinished
from mercato.invocation import deadline
from mercato.money import Money
from mercato.store.dynamo import Table
from mercato.telemetry.logs import log
from notifications import texts, usecases
from notifications.domain import Contact, Kind, ReaderGone, Text
from notifications.store import NotificationStore

consumer = Consumer("notifications")
_ONE_MORE = 2.0  # seconds, to erase one more notification


@dataclass(frozen=True)
class Settings:
    table_name: str
    from_address: str


@functools.cache
def ports() -> tuple[NotificationStore, SesMailer]:
    settings = config.load(Settings)
    return NotificationStore(Table(settings.table_name)), SesMailer(settings.from_address)


class UserRegistered(Reads):
    user_id: str
    email: str
    name: str


class ProfileChanged(Reads):
    user_id: str
    name: str


class UserClosed(Reads):
    user_id: str


class Line(Reads):
    name: str
    quantity: int


class OrderConfirmed(Reads):
    order_id: str
    customer_id: str
    total: Money
    lines: list[Line]


class OrderShipped(Reads):
    order_id: str
    customer_id: str
    carrier: str
    tracking_number: str


class OrderCancelled(Reads):
    order_id: str
    customer_id: str
    detail: str


class PaymentCompleted(Reads):
    payment_id: str
    order_id: str
    customer_id: str
    amount: Money


class PaymentFailed(Reads):
    order_id: str
    customer_id: str
    amount: Money
    detail: str


class PaymentRefunded(Reads):
    order_id: str
    customer_id: str
    amount: Money
    reason: str


@consumer.on("user.registered")
def welcome(event: Event, data: UserRegistered) -> None:
    store, mailer = ports()
    contact = Contact(data.user_id, data.email, data.name)
    text = texts.welcome(data.name)
    with _nobody_to_tell(data.user_id):
        usecases.welcome_user(contact, text, event.id, event.time, store=store, mailer=mailer, now=utc_now())


@consumer.on("user.profile_changed")
def rename_contact(event: Event, data: ProfileChanged) -> None:
    """Naturally idempotent: the name of the highest sequence stays."""
    store, _ = ports()
    with _nobody_to_tell(data.user_id):
        store.rename_contact(data.user_id, data.name, event.sequence)


@consumer.on("user.closed")
def forget_user(event: Event, data: UserClosed) -> None:
    """Naturally idempotent: what is gone stays gone."""
    store, _ = ports()
    if not store.forget(data.user_id, utc_now(), _has_time):
        raise Unfinished(f"more notifications of {data.user_id} are to be erased")


def _has_time() -> bool:
    return deadline.left() > _ONE_MORE


@consumer.on("order.confirmed")
def tell_confirmed(event: Event, data: OrderConfirmed) -> None:
    lines = [(line.quantity, line.name) for line in data.lines]
    _tell(event, data, Kind.ORDER_CONFIRMED, lambda name: texts.order_confirmed(name, data.order_id, data.total, lines))


@consumer.on("payment.completed")
def send_receipt(event: Event, data: PaymentCompleted) -> None:
    _tell(event, data, Kind.RECEIPT, lambda name: texts.receipt(name, data.order_id, data.payment_id, data.amount))


@consumer.on("payment.failed")
def alert_payment_failed(event: Event, data: PaymentFailed) -> None:
    _tell(
        event,
        data,
        Kind.PAYMENT_FAILED,
        lambda name: texts.payment_failed(name, data.order_id, data.amount, data.detail),
    )


@consumer.on("order.shipped")
def tell_shipped(event: Event, data: OrderShipped) -> None:
    _tell(
        event,
        data,
        Kind.ORDER_SHIPPED,
        lambda name: texts.order_shipped(name, data.order_id, data.carrier, data.tracking_number),
    )


@consumer.on("order.cancelled")
def tell_cancelled(event: Event, data: OrderCancelled) -> None:
    _tell(event, data, Kind.ORDER_CANCELLED, lambda name: texts.order_cancelled(name, data.order_id, data.detail))


@consumer.on("payment.refunded")
def tell_refunded(event: Event, data: PaymentRefunded) -> None:
    _tell(event, data, Kind.REFUND, lambda name: texts.refund(name, data.order_id, data.amount, data.reason))


AboutOrder = OrderConfirmed | OrderShipped | OrderCancelled | PaymentCompleted | PaymentFailed | PaymentRefunded


def _tell(event: Event, data: AboutOrder, kind: Kind, write: Callable[[str], Text]) -> None:
    store, mailer = ports()
    with _nobody_to_tell(data.customer_id):
        usecases.notify_user(
            data.customer_id,
            kind,
            write,
            event.id,
            event.time,
            order_id=data.order_id,
            store=store,
            mailer=mailer,
            now=utc_now(),
        )


@contextmanager
def _nobody_to_tell(user_id: str) -> Iterator[None]:
    """An event of a closed account is done with: nobody is told, and nothing is written."""
    try:
        yield
    except ReaderGone:
        log.info("the account is closed", extra={"user_id": user_id})


handler = consumer.handler
