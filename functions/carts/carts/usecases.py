"""The use cases of carts, one function per verb. Each docstring says how the use case is idempotent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from carts import domain
from carts.domain import Cart, CartNotFound, Line, Offer
from carts.store import MOVED_AT_ONCE, AlreadyAdded, CartMoved, Carts, ProductMoved
from mercato.dataclass import dataclass
from mercato.errors import AccountClosed, TransientError
from mercato.guests import is_guest
from mercato.ids import derived_id
from mercato.money import Money
from mercato.store.retry import retry_on_conflict

_GUEST = "guest-"
_ATTEMPTS = 8
_TOO_OFTEN = "the cart changes too often"  # without its id, which grants access to a guest's: the log has this text


@dataclass(frozen=True)
class Addition:
    """So many more units. `request_id` identifies the request, which adds them once."""

    quantity: int
    request_id: str


class Catalogue(Protocol):
    def find(self, product_id: str) -> Offer: ...


def cart_of(customer_id: str) -> str:
    return derived_id("cart", customer_id)


def guest_cart_id(secret: str) -> str:
    """The id grants access to the cart, so `secret` must be unguessable."""
    return _GUEST + secret


def load_customers(customer_id: str, cart_id: str, carts: Carts, now: datetime) -> Cart:
    """`cart_id` is the customer's own, or "mine"."""
    if cart_id not in ("mine", cart_of(customer_id)):
        raise CartNotFound("There is no such cart.")
    return carts.load_customers(cart_of(customer_id), customer_id, now)


def load_guests(cart_id: str, carts: Carts, now: datetime) -> Cart:
    if not cart_id.startswith(_GUEST):
        raise CartNotFound("There is no such cart.")
    return carts.load_guests(cart_id, now)


def look_at_guests(guest_id: str, carts: Carts, now: datetime) -> Cart:
    """The cart of the guest with this id, without the id by which it is opened. Empty where there is none any more."""
    found = carts.find_of_guest(guest_id, now)
    return replace(found, cart_id=guest_id) if found else Cart(guest_id)


def watch_guests(cart_id: str, carts: Carts, now: datetime) -> None:
    """Idempotent. Raises CartNotFound."""
    if not cart_id.startswith(_GUEST):
        raise CartNotFound("There is no such cart.")
    carts.watch(cart_id, now)


def put_item(cart: Cart, product_id: str, quantity: int, carts: Carts, catalogue: Catalogue, now: datetime) -> Cart:
    """Sets the quantity. Idempotent. Retries if the cart or the price changes in between."""
    return _put(cart, product_id, quantity, carts, catalogue, now)


def add_item(cart: Cart, product_id: str, more: Addition, carts: Carts, catalogue: Catalogue, now: datetime) -> Cart:
    """Adds units to what the cart holds, at most up to MAX_QUANTITY. Idempotent by the request's id. A concurrent
    addition is counted too: the write depends on the cart's version.
    """
    try:
        return _put(cart, product_id, more, carts, catalogue, now)
    except AlreadyAdded:
        return carts.load_again(cart, now)


def _put(
    cart: Cart, product_id: str, wanted: int | Addition, carts: Carts, catalogue: Catalogue, now: datetime
) -> Cart:
    offer = catalogue.find(product_id)
    for _ in range(_ATTEMPTS):
        line = domain.put_line(cart, offer, _quantity(cart.line(product_id), wanted), now)
        try:
            after = carts.put_line(cart, line, now, wanted.request_id if isinstance(wanted, Addition) else "")
        except ProductMoved as moved:
            price = moved.latest.price
            offer = replace(offer, version=moved.latest.version, price=price or offer.price, is_sold=price is not None)
        except CartMoved:
            cart = carts.load_again(cart, now)
        else:
            return _with_stock(after, offer, carts)
    raise TransientError(f"{_TOO_OFTEN}, or so does the price of {product_id}")


