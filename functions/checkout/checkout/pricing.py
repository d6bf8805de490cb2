"""What a session costs: its charges, from what the other services say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from checkout.domain import (
    Found,
    Line,
    Listing,
    MixedCurrencies,
    NoRateForDestination,
    NoTaxRate,
    NothingToPay,
    Obstacle,
    Offer,
    ProductNotForSale,
    ServiceNotOffered,
    Session,
    ShortOfStock,
)
from checkout.taxes import SHIPPING_CLASS, Rate, Rates, Rounding, taxed
from mercato.charges import Charge, Kind, total_of
from mercato.dataclass import dataclass
from mercato.money import MAX_AMOUNT, AmountTooLarge, Money


@dataclass(frozen=True)
class Terms:
    """How this shop states prices. `inclusive`: prices and shipping rates contain the tax."""

    inclusive: bool = True
    rounding: Rounding = Rounding.LINE


@dataclass(frozen=True)
class PricedLine:
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True)
class Coupon:
    """A code that takes something off, and the version of its coupon."""

    code: str
    version: int


@dataclass(frozen=True)
class Priced:
    """`charges` are all that is known so far. With an obstacle, or without an address and a service, it is no quote.

    `coupons` are those that take something off, and `customer` is whose uses of them an order counts.
    """

    lines: tuple[PricedLine, ...]
    charges: tuple[Charge, ...]
    offer: Offer | None
    obstacles: tuple[Obstacle, ...]
    coupons: tuple[Coupon, ...] = ()
    customer: str = ""

    @property
    def is_whole(self) -> bool:
        return self.offer is not None and not self.obstacles


@dataclass(frozen=True)
class _Item:
    """A charge before its tax. `price` is in minor units, as the catalogue or the carrier states it."""

    kind: Kind
    product_id: str | None
    description: str
    quantity: int
    price: int
    tax_class: str


def price(session: Session, found: Found, rates: Rates, terms: Terms, today: date) -> Priced:
    """The charges, and every obstacle. Lines that are not for sale are left out.

    Without an address there is neither delivery nor tax yet.
    """
    obstacles: list[Obstacle] = []

    def check(rule: Callable[..., None], *about: Any) -> None:
        try:
            rule(*about)
        except Obstacle as obstacle:
            obstacles.append(obstacle)

    sold: list[tuple[Line, Listing]] = []
    for line in session.lines:
        listing = found.listings.get(line.product_id)
        check(_require_for_sale, line, listing)
        if listing and listing.is_sold:
            sold.append((line, listing))
    offer = next((one for one in found.offers if one.service == session.service), None)
    check(_require_delivery, session, found)
    items = list(_items(sold, found, offer))
    by_class, unknown = _rates_of({item.tax_class for item in items}, session, rates, today)
    obstacles += unknown
    currencies = {listing.price.currency for _, listing in sold} | {one.price.currency for one in found.offers}
    check(_require_one_currency, currencies)
    lines = tuple(
        PricedLine(listing.product_id, listing.sku, listing.name, line.quantity, listing.price)
        for line, listing in sold
    )
    rated = [(item, by_class[item.tax_class]) for item in items if item.tax_class in by_class]
    charges = _charges(rated, currencies.pop(), terms) if len(currencies) == 1 else ()
    evaluated = found.evaluated
    obstacles += evaluated.obstacles
    if charges and evaluated.discounts:
        check(_require_something_to_pay, charges)
    used = {one.code for one in evaluated.discounts if one.product_id or (offer and offer.price.amount)}
    coupons = tuple(Coupon(code, evaluated.versions[code]) for code in sorted(used))
    return Priced(lines, charges, offer, tuple(obstacles), coupons, evaluated.customer)


def _require_for_sale(line: Line, listing: Listing | None) -> None:
    if listing is None or not listing.is_sold:
        name = listing.name if listing else "A product"
        raise ProductNotForSale(f"{name} is not for sale any more.", line.product_id)
    if listing.available is not None and listing.available < line.quantity:
        raise ShortOfStock(listing.name, line.quantity, listing.available, line.product_id)


def _require_delivery(session: Session, found: Found) -> None:
    if session.shipping_address is None:
        return
    if found.undeliverable:
        raise found.undeliverable
    if not found.offers:
        raise NoRateForDestination(f"We do not deliver this to {session.shipping_address.country}.")
    if session.service and all(offer.service != session.service for offer in found.offers):
        raise ServiceNotOffered(f"{session.service} delivery is not offered for this; please choose another.")


def _require_one_currency(currencies: set[str]) -> None:
    if len(currencies) > 1:
        raise MixedCurrencies(f"One order is paid in one currency, not in {', '.join(sorted(currencies))}.")


def _require_something_to_pay(charges: tuple[Charge, ...]) -> None:
    if total_of(charges).amount < 1:
        raise NothingToPay("The codes take off the whole total, and we can only take orders that cost something.")


def _items(sold: list[tuple[Line, Listing]], found: Found, offer: Offer | None) -> Iterator[_Item]:
    for line, listing in sold:
        whole = listing.price.amount * line.quantity
        yield _Item(Kind.GOODS, line.product_id, listing.name, line.quantity, whole, listing.tax_class)
        for one in found.evaluated.discounts:
            if one.product_id == line.product_id:
                about = (line.product_id, one.description, line.quantity)
                yield _Item(Kind.DISCOUNT, *about, -one.amount, listing.tax_class)
    if offer:
        yield _Item(Kind.SHIPPING, None, offer.name, 1, offer.price.amount, SHIPPING_CLASS)
        for one in found.evaluated.discounts:
            if one.product_id is None and offer.price.amount:
                yield _Item(Kind.DISCOUNT, None, one.description, 1, -offer.price.amount, SHIPPING_CLASS)


def _rates_of(classes: set[str], session: Session, rates: Rates, today: date) -> tuple[dict[str, Rate], list[Obstacle]]:
    address = session.shipping_address
    if address is None:
        return {one: Rate("0.0000", one, "") for one in classes}, []
    by_class: dict[str, Rate] = {}
    obstacles: list[Obstacle] = []
    for one in sorted(classes):
        try:
            by_class[one] = rates.find(address.country, address.region, one, today)
        except NoTaxRate as obstacle:
            obstacles.append(obstacle)
    return by_class, obstacles


def _charges(items: list[tuple[_Item, Rate]], currency: str, terms: Terms) -> tuple[Charge, ...]:
    prices = [(item.price, rate) for item, rate in items]
    if sum(abs(amount) for amount, _ in prices) > MAX_AMOUNT // 2:  # with room for a tax of 100 %
        raise AmountTooLarge("The total is more than we can take; please order in parts.", limit=MAX_AMOUNT // 2)
    discounted = [item.product_id if item.kind is Kind.DISCOUNT else None for item, _ in items]
    by_item = taxed(prices, inclusive=terms.inclusive, rounding=terms.rounding, together=discounted)
    return tuple(
        Charge(
            kind=item.kind,
            product_id=item.product_id,
            description=item.description,
            quantity=item.quantity,
            amount=Money(amount=one.amount, currency=currency),
            tax=Money(amount=one.tax, currency=currency),
            rate=rate.rate,
            tax_class=rate.tax_class,
            jurisdiction=rate.jurisdiction,
        )
        for (item, rate), one in zip(items, by_item, strict=True)
    )
