"""Carts and the rules for what may be put into them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta

from mercato.dataclass import dataclass
from mercato.errors import Invalid, NotFound
from mercato.money import MAX_AMOUNT, AmountTooLarge, Money

MAX_QUANTITY = 10_000
MAX_LINES = 500  # as many as an order takes; a merge may exceed it, and the order refuses the cart then
KEPT_FOR = timedelta(days=90)


class CartNotFound(NotFound):
    """The cart does not exist, belongs to another caller, or was merged into another cart."""


class UnknownProduct(Invalid):
    """The catalogue does not contain this product."""


class ProductDiscontinued(Invalid):
    """The product is discontinued."""


class CartFull(Invalid):
    """The cart has the most lines that an order can have."""


class MixedCurrencies(Invalid):
    """All prices in a cart must have the same currency."""


@dataclass(frozen=True)
class Offer:
    """A product in the catalogue. `version` is the product's, `stock_sequence` that of the stock's last event.
    `available` is None above the low-stock threshold and if the count is unknown.
    """

    product_id: str
    name: str
    price: Money
    version: int
    is_sold: bool
    available: int | None = None
    stock_sequence: int = 0


@dataclass(frozen=True)
class Latest:
    """The last known state of a product, shared by all carts that hold it.

    `price` belongs to the product's `version`. It is None if the product is discontinued, and if no event has set it
    (version 0). Lines with a version before `gone_at` are gone. `available` is as in Offer. `stock_sequence` is None if
    no stock event has arrived.
    """

    version: int = 0
    price: Money | None = None
    gone_at: int = 0
    available: int | None = None
    stock_sequence: int | None = None


UNKNOWN = Latest()


@dataclass(frozen=True)
class Line:
    """`price_version` is the product's version at this price, `cart_version` the cart's version when the line was put
    in; None for lines stored before carts had versions. `was_price` is the price when the line was put in, if it has
    changed since. `expires_at` is in epoch seconds.
    """

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    price_version: int
    changed_at: datetime
    cart_version: int | None = None
    expires_at: int = 0
    was_price: Money | None = None

    @property
    def amount(self) -> int:
        """The line's price in minor units. It may exceed the largest Money."""
        return self.unit_price.amount * self.quantity

    @property
    def total(self) -> Money:
        """Capped at the largest amount; a notice names the sum."""
        return _at_most(self.amount, self.unit_price.currency)


@dataclass(frozen=True)
class Notice:
    """A reason why the cart cannot be ordered as it is. `type` is stable; `product_id` is None for the whole cart."""

    type: str
    detail: str
    product_id: str | None = None


@dataclass(frozen=True)
class Cart:
    """`customer_id` is empty for a guest. Lines are sorted by product id, at today's prices. `version` increases with
    each change by a customer or guest and is never reused; 0 for a new cart. `latest` holds the last known state of
    products, by id. `is_watched`: the guest wants to be reminded of the cart.
    """

    cart_id: str
    customer_id: str = ""
    lines: tuple[Line, ...] = ()
    version: int = 0
    latest: Mapping[str, Latest] = field(default_factory=dict)
    is_watched: bool = False

    @property
    def currency(self) -> str | None:
        return self.lines[0].unit_price.currency if self.lines else None

    @property
    def amount(self) -> int:
        """The sum of the lines in the cart's currency. It may exceed the largest Money."""
        return sum(line.amount for line in self.lines if line.unit_price.currency == self.currency)

    def total(self, currency: str) -> Money:
        """Capped at the largest amount; a notice names the sum. `currency` is the currency of an empty cart."""
        return _at_most(self.amount, self.currency or currency)

    def line(self, product_id: str) -> Line | None:
        return next((line for line in self.lines if line.product_id == product_id), None)

    def with_line(self, line: Line) -> Cart:
        lines = (*self.without_line(line.product_id).lines, line)
        return replace(self, lines=tuple(sorted(lines, key=lambda line: line.product_id)))

    def without_line(self, product_id: str) -> Cart:
        return replace(self, lines=tuple(line for line in self.lines if line.product_id != product_id))

    def known(self, product_id: str) -> Latest:
        return self.latest.get(product_id, UNKNOWN)


