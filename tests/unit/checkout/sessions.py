"""A session, a shop and its prices, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from checkout.domain import Address, CodeRejected, Discount, Evaluated, Found, Line, Listing, Offer, Session
from checkout.pricing import Priced, Terms, price
from checkout.taxes import FIRST, TableOfRates, TaxTable
from mercato.money import Money

TODAY = date(2026, 11, 29)
LONDON = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y 4JH", country="GB")


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


def session(*lines: tuple[str, int], service: str | None = "standard", address: Address | None = LONDON) -> Session:
    return Session(
        id="chk-1",
        customer_id="ada",
        lines=tuple(Line(product_id=name, quantity=quantity) for name, quantity in lines or (("mug", 2), ("pot", 1))),
        shipping_address=address,
        service=service,
    )


def listing(product_id: str, price: int, **changes: object) -> Listing:
    made = Listing(product_id, product_id.upper(), f"A {product_id}", pounds(price), is_sold=True)
    return replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """What the other services say now. A test changes it."""

    listings: dict[str, Listing] = field(
        default_factory=lambda: {one.product_id: one for one in (listing("mug", 1250), listing("pot", 2000))}
    )
    offers: list[Offer] = field(
        default_factory=lambda: [
            Offer("sandbox", "standard", "Standard", pounds(395), 3),
            Offer("sandbox", "express", "Express", pounds(695), 1),
        ]
    )
    discounts: list[Discount] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)  # of changed coupons, by code
    rejected: list[CodeRejected] = field(default_factory=list)
    taxes: TaxTable = FIRST
    terms: Terms = field(default_factory=Terms)

    def price(self, found: Session) -> Priced:
        offers = tuple(self.offers) if found.shipping_address else ()
        versions = {one.code: 1 for one in self.discounts} | self.versions
        evaluated = Evaluated(tuple(self.discounts), versions, "account:ada", tuple(self.rejected))
        known = Found(self.listings, offers, evaluated)
        return price(found, known, TableOfRates(self.taxes), self.terms, TODAY)
