"""What a cart is, and what may be put into it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mercato.errors import Invalid, NotFound
from mercato.money import Money

MAX_QUANTITY = 10_000
# As many as an order takes. Lines added at the same time, or merged, may pass it; the order says so then.
MAX_LINES = 500
# A cart that nobody has touched for so long is announced as abandoned, and later removed.
ABANDONED_AFTER = timedelta(hours=24)
KEPT_FOR = timedelta(days=90)


class CartNotFound(NotFound):
    """There is no such cart, or it is somebody else's, or it has been merged."""


class UnknownProduct(Invalid):
    """The catalogue does not have this product."""


class ProductDiscontinued(Invalid):
    """The product is not sold any more."""


class CartFull(Invalid):
    """The cart has as many lines as an order takes."""


class MixedCurrencies(Invalid):
    """A cart holds prices of one currency."""


@dataclass(frozen=True)
class Offer:
    """What the catalogue says of a product; `version` is the product's, and tells a late price from a new one."""

    product_id: str
    name: str
    price: Money
    version: int
    is_sold: bool


@dataclass(frozen=True)
class Latest:
    """What the last event said of a product. `price` is None where it is not sold any more."""

    version: int
    price: Money | None


@dataclass(frozen=True)
class Line:
    """`price_version` is the version of the product that has this price; `expires_at` is in epoch seconds."""

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    price_version: int
    changed_at: datetime
    expires_at: int = 0

    @property
    def total(self) -> Money:
        return self.unit_price * self.quantity


@dataclass(frozen=True)
class Cart:
    """`customer_id` is empty for a guest. Lines are in the order of their product ids."""

    cart_id: str
    customer_id: str = ""
    lines: tuple[Line, ...] = ()

    def total(self, currency: str) -> Money:
        """`currency` is that of an empty cart."""
        found = self.lines[0].unit_price.currency if self.lines else currency
        return Money.sum((line.total for line in self.lines), found)

    def line(self, product_id: str) -> Line | None:
        return next((line for line in self.lines if line.product_id == product_id), None)

    def with_line(self, line: Line) -> Cart:
        lines = (*self.without_line(line.product_id).lines, line)
        return replace(self, lines=tuple(sorted(lines, key=lambda line: line.product_id)))

    def without_line(self, product_id: str) -> Cart:
        return replace(self, lines=tuple(line for line in self.lines if line.product_id != product_id))


def put_line(cart: Cart, offer: Offer, quantity: int, now: datetime) -> Line:
    """The line that says so many of this, at today's price. Raises what speaks against it."""
    if not offer.is_sold:
        raise ProductDiscontinued(f"{offer.name} is not sold any more.", product_id=offer.product_id)
    others = [line for line in cart.lines if line.product_id != offer.product_id]
    if len(others) >= MAX_LINES:
        raise CartFull(f"A cart takes {MAX_LINES} lines; order these first.")
    if any(line.unit_price.currency != offer.price.currency for line in others):
        raise MixedCurrencies(f"{offer.name} is sold in {offer.price.currency}, unlike the rest of the cart.")
    return Line(offer.product_id, offer.name, quantity, offer.price, offer.version, now)


def merge_line(mine: Line | None, guests: Line, now: datetime) -> Line:
    """The quantities are added, and the newer price counts."""
    if mine is None:
        return replace(guests, changed_at=now)
    newer = guests if guests.price_version > mine.price_version else mine
    return replace(newer, quantity=min(mine.quantity + guests.quantity, MAX_QUANTITY), changed_at=now)


def ordered_lines(cart: Cart, product_ids: Iterable[str], ordered_at: datetime) -> list[Line]:
    """Lines that an order has taken. What was put in after it stays, however late we hear of the order."""
    ordered = set(product_ids)
    return [line for line in cart.lines if line.product_id in ordered and line.changed_at <= ordered_at]
