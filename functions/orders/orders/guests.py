"""The use cases of guests: orders without an account, their links, and how an account claims them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from mercato.aws.mail import Mailer, MailNotSent, MailRefused, MailUncertain
from mercato.aws.sending import LONGEST
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.store.event_store import ConcurrencyError
from mercato.store.retry import retry_on_conflict
from mercato.telemetry.logs import log
from orders import domain, links, texts, usecases
from orders.domain import OrderNotFound
from orders.facts import OrderClaimed
from orders.links import LinkNotFound
from orders.order import Contact, Order
from orders.usecases import Done, Orders, QuotedWish, Quotes

_NO_ORDER = "This link opens no order. If you have an account by now, your orders are there."
_LINK = 1.0  # seconds, enough to store the link and to read the order for its mail


class GuestOrders(Orders, Protocol):
    def find_linked(self, digest: str) -> str | None: ...

    def add_link(self, order_id: str, digest: str) -> None: ...

    def give_link(self, order_id: str, digest: str) -> None: ...

    def find_contact(self, order_id: str) -> Contact | None: ...

    def was_mailed(self, order_id: str) -> bool: ...

    def mark_mailed(self, order_id: str, now: datetime) -> None: ...

    def hand_over(self, before: Order, claimed: OrderClaimed, now: datetime) -> Order | None: ...

    def note_claimant(self, address: str, customer_id: str) -> None: ...

    def find_claimant(self, address: str) -> str | None: ...

    def was_placed_since(self, order_ids: Iterable[str], moment: datetime) -> bool: ...

    def ordered_since(self, customer_id: str, moment: datetime) -> bool: ...

    def ids_of_address(self, address: str) -> Iterable[str]: ...


@dataclass(frozen=True)
class Placed:
    """A guest's order, and the token of the link that opens it."""

    done: Done
    token: str


def place_for_guest(wish: QuotedWish, *, quotes: Quotes, orders: GuestOrders, now: datetime) -> Placed:
    """Places the order of a guest's quote. Idempotent as usecases.place_quoted."""
    done = usecases.place_quoted(wish, quotes=quotes, orders=orders, now=now)
    return Placed(done, links.token_of(wish.cart_id, done.order.id))


def find_by_link(token: str, orders: GuestOrders) -> Order:
    """The order that the link opens. Raises LinkNotFound."""
    order_id = orders.find_linked(links.digest_of(token))
    order = orders.load(order_id) if order_id else None
    if order is None or not order.is_guests:
        raise LinkNotFound(_NO_ORDER)
    return order


@contextmanager
def by_link() -> Iterator[None]:
    """For a command by a link: an account that claims the order in between ends the link. Raises LinkNotFound."""
    try:
        yield
    except OrderNotFound:
        raise LinkNotFound(_NO_ORDER) from None


def give_link(order_id: str, digest: str, *, orders: GuestOrders, now: datetime) -> None:
    """Lets the token with this digest open the order, which waits for its buyer. Idempotent.

    Raises LinkNotFound for an order that is no guest's, or is an account's by now, InvalidDigest, NothingAwaited and
    TooManyLinks.
    """
    link = links.read_digest(digest)
    order = orders.load(order_id)
    if order is None or not order.is_guests:
        raise LinkNotFound("There is no such order of a guest.")
    domain.require_waiting(order, now)
    orders.give_link(order_id, link)


def claim_orders(
    customer_id: str, email: str, *, orders: GuestOrders, now: datetime, has_time: Callable[[], bool]
) -> bool:
    """The account's owner has proved access to the mailbox: the orders of guests with this address are the account's.

    Each is claimed once, by a fact in its own stream, also while it is cancelled or shipped. The claimant is noted
    first, so that an order that is placed meanwhile sees it once it is confirmed (claim_late). Idempotent: what is
    claimed is listed no more. Returns False if time runs out before the last order.
    """
    if orders.has_left(customer_id):
        return True
    address = links.address_digest(email)
    orders.note_claimant(address, customer_id)
    for order_id in orders.ids_of_address(address):
        if not has_time():
            return False
        _claim(order_id, customer_id, orders, now)
    return True


def has_ordered_since(email: str, moment: datetime, *, orders: GuestOrders) -> bool:
    """Whether an order was placed since then with this address: by a guest, or by the account that has it."""
    address = links.address_digest(email)
    claimant = orders.find_claimant(address)
    if claimant and orders.ordered_since(claimant, moment):
        return True
    return orders.was_placed_since(orders.ids_of_address(address), moment)


def claim_late(order_id: str, *, orders: GuestOrders, now: datetime) -> None:
    """Claims a confirmed order whose address an account has already."""
    contact = orders.find_contact(order_id)
    claimant = orders.find_claimant(links.address_digest(contact.email)) if contact else None
    if claimant:
        _claim(order_id, claimant, orders, now)


def _claim(order_id: str, customer_id: str, orders: GuestOrders, now: datetime) -> None:
    """An account that is closed in between claims nothing: the order stays the guest's."""

    def write(order: Order) -> None:
        claimed = domain.claim(order, customer_id)
        if claimed and orders.hand_over(order, claimed, now) is None:
            log.info("a closed account claims no order", extra={"order_id": order_id})

    retry_on_conflict(
        lambda: usecases.find_order(order_id, orders=orders, customer_id=None),
        write,
        conflict=ConcurrencyError,
        attempts=usecases.ATTEMPTS,
    )


def mail_link(order_id: str, shop_url: str, *, orders: GuestOrders, mailer: Mailer, now: datetime) -> None:
    """Mails the guest a link to the order, at least once. After a crash between sending and marking, the guest gets
    two mails with a good link each.
    """
    contact = orders.find_contact(order_id)
    if contact is None or orders.was_mailed(order_id):
        return
    if deadline.left() < LONGEST + _LINK:
        # The function might end between the mail and its mark, and the next delivery would mail again.
        raise TransientError("too little is left of the invocation's time for the mail with the order's link")
    token = links.new_token()
    orders.add_link(order_id, links.digest_of(token))
    order = usecases.find_order(order_id, orders=orders, customer_id=None)
    mail = texts.guest_link(contact.name, order.number or order_id, shop_url, token, order.language)
    try:
        mailer.send(contact.email, mail.subject, mail.body)
    except MailRefused:
        # SES names the address in its reason, which must not reach the log.
        log.warning("SES refuses this mail permanently", extra={"order_id": order_id})
    except (MailNotSent, MailUncertain) as error:
        raise TransientError(f"the mail may not have been sent: {type(error).__name__}") from None
    orders.mark_mailed(order_id, now)
