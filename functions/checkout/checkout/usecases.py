"""The use cases of a checkout, one function per verb. Each docstring says how the use case is idempotent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Protocol

from checkout import domain
from checkout.domain import (
    NOTHING_ENTERED,
    Address,
    Cart,
    CartEmpty,
    CodeObstacle,
    Entered,
    Evaluated,
    Found,
    Line,
    Listing,
    Obstacle,
    Offer,
    Parcel,
    Session,
)
from checkout.pricing import Priced, Terms, price
from checkout.quotes import Difference, InvalidQuote, Quote, differences
from checkout.store import Checkouts, TaxTables
from checkout.taxes import TableOfRates, TaxRate, TaxTable, TaxTableChanged, TaxTableNotFound, findings
from mercato.dataclass import dataclass
from mercato.errors import Invalid
from mercato.store.retry import RESEND_ATTEMPTS, retry_on_conflict


class InvalidTaxTable(Invalid):
    """The table contradicts itself. `errors` has each finding."""


class Catalogue(Protocol):
    def find(self, session: Session) -> dict[str, Listing]: ...


class Carts(Protocol):
    def lines_of(self, customer_id: str, wanted: Cart) -> list[Line]: ...

    def lines_of_guest(self, cart_id: str, version: int) -> list[Line]: ...


class Carriers(Protocol):
    def offers(self, address: Address, parcel: Parcel) -> tuple[Offer, ...]: ...


class Promotions(Protocol):
    def evaluate(self, session: Session, listings: dict[str, Listing], entered: Entered) -> Evaluated: ...


class Signatures(Protocol):
    def sign(self, quote: Quote) -> str: ...

    def read(self, token: str) -> Quote: ...


@dataclass(frozen=True)
class Till:
    """All that a price is made of."""

    catalogue: Catalogue
    carriers: Carriers
    taxes: TaxTables
    terms: Terms
    signatures: Signatures
    promotions: Promotions

    def price(
        self, session: Session, today: date, entered: Entered = NOTHING_ENTERED, *, takes_cheapest: bool = False
    ) -> tuple[Priced, tuple[Offer, ...]]:
        """What the session costs today, and the delivery services to choose from. Unknown ones among the codes that are
        `entered` count as guesses. `takes_cheapest`: a session without a service has the cheapest.
        """
        listings = self.catalogue.find(session)
        offers, undeliverable = self._offers(session, listings)
        if takes_cheapest and session.service is None and offers:
            session = replace(session, service=offers[0].service)
        evaluated = self.promotions.evaluate(session, listings, entered) if session.codes else Evaluated()
        found = Found(listings, offers, evaluated, undeliverable)
        return price(session, found, TableOfRates(self.taxes.current()), self.terms, today), offers

    def _offers(self, session: Session, listings: dict[str, Listing]) -> tuple[tuple[Offer, ...], Obstacle | None]:
        if session.shipping_address is None:
            return (), None
        try:
            return self.carriers.offers(session.shipping_address, domain.parcel_of(session, listings)), None
        except Obstacle as obstacle:
            return (), obstacle


@dataclass(frozen=True)
class Shown:
    """A session as its buyer sees it. `quote` is None as long as it cannot be placed, with its token else."""

    session: Session
    priced: Priced
    offers: tuple[Offer, ...]
    quote: Quote | None
    token: str = ""


def start(session: Session, address: str, checkouts: Checkouts, till: Till, now: datetime) -> Shown:
    """Stores a new session. `address` is where the buyer's request came from. Idempotent by its id, which is derived
    from the request: a retry shows the session as it is by then. Raises its first Obstacle.
    """
    shown = _without_obstacle(show(session, till, now, Entered(session.codes, address)))
    if checkouts.add(session, now):
        return shown
    return show(checkouts.find(session.id, now) or session, till, now)


def lines_of(customer_id: str, cart: Cart, carts: Carts) -> tuple[Line, ...]:
    """The lines of the customer's cart. Raises CartChanged and CartEmpty."""
    lines = carts.lines_of(customer_id, cart)
    if not lines:
        raise CartEmpty("Your cart is empty.")
    return domain.merge(lines)


