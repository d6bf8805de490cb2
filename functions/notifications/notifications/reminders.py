"""Reminds customers of carts that they have left with goods in them.

The sweeper of carts publishes each version of a cart once, after the days of `CartReminderDays`. A reminder is sent
only if its customer wants such mails, has not ordered since, and the cart is still as it was. Carts and orders are
asked each time the mail is about to be sent, since their events may be late.

A guest is reminded of a cart once, at the address that the checkout's form had when its box was ticked. No mail is
sent if an order with that address was placed since. The mail has a link that works once: it puts the goods into a cart.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.email_address import read_email
from mercato.errors import NotFound, TransientError
from mercato.events import Reads
from mercato.guests import guest_of
from mercato.languages import Language
from mercato.peers.client import PeerRefused, PeerUnavailable, ServiceClient, read_answer
from mercato.store.dynamo import ConditionFailed
from mercato.telemetry.logs import log
from notifications import texts
from notifications.domain import Kind, NotificationNotFound, Trigger, compose, is_of_cart, reader_of_cart
from notifications.guest_carts import Consent, LeftLine, Told
from notifications.unsubscribing import UnknownLink
from notifications.usecases import forget_user, send
from notifications.wiring import Ports


@dataclass(frozen=True)
class LeftCart:
    """A version of a cart that has not changed since `since`, or longer."""

    customer_id: str
    version: int
    since: datetime


class _Line(Reads):
    product_id: str = ""
    name: str
    quantity: int = 1


class _Cart(Reads):
    version: int
    lines: list[_Line]


class _Order(Reads):
    placed_at: datetime


class _Orders(Reads):
    items: list[_Order]


class _Ordered(Reads):
    ordered: bool


class NothingLeft(NotFound):
    """What the mail led to was put back already, or is not kept any more."""

    def __init__(self) -> None:
        super().__init__("What this link led to was put back already, or is not kept any more.")


class CartNotFound(NotFound):
    """There is no such cart of a guest."""


class Shopping:
    """The clients of carts and orders. All questions are idempotent, so the clients may retry."""

    def __init__(self, carts: ServiceClient, orders: ServiceClient) -> None:
        self._carts = carts
        self._orders = orders

    def watch(self, cart_id: str) -> None:
        """Has the guest's cart published once it is idle. Idempotent. Raises CartNotFound."""
        answer = self._carts.send("PUT", f"/api/carts/guests/{quote(cart_id, safe='')}/watch", safe=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise CartNotFound("There is no such cart.")
        if answer.status != HTTPStatus.NO_CONTENT:
            raise PeerUnavailable(f"carts does not watch the cart: {answer.status}")

    def goods_of(self, cart: LeftCart) -> list[LeftLine]:
        """What is in that version of the cart; nothing if it has changed or its account is closed."""
        try:
            answer = self._carts.get("/api/carts/mine", user_id=cart.customer_id)
        except PeerRefused as refused:
            if refused.status != HTTPStatus.UNAUTHORIZED:  # such as 403, where a permission is missing
                raise
            return []
        found = read_answer(_Cart, answer, "the look at a cart")
        lines = [LeftLine(line.product_id, line.name, line.quantity) for line in found.lines]
        return lines if found.version == cart.version else []

    def has_ordered_since(self, customer_id: str, moment: datetime) -> bool:
        answer = self._orders.get("/api/orders?limit=1", user_id=customer_id)
        newest = read_answer(_Orders, answer, "the look at a customer's orders").items
        return any(order.placed_at >= moment for order in newest)

    def was_ordered_with(self, email: str, since: datetime) -> bool:
        asked = {"email": email, "since": rfc3339(since)}
        answer = self._orders.post("/api/orders/lookup", asked, safe=True)
        return read_answer(_Ordered, answer, "the look at the orders of an address").ordered


def remind(cart: LeftCart, trigger: Trigger, ports: Ports, now: datetime) -> None:
    """Idempotent by event: at most one mail for a version of a cart. Raises ReaderGone."""
    contact, preferences = ports.store.find_reader(cart.customer_id)
    if contact is None:
        raise TransientError(f"user.registered of {cart.customer_id} has not come yet")
    goods = ports.shopping.goods_of(cart) if preferences.wants_mail(Kind.ABANDONED_CART) else []
    if not goods or ports.shopping.has_ordered_since(cart.customer_id, cart.since):
        with suppress(NotificationNotFound):  # an earlier delivery may have written it, and could not send it
            ports.store.withhold(ports.store.get_notification(cart.customer_id, trigger.notification_id), now)
        log.info("no reminder of a cart: it is ordered, changed or not wanted", extra={"user_id": cart.customer_id})
        return
    content = texts.abandoned_cart([line.name for line in goods], ports.address_of("/cart"))
    text = ports.write(content, contact.name, ports.settings.language, now)
    notification = compose(contact, preferences, trigger, text)
    if not ports.store.add(notification, trigger.event_id, now):
        notification = ports.store.get_notification(cart.customer_id, notification.notification_id)
    send(notification, contact, ports, now)


_MOST_LINES = 50  # put back by the link of a mail


def ask_for_reminder(cart_id: str, email: str, language: Language | None, ports: Ports, now: datetime) -> None:
    """A guest wants to be reminded of the cart, once. Idempotent; another address takes the place of an earlier one.
    The answer is the same whatever is known of the address. Raises InvalidEmail and CartNotFound.
    """
    address = read_email(email)
    ports.shopping.watch(cart_id)
    if not ports.guest_carts.note(Consent(guest_of(cart_id), address, language, now), now):
        log.info("no reminder of a guest's cart: it had one, or the address gets no more of them")


def drop_reminder(cart_id: str, ports: Ports) -> None:
    """Idempotent."""
    ports.guest_carts.drop(guest_of(cart_id))


def remind_guest(cart: LeftCart, event_id: str, ports: Ports, now: datetime) -> None:
    """At most one mail for a cart, whatever becomes of its versions. Idempotent by event. Raises ReaderGone."""
    consent = ports.guest_carts.find(cart.customer_id, now)
    reader = reader_of_cart(cart.customer_id)
    contact, preferences = ports.store.find_reader(reader)
    if consent is None or contact is None:
        log.info("no reminder of a cart: its guest wants none", extra={"user_id": reader})
        return
    trigger = Trigger(Kind.ABANDONED_CART, reader, consent.asked_at)
    goods = ports.shopping.goods_of(cart)
    if not goods or _has_bought(cart, consent, ports) or ports.guest_carts.is_refused(consent.email, now):
        with suppress(NotificationNotFound):  # an earlier delivery may have written it, and could not send it
            ports.store.withhold(ports.store.get_notification(reader, trigger.notification_id), now)
        log.info("no reminder of a cart: it is ordered, changed or not wanted", extra={"user_id": reader})
        return
    content = texts.abandoned_cart([line.name for line in goods], texts.WAY_BACK)
    text = ports.write(content, contact.name, consent.language or ports.settings.language, now)
    # Its id follows from the consent, and it expires some time after it was written.
    notification = replace(compose(contact, preferences, trigger, text), created_at=now)
    told = ports.guest_carts.tell(consent, cart.version, goods[:_MOST_LINES], now)
    with suppress(ConditionFailed):
        ports.store.add(notification, event_id, now, also=told)
    found = ports.guest_carts.find_told(cart.customer_id, now)
    if found is None or found.version != cart.version:
        log.info("no reminder of a cart: it has had one", extra={"user_id": reader})
        return
    with suppress(NotificationNotFound):
        send(ports.store.get_notification(reader, notification.notification_id), contact, ports, now)


def _has_bought(cart: LeftCart, consent: Consent, ports: Ports) -> bool:
    since = min(cart.since, consent.asked_at)
    return ports.shopping.has_ordered_since(cart.customer_id, since) or ports.shopping.was_ordered_with(
        consent.email, since
    )


def find_left(token: str, ports: Ports, now: datetime) -> Told:
    """What the reminder with this link told. Raises UnknownLink, and NothingLeft once it is put back, ended or
    expired.
    """
    found = ports.guest_carts.find_told(_guest_of_link(token, ports), now)
    if found is None:
        raise NothingLeft
    return found


def end_link(token: str, ports: Ports) -> None:
    """What the reminder told is put back: its link ends, and the address is forgotten. Idempotent. Raises
    UnknownLink.
    """
    ports.guest_carts.put_back(_guest_of_link(token, ports))


def end_reminders(reader: str, ports: Ports, now: datetime) -> None:
    """Stops all reminders of guests' carts to the address of this reader. Idempotent."""
    ports.guest_carts.refuse(reader.partition(":")[2], now)
    forget_user(reader, ports, now, lambda: True)


def _guest_of_link(token: str, ports: Ports) -> str:
    reader = ports.ways_back.read(token)
    if not is_of_cart(reader):
        raise UnknownLink
    return reader.partition(":")[2]
