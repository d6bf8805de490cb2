"""Reminds customers of carts that they have left with goods in them.

The sweeper of carts publishes each version of a cart once, after the days of `CartReminderDays`. A reminder is sent
only if its customer wants such mails, has not ordered since, and the cart is still as it was. Carts and orders are
asked each time the mail is about to be sent, since their events may be late.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from mercato.errors import TransientError
from mercato.events import Reads
from mercato.peers.client import PeerRefused, ServiceClient, read_answer
from mercato.telemetry.logs import log
from notifications import texts
from notifications.domain import Kind, NotificationNotFound, Trigger, compose
from notifications.usecases import send
from notifications.wiring import Ports


@dataclass(frozen=True)
class LeftCart:
    """A version of a cart that has not changed since `since`, or longer."""

    customer_id: str
    version: int
    since: datetime


class _Line(Reads):
    name: str


class _Cart(Reads):
    version: int
    lines: list[_Line]


class _Order(Reads):
    placed_at: datetime


class _Orders(Reads):
    items: list[_Order]


class Shopping:
    """The clients of carts and orders. All questions are idempotent, so the clients may retry."""

    def __init__(self, carts: ServiceClient, orders: ServiceClient) -> None:
        self._carts = carts
        self._orders = orders

    def goods_of(self, cart: LeftCart) -> list[str]:
        """The names of what is in that version of the cart; none if it has changed or its account is closed."""
        try:
            answer = self._carts.get("/api/carts/mine", user_id=cart.customer_id)
        except PeerRefused as refused:
            if refused.status != HTTPStatus.UNAUTHORIZED:  # such as 403, where a permission is missing
                raise
            return []
        found = read_answer(_Cart, answer, "the look at a cart")
        return [line.name for line in found.lines] if found.version == cart.version else []

    def has_ordered_since(self, customer_id: str, moment: datetime) -> bool:
        answer = self._orders.get("/api/orders?limit=1", user_id=customer_id)
        newest = read_answer(_Orders, answer, "the look at a customer's orders").items
        return any(order.placed_at >= moment for order in newest)


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
    content = texts.abandoned_cart(goods, ports.address_of("/cart"))
    text = ports.write(content, contact.name, ports.settings.language, now)
    notification = compose(contact, preferences, trigger, text)
    if not ports.store.add(notification, trigger.event_id, now):
        notification = ports.store.get_notification(cart.customer_id, notification.notification_id)
    send(notification, contact, ports, now)