def lines_of_guest(cart_id: str, version: int, carts: Carts) -> tuple[Line, ...]:
    """The lines of the guest's cart. Raises CartNotFound, CartChanged and CartEmpty."""
    lines = carts.lines_of_guest(cart_id, version)
    if not lines:
        raise CartEmpty("Your cart is empty.")
    return domain.merge(lines)


@dataclass(frozen=True)
class Change:
    """`version` is the one that the buyer saw, `given` the fields that change, and `address` where the request came
    from.
    """

    version: int
    given: dict[str, Any]
    address: str


def change(session: Session, wanted: Change, checkouts: Checkouts, till: Till, now: datetime) -> Shown:
    """Changes fields of the session. A retry of a done change is refused with CheckoutChanged. Raises the first
    Obstacle, and stores nothing then. An obstacle that is a code's refuses no change of anything else.
    """
    changed = domain.change(session, wanted.version, wanted.given)
    entered = Entered(tuple(code for code in changed.codes if code not in session.codes), wanted.address)
    shown = _without_obstacle(show(changed, till, now, entered), is_about_codes="codes" in wanted.given)
    checkouts.save(changed, now)
    return shown


def show(session: Session, till: Till, now: datetime, entered: Entered = NOTHING_ENTERED) -> Shown:
    """The session at today's prices, with a new quote if it can be placed."""
    priced, offers = till.price(session, now.date(), entered)
    if not priced.is_whole or session.missing:
        return Shown(session, priced, offers, None)
    quote = Quote.of(session, priced, now)
    return Shown(session, priced, offers, quote, till.signatures.sign(quote))


def _without_obstacle(shown: Shown, *, is_about_codes: bool = True) -> Shown:
    for obstacle in shown.priced.obstacles:
        if is_about_codes or not isinstance(obstacle, CodeObstacle):
            raise obstacle
    return shown


def price_goods(goods: Session, till: Till, now: datetime) -> Priced:
    """What goods cost that are ordered without a look at the total before. Nothing is stored. Without a service the
    cheapest is taken.
    """
    return till.price(goods, now.date(), takes_cheapest=True)[0]


@dataclass(frozen=True)
class Verified:
    """A quote of this shop for this buyer, and everything in which its session differs from it now. `session` is None
    if it has expired.
    """

    quote: Quote
    session: Session | None
    priced: Priced | None
    differences: list[Difference]
    is_expired: bool


def verify(token: str, customer_id: str, checkouts: Checkouts, till: Till, now: datetime) -> Verified:
    """Reads a quote and prices its session again. Changes nothing. Raises InvalidQuote."""
    quote = till.signatures.read(token)
    if quote.customer_id != customer_id:
        raise InvalidQuote("This is not a quote for you. Please go through the checkout again.")
    session = checkouts.find(quote.checkout_id, now)
    priced = till.price(session, now.date())[0] if session else None
    return Verified(quote, session, priced, differences(quote, session, priced), is_expired=now >= quote.expires_at)


def change_taxes(rates: Sequence[TaxRate], version: int, taxes: TaxTables, now: datetime) -> TaxTable:
    """Replaces the table. Idempotent: a retry finds the table that it has written, also a retry that runs at once.
    Raises TaxTableChanged.
    """
    if errors := [{"field": f"rates.{number}", "message": what} for number, what in findings(rates)]:
        raise InvalidTaxTable("The tax rates contradict each other.", errors=errors)
    wanted = TaxTable(version=version + 1, rates=tuple(rates), changed_at=now)

    def write(current: TaxTable) -> TaxTable:
        if current.states_the_same(wanted):
            return current
        if current.version != version:
            raise TaxTableChanged(
                f"The tax rates are at version {current.version}, not {version}.", version=current.version
            )
        taxes.add(wanted)
        return wanted

    return retry_on_conflict(taxes.current, write, conflict=TaxTableChanged, attempts=RESEND_ATTEMPTS)


def find_taxes(version: int | None, taxes: TaxTables) -> TaxTable:
    """The current table, or an earlier version of it."""
    found = taxes.current() if version is None else taxes.find(version)
    if found is None:
        raise TaxTableNotFound(f"There is no version {version} of the tax rates.")
    return found