def at_latest(line: Line, latest: Latest) -> Line | None:
    """The line at today's price; None if its product is discontinued."""
    if line.price_version < latest.gone_at:
        return None
    if latest.price is None or latest.version <= line.price_version:
        return line
    was = line.unit_price if line.unit_price != latest.price else line.was_price
    return replace(line, unit_price=latest.price, price_version=latest.version, was_price=was)


def notices(cart: Cart) -> Iterator[Notice]:
    for line in cart.lines:
        if line.amount > MAX_AMOUNT:
            detail = f"{line.quantity} of {line.name} cost {_in_words(line.amount, line.unit_price.currency)}"
            yield _too_large(detail, line.unit_price.currency, line.product_id)
        available = cart.known(line.product_id).available
        if available is not None and line.quantity > available:
            detail = f"Of {line.name} there are {available}; the cart asks for {line.quantity}."
            yield Notice("short-of-stock", detail, line.product_id)
        if line.unit_price.currency != cart.currency:
            detail = (
                f"{line.name} is sold in {line.unit_price.currency}, unlike the rest of the cart: the total omits it."
            )
            yield Notice("mixed-currencies", detail, line.product_id)
    if cart.currency and cart.amount > MAX_AMOUNT:
        yield _too_large(f"The cart costs {_in_words(cart.amount, cart.currency)}", cart.currency)


def _too_large(what: str, currency: str, product_id: str | None = None) -> Notice:
    detail = f"{what}, which is more than the {_in_words(MAX_AMOUNT, currency)} that an order may cost."
    return Notice("amount-too-large", detail, product_id)


def _in_words(amount: int, currency: str) -> str:
    """The amount as text, without an upper limit."""
    return str(Money.model_construct(amount=amount, currency=currency))


def _at_most(amount: int, currency: str) -> Money:
    return Money(amount=min(amount, MAX_AMOUNT), currency=currency)


def put_line(cart: Cart, offer: Offer, quantity: int, now: datetime) -> Line:
    """The line with this quantity at today's price. Raises ProductDiscontinued, CartFull, MixedCurrencies or
    AmountTooLarge.
    """
    if not offer.is_sold:
        raise ProductDiscontinued(f"{offer.name} is not sold any more.", product_id=offer.product_id)
    others = [line for line in cart.lines if line.product_id != offer.product_id]
    if len(others) >= MAX_LINES:
        raise CartFull(f"A cart takes {MAX_LINES} lines; order these first.")
    if any(line.unit_price.currency != offer.price.currency for line in others):
        raise MixedCurrencies(f"{offer.name} is sold in {offer.price.currency}, unlike the rest of the cart.")
    line = Line(offer.product_id, offer.name, quantity, offer.price, offer.version, now)
    amount = sum(other.amount for other in (*others, line))
    if amount > MAX_AMOUNT and amount > cart.amount:  # a cart that a new price made too large may be made smaller
        raise AmountTooLarge(
            f"The cart would cost {_in_words(amount, offer.price.currency)}, which is more than an order may.",
            limit=MAX_AMOUNT,
        )
    return line


def merge_line(mine: Line | None, guests: Line, now: datetime) -> Line:
    """The line with the sum of both quantities and the newer price."""
    if mine is None:
        return replace(guests, changed_at=now)
    newer = guests if guests.price_version > mine.price_version else mine
    return replace(newer, quantity=min(mine.quantity + guests.quantity, MAX_QUANTITY), changed_at=now)


def ordered_lines(
    cart: Cart, product_ids: Iterable[str], ordered_at: datetime, cart_version: int | None = None
) -> list[Line]:
    """The lines that an order has taken: those of the cart version that it names, else those from before `ordered_at`.
    Lines put in later stay, even if the order's event arrives late.
    """

    def is_older(line: Line) -> bool:
        if cart_version is None or line.cart_version is None:
            return line.changed_at <= ordered_at
        return line.cart_version <= cart_version

    ordered = set(product_ids)
    return [line for line in cart.lines if line.product_id in ordered and is_older(line)]
