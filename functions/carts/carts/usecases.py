"""What carts does, one function per verb. How each may run twice is said in its docstring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from carts import domain
from carts.domain import ABANDONED_AFTER, Cart, CartNotFound, Latest, Offer
from carts.idle import IdleCart
from carts.store import MOVED_AT_ONCE, Carts
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.money import Money

_GUEST = "guest-"
_ATTEMPTS = 5


class Catalogue(Protocol):
    def find(self, product_id: str) -> Offer: ...


class Idle(Protocol):
    def untouched_since(self, moment: datetime) -> Iterator[IdleCart]: ...

    def announce(self, cart: IdleCart, now: datetime) -> bool: ...


def cart_of(customer_id: str) -> str:
    return derived_id("cart", customer_id)


def guest_cart_id(secret: str) -> str:
    """Who knows the id has the cart: `secret` must be unguessable."""
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


def put_item(cart: Cart, product_id: str, quantity: int, carts: Carts, catalogue: Catalogue, now: datetime) -> Cart:
    """Sets the quantity, so twice is once. Where the price moves meanwhile, the newer one is taken."""
    offer = catalogue.find(product_id)
    for _ in range(_ATTEMPTS):
        line = domain.put_line(cart, offer, quantity, now)
        latest = carts.put_line(cart, line, now)
        if latest is None:
            return cart.with_line(line)
        is_sold = latest.price is not None
        offer = replace(offer, version=latest.version, price=latest.price or offer.price, is_sold=is_sold)
    raise TransientError(f"the price of {product_id} does not come to rest")


def remove_item(cart: Cart, product_id: str, carts: Carts, now: datetime) -> Cart:
    """What is not there stays away."""
    if cart.line(product_id) is not None:
        carts.remove_line(cart, product_id, now)
    return cart.without_line(product_id)


def merge_carts(guest_id: str, cart: Cart, carts: Carts, now: datetime) -> Cart:
    """Moves the guest's lines into the customer's cart.

    A line leaves the one in the transaction in which it enters the other: so twice, at once, or interrupted and done
    again, it is counted once.
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
                raise TransientError(f"the carts {guest_id} and {cart.cart_id} change too fast to be merged")
    return carts.load_customers(cart.cart_id, cart.customer_id, now)


def follow_price(product_id: str, price: Money, version: int, carts: Carts, now: datetime) -> None:
    """A second delivery finds the lines at this version, or a later one, and leaves them."""
    carts.note_latest(product_id, Latest(version, price), now)
    for cart_id in carts.carts_with(product_id, older_than=version):
        carts.set_price(cart_id, product_id, price, version)


def follow_discontinued(product_id: str, version: int, carts: Carts, now: datetime) -> None:
    """Removing is idempotent."""
    carts.note_latest(product_id, Latest(version, None), now)
    for cart_id in carts.carts_with(product_id, older_than=version):
        carts.drop_line(cart_id, product_id)


def follow_order(
    customer_id: str, product_ids: Iterable[str], ordered_at: datetime, carts: Carts, now: datetime
) -> None:
    """Only lines from before the order go: a second delivery leaves what was put in since."""
    cart = carts.load_customers(cart_of(customer_id), customer_id, now)
    for line in domain.ordered_lines(cart, product_ids, ordered_at):
        carts.drop_line_unless_changed(cart.cart_id, line)


def forget_customer(customer_id: str, carts: Carts) -> None:
    carts.erase(cart_of(customer_id))


def announce_abandoned(idle: Idle, now: datetime) -> int:
    """How many were announced: each on condition that it still waits, so that two sweepers at once announce it once."""
    return sum(idle.announce(cart, now) for cart in idle.untouched_since(now - ABANDONED_AFTER))
