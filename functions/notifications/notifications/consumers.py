"""Consumes events and notifies the customer, once per event: the inbox marker is written with the notification."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from mercato.aws.sending import LONGEST
from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer, Unfinished
from mercato.guests import is_guest
from mercato.invocation import deadline
from mercato.languages import KnownLanguage
from mercato.money import Money
from mercato.telemetry.logs import log
from notifications import texts, usecases
from notifications.domain import Contact, Kind, ReaderGone, Trigger, reader_of_cart, reader_of_guest
from notifications.feedback import Bounced, Complained
from notifications.reminders import LeftCart, remind, remind_guest
from notifications.texts import Content
from notifications.wiring import ports
from notifications.wishes import guests
from notifications.wishes import usecases as wishing
from notifications.wishes.domain import Level

_GIVEN_UP = ("undelivered", "lost")  # reasons with which an operator ends a return that no customer requested
_ONE_MORE = 2.0  # seconds, enough to erase one more item
_ONE_MORE_MAIL = LONGEST + 1.0  # seconds, enough to look up one more reader and to send the e-mail
consumer = Consumer("notifications", longest=_ONE_MORE_MAIL)


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


class GuestContact(Reads):
    email: str
    name: str


class OrderCreated(Reads):
    order_id: str
    contact: GuestContact | None = None  # of a guest's order alone


class OrderAnonymised(Reads):
    order_id: str
    guest_id: str | None = None


class CartAbandoned(Reads):
    customer_id: str


class Discontinued(Reads):
    product_id: str


class WishAsked(Reads):
    wish_id: str


class StockTold(Reads):
    product_id: str
    available: int


class FromOrders(Reads):
    order_id: str
    customer_id: str
    number: str | None = None
    language: KnownLanguage = None

    @property
    def named(self) -> str:
        """What the customer knows the order by. Orders of earlier releases have no number."""
        return self.number or self.order_id


class OrderConfirmed(FromOrders):
    total: Money
    lines: list[Line]


class PaymentAwaited(FromOrders):
    state: str
    until: datetime


class OrderShipped(FromOrders):
    carrier: str
    tracking_number: str
    tracking_url: str | None = None


class OrderCancelled(FromOrders):
    reason: str = ""
    detail: str


class Pieces(Reads):
    quantity: int


class ReturnApproved(FromOrders):
    lines: list[Pieces]
    amount: Money


class ReturnRefused(FromOrders):
    refusal: str


class ReturnReceived(FromOrders):
    lines: list[Pieces]
    amount: Money
    reason: str


class FromPayments(Reads):
    order_id: str
    customer_id: str
    amount: Money
    order_number: str | None = None
    language: KnownLanguage = None

    @property
    def named(self) -> str:
        return self.order_number or self.order_id


class PaymentCompleted(FromPayments):
    payment_id: str


class PaymentFailed(FromPayments):
    reason: str = ""
    detail: str


class PaymentRefunded(FromPayments):
    reason: str


@consumer.on("user.registered")
def welcome(event: Event, data: UserRegistered) -> None:
    contact = Contact(data.user_id, data.email, data.name)
    trigger = Trigger(Kind.WELCOME, event.id, event.time)
    with _open_account(data.user_id):
        usecases.welcome_user(contact, trigger, ports(), utc_now())


@consumer.on("user.profile_changed")
def rename_contact(event: Event, data: ProfileChanged) -> None:
    """Naturally idempotent: the name with the highest sequence wins."""
    with _open_account(data.user_id):
        ports().store.rename_contact(data.user_id, data.name, event.sequence)


@consumer.on("user.closed")
def forget_user(event: Event, data: UserClosed) -> None:
    """Naturally idempotent and resumable."""
    if not usecases.forget_user(data.user_id, ports(), utc_now(), _has_time):
        raise Unfinished(f"more notifications of {data.user_id} are left to erase")


def _has_time() -> bool:
    return deadline.left() > _ONE_MORE


def _has_time_for_mail() -> bool:
    return deadline.left() > _ONE_MORE_MAIL


@consumer.on("order.created")
def remember_guest(_: Event, data: OrderCreated) -> None:
    """A guest is the reader of one order, at the address that the order was placed with. Naturally idempotent."""
    if data.contact:
        with _open_account(reader_of_guest(data.order_id)):
            ports().store.remember(Contact(reader_of_guest(data.order_id), data.contact.email, data.contact.name))


@consumer.on("order.anonymised")
def forget_guest(_: Event, data: OrderAnonymised) -> None:
    """Naturally idempotent and resumable."""
    if data.guest_id and not usecases.forget_user(reader_of_guest(data.order_id), ports(), utc_now(), _has_time):
        raise Unfinished(f"more notifications about order {data.order_id} are left to erase")


@consumer.on("order.payment_awaited")
def ask_buyer(event: Event, data: PaymentAwaited) -> None:
    """Changes nothing once the time is over."""
    if data.until <= utc_now():
        return
    link = _page_of(data) or texts.ORDER_LINK
    write = texts.payment_to_confirm if data.state == "action_required" else texts.payment_to_repeat
    _tell(event, data, Kind.PAYMENT_AWAITED, write(data.named, data.until, link))


@consumer.on("order.payment_attempted")
def follow_attempt(event: Event, data: FromOrders) -> None:
    """Naturally idempotent."""
    ports().progress.note(data.order_id, event.sequence, utc_now())


@consumer.on("order.confirmed")
def notify_confirmed(event: Event, data: OrderConfirmed) -> None:
    ports().progress.note(data.order_id, event.sequence, utc_now())
    lines = [(line.quantity, line.name) for line in data.lines]
    _tell(event, data, Kind.ORDER_CONFIRMED, texts.order_confirmed(data.named, data.total, lines))


@consumer.on("payment.completed")
def send_receipt(event: Event, data: PaymentCompleted) -> None:
    _tell(event, data, Kind.RECEIPT, texts.receipt(data.named, data.payment_id, data.amount, _page_of(data)))


@consumer.on("payment.failed")
def alert_payment_failed(event: Event, data: PaymentFailed) -> None:
    _tell(
        event,
        data,
        Kind.PAYMENT_FAILED,
        texts.payment_failed(data.named, data.amount, data.reason, data.detail),
    )


@consumer.on("order.shipped")
def notify_shipped(event: Event, data: OrderShipped) -> None:
    _tell(
        event,
        data,
        Kind.ORDER_SHIPPED,
        texts.order_shipped(data.named, data.carrier, data.tracking_number, data.tracking_url),
    )


@consumer.on("order.delivered")
def notify_delivered(event: Event, data: FromOrders) -> None:
    ports().progress.note(data.order_id, event.sequence, utc_now())
    _tell(event, data, Kind.ORDER_DELIVERED, texts.order_delivered(data.named))


@consumer.on("order.cancelled")
def notify_cancelled(event: Event, data: OrderCancelled) -> None:
    ports().progress.note(data.order_id, event.sequence, utc_now())
    _tell(event, data, Kind.ORDER_CANCELLED, texts.order_cancelled(data.named, data.reason, data.detail))


@consumer.on("payment.refunded")
def notify_refunded(event: Event, data: PaymentRefunded) -> None:
    """A refund of 0 is no news for its buyer, who has the money from elsewhere."""
    if data.amount.amount:
        _tell(event, data, Kind.REFUND, texts.refund(data.named, data.amount, data.reason))


@consumer.on("order.return_approved")
def notify_return_approved(event: Event, data: ReturnApproved) -> None:
    units = sum(line.quantity for line in data.lines)
    _tell(event, data, Kind.RETURN_APPROVED, texts.return_approved(data.named, units, data.amount))


@consumer.on("order.return_refused")
def notify_return_refused(event: Event, data: ReturnRefused) -> None:
    _tell(event, data, Kind.RETURN_REFUSED, texts.return_refused(data.named, data.refusal))


@consumer.on("order.return_received")
def notify_return_received(event: Event, data: ReturnReceived) -> None:
    """Not of a parcel that was given up, which its customer never had. Its refund has a notice of its own."""
    units = sum(line.quantity for line in data.lines)
    if data.reason not in _GIVEN_UP:
        _tell(
            event,
            data,
            Kind.RETURN_RECEIVED,
            texts.return_received(data.named, units, data.amount),
        )


@consumer.on("cart.abandoned")
def remind_of_cart(event: Event, data: CartAbandoned) -> None:
    """The event's sequence is the cart's version. A shop that sends no reminders forgets a guest's address, which the
    API takes in any case.
    """
    days = ports().mail_settings.cart_reminder_days
    if not days:
        if is_guest(data.customer_id):
            ports().guest_carts.drop(data.customer_id)
        return
    cart = LeftCart(data.customer_id, event.sequence, event.time - timedelta(days=days))
    if is_guest(data.customer_id):
        with _open_account(reader_of_cart(data.customer_id)):
            remind_guest(cart, event.id, ports(), utc_now())
        return
    with _open_account(data.customer_id):
        remind(cart, Trigger(Kind.ABANDONED_CART, event.id, event.time), ports(), utc_now())


@consumer.on("Email Bounced")
def stop_bounced(_: Event, data: Bounced) -> None:
    """Naturally idempotent."""
    for stop in data.stops():
        ports().stops.stop(stop)


@consumer.on("Email Complaint Received")
def stop_complained(_: Event, data: Complained) -> None:
    """Naturally idempotent."""
    for stop in data.stops():
        ports().stops.stop(stop)


@consumer.on("wish.asked")
def mail_confirmation(_: Event, data: WishAsked) -> None:
    """Idempotent: the mail is claimed before it is sent."""
    guests.mail_confirmation(data.wish_id, ports(), utc_now())


@consumer.on("inventory.low_stock")
def follow_low_stock(event: Event, data: StockTold) -> None:
    _follow_stock(event, data)


@consumer.on("inventory.restocked")
def follow_restocked(event: Event, data: StockTold) -> None:
    _follow_stock(event, data)


def _follow_stock(event: Event, data: StockTold) -> None:
    """Idempotent by event and resumable."""
    level = Level(data.product_id, data.available, event.sequence, event.id, event.time)
    if not wishing.follow_stock(level, ports(), utc_now(), _has_time_for_mail):
        raise Unfinished(f"more customers wait for {data.product_id}")


@consumer.on("product.discontinued")
def end_wishes(event: Event, data: Discontinued) -> None:
    """Naturally idempotent and resumable."""
    if not ports().wishes.end_product(data.product_id, utc_now(), _has_time):
        raise Unfinished(f"more wishes for {data.product_id} are left to remove")


def _page_of(data: FromOrders | FromPayments) -> str | None:
    """The address of the order's page. A guest's is a secret that only orders knows, and mails."""
    return None if is_guest(data.customer_id) else ports().address_of(f"/orders/{data.order_id}")


def _tell(event: Event, data: FromOrders | FromPayments, kind: Kind, content: Content) -> None:
    trigger = Trigger(kind, event.id, event.time, data.order_id, event.sequence)
    reader = reader_of_guest(data.order_id) if is_guest(data.customer_id) else data.customer_id
    with _open_account(reader):
        usecases.notify_user(reader, trigger, content, data.language, ports(), utc_now())


@contextmanager
def _open_account(user_id: str) -> Iterator[None]:
    """Ends the work on an event of a closed account without a notification. The event succeeds."""
    try:
        yield
    except ReaderGone:
        log.info("the account is closed", extra={"user_id": user_id})


handler = consumer.handler