def _quantity(held: Line | None, wanted: int | Addition) -> int:
    if isinstance(wanted, int):
        return wanted
    return min((held.quantity if held else 0) + wanted.quantity, domain.MAX_QUANTITY)


def _with_stock(cart: Cart, offer: Offer, carts: Carts) -> Cart:
    """The cart with the product's last known stock. Stores the catalogue's entry if it is newer."""
    known = cart.latest.get(offer.product_id)
    if known is None:
        known = carts.find_latest([offer.product_id]).get(offer.product_id, domain.UNKNOWN)
    if known.stock_sequence is None or known.stock_sequence < offer.stock_sequence:
        carts.note_stock(offer.product_id, offer.available, offer.stock_sequence)
        known = replace(known, available=offer.available)
    return replace(cart, latest={**cart.latest, offer.product_id: known})


def remove_item(cart: Cart, product_id: str, carts: Carts, now: datetime) -> Cart:
    """Idempotent: removing a missing line changes nothing."""

    def write(current: Cart) -> Cart:
        return current if current.line(product_id) is None else carts.remove_line(current, product_id, now)

    return retry_on_conflict(
        lambda: carts.load_again(cart, now),
        write,
        conflict=CartMoved,
        attempts=_ATTEMPTS,
        exhausted=_TOO_OFTEN,
        seen=cart,
    )


def merge_carts(guest_id: str, cart: Cart, carts: Carts, now: datetime) -> Cart:
    """Moves the guest's lines into the customer's cart.

    One transaction removes a line from the guest's cart and adds it to the customer's, so a retry or a concurrent merge
    counts no line twice.
    """
    if not guest_id.startswith(_GUEST):
        raise CartNotFound("There is no such cart to merge.")
    carts.claim(guest_id, cart.cart_id, now)
    conflicts = 0
    while lines := carts.lines_of(guest_id, now):
        cart = carts.load_customers(cart.cart_id, cart.customer_id, now)
        mine = [(guests, cart.line(guests.product_id)) for guests in lines[:MOVED_AT_ONCE]]
        moves = [(guests, own, domain.merge_line(own, guests, now)) for guests, own in mine]
        if not carts.move_lines(guest_id, cart, moves, now):
            conflicts += 1
            if conflicts == _ATTEMPTS:
                raise TransientError(f"{_TOO_OFTEN} to be merged")
    return carts.load_customers(cart.cart_id, cart.customer_id, now)


def follow_price(product_id: str, price: Money, version: int, carts: Carts) -> None:
    """Changes the price in all carts. Idempotent: a duplicate finds this version or a later one."""
    carts.note_price(product_id, price, version)


def follow_discontinued(product_id: str, version: int, carts: Carts) -> None:
    """Removes the product from all carts. Idempotent: a duplicate finds this version or a later one."""
    carts.note_gone(product_id, version)


def follow_stock(product_id: str, available: int | None, sequence: int, carts: Carts) -> None:
    """`available` is None above the low-stock threshold. Idempotent: a duplicate finds this sequence or a later one."""
    carts.note_stock(product_id, available, sequence)


def follow_order(
    customer_id: str,
    product_ids: Iterable[str],
    ordered_at: datetime,
    cart_version: int | None,
    carts: Carts,
    now: datetime,
) -> None:
    """Removes the lines that the order has taken. `cart_version` is the version that the order names, if any.
    Idempotent: a duplicate leaves lines that were put in later. The cart of a closed account has no lines.
    """
    try:
        if is_guest(customer_id):
            cart = carts.find_of_guest(customer_id, now)
        else:
            cart = carts.load_customers(cart_of(customer_id), customer_id, now)
    except AccountClosed:
        return
    if cart is None:
        return
    for line in domain.ordered_lines(cart, product_ids, ordered_at, cart_version):
        carts.drop_line_unless_changed(cart.cart_id, line)


def forget_customer(customer_id: str, carts: Carts, now: datetime) -> None:
    carts.close(cart_of(customer_id), now)
