"""A checkout session: what its buyer wants, and the rules for it. Pure."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound, TooManyRequests
from mercato.guests import is_guest
from mercato.money import Money

# An order stores each line with its charges twice, as a fact and as an event, in one item of at most 400 KB.
MAX_LINES = 250
MAX_PRICED = 500  # lines of an order that names no quote
MAX_QUANTITY = 100_000
MAX_CODES = 5
KEPT_FOR = timedelta(days=1)  # after the last change


class CheckoutNotFound(NotFound):
    """The checkout does not exist, has expired, or belongs to another buyer."""


class CheckoutChanged(Conflict):
    """The checkout is not at the version that the change names."""


class CartChanged(Conflict):
    """The cart is not at the version that the request names."""


class CartNotFound(NotFound):
    """There is no guest's cart with this id."""


class CartEmpty(Invalid):
    """The cart has no lines."""


class GoodsNotNamed(Invalid):
    """A checkout has the goods of a cart or lines: one of the two."""


class TooManyLines(Invalid):
    """A checkout takes fewer lines than this."""


class Obstacle(Invalid):
    """A reason why the session has no quote. `product_id` is None if it concerns the whole session."""

    def __init__(self, detail: str, product_id: str | None = None) -> None:
        super().__init__(detail, **({"product_id": product_id} if product_id else {}))
        self.product_id = product_id


class ProductNotForSale(Obstacle):
    """The catalogue does not sell this product, or not any more."""


class ShortOfStock(Obstacle):
    """Less is available than the checkout asks for."""

    def __init__(self, name: str, wanted: int, available: int, product_id: str) -> None:
        super().__init__(f"Of {name} there are {available}; you want {wanted}.", product_id)
        self.available = available


class MixedCurrencies(Obstacle):
    """All that is sold in one checkout must have the same currency."""


class NoRateForDestination(Obstacle):
    """No shipping service delivers there."""


class ParcelTooHeavy(Obstacle):
    """The goods weigh more than any service takes to this address."""


class ServiceNotOffered(Obstacle):
    """The chosen shipping service is not offered for these goods to this address."""


class NoTaxRate(Obstacle):
    """The table of tax rates has no rate for this tax class at the destination."""


class CodeObstacle(Obstacle):
    """An obstacle that its buyer removes by removing a code. Other changes of the session go on."""


class CodeRejected(CodeObstacle):
    """A code takes nothing off. `reason` is stable: expired, exhausted, below-minimum and others of promotions."""

    def __init__(self, code: str, reason: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.extra = {"code": code, "reason": reason}
        self.code, self.reason = code, reason


class CodesUnavailable(CodeObstacle):
    """The promotions service does not answer, so the discounts of the codes are unknown."""

    def __init__(self) -> None:
        super().__init__("We cannot look at codes at the moment. Please try again soon, or order without them.")


class TooManyCodes(TooManyRequests):
    """The buyer has entered too many codes that do not exist."""


class NothingToPay(CodeObstacle):
    """The codes take off the whole total, and an order has to be paid for."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class Line(_Value):
    product_id: str
    quantity: int


class Cart(_Value):
    """The cart that a checkout was made of, at this version."""

    id: str
    version: int


class Contact(_Value):
    email: str
    phone: str | None = None


class Address(_Value):
    """`postcode` is empty where the country has none. `region` is its code, if it has one."""

    name: str
    company: str | None = None
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postcode: str = ""
    country: str
    phone: str | None = None


@dataclass(frozen=True)
class Session:
    """`customer_id` is the buyer's. `version` increases with each change. `service` is the code of the chosen one."""

    id: str
    customer_id: str
    lines: tuple[Line, ...]
    version: int = 1
    cart: Cart | None = None
    contact: Contact | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None
    service: str | None = None
    codes: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The fields without which there is no quote. Of a guest, nothing but the contact tells whom to write to."""
        needed = ("shipping_address", "service", *(["contact"] if is_guest(self.customer_id) else []))
        return [name for name in needed if getattr(self, name) is None]


@dataclass(frozen=True)
class Listing:
    """A product in the catalogue. `available` is None above the low-stock threshold, and if the count is unknown."""

    product_id: str
    sku: str
    name: str
    price: Money
    is_sold: bool
    available: int | None = None
    weight_grams: int = 0
    tax_class: str = "standard"
    category: str | None = None


@dataclass(frozen=True)
class Offer:
    """A shipping service and its price for these goods to this address. `weight_grams` is the goods'."""

    carrier: str
    service: str
    name: str
    price: Money
    days: int
    days_from: int | None = None
    weight_grams: int | None = None


@dataclass(frozen=True)
class Parcel:
    """What a carrier's price depends on. `goods` is the value of the goods; None if they have several currencies."""

    items: int
    weight_grams: int
    goods: Money | None


@dataclass(frozen=True)
class Discount:
    """`amount` is what the discount takes from the price of all pieces of the product, in minor units.

    Without a product it takes the whole price of the delivery. `code` is that of its coupon.
    """

    product_id: str | None
    description: str
    amount: int
    code: str = ""


@dataclass(frozen=True)
class Entered:
    """The codes that a buyer enters now, and the address that the request came from."""

    codes: tuple[str, ...] = ()
    address: str = ""


NOTHING_ENTERED = Entered()


@dataclass(frozen=True)
class Evaluated:
    """What promotions says of a session's codes. `customer` is whose uses are counted, `versions` are those of the
    accepted coupons by code, `obstacles` say why the others are not.
    """

    discounts: tuple[Discount, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    customer: str = ""
    obstacles: tuple[CodeObstacle, ...] = ()


@dataclass(frozen=True)
class Found:
    """What the other services say of a session: listings by product id, and the shipping services of its address.

    Without an address there are no offers yet. `undeliverable` is why there are none to this address.
    """

    listings: dict[str, Listing]
    offers: tuple[Offer, ...] = ()
    evaluated: Evaluated = Evaluated()
    undeliverable: Obstacle | None = None


def merge(lines: list[Line], *, most: int = MAX_LINES) -> tuple[Line, ...]:
    """One line per product, in the order of their first mention. Raises TooManyLines."""
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    if len(quantities) > most:
        raise TooManyLines(f"A checkout takes {most} products; please order in parts.", limit=most)
    if sum(quantities.values()) > MAX_QUANTITY:
        raise TooManyLines(f"A checkout takes {MAX_QUANTITY} pieces; please order in parts.", limit=MAX_QUANTITY)
    return tuple(Line(product_id=product_id, quantity=quantity) for product_id, quantity in quantities.items())


def parcel_of(session: Session, listings: Mapping[str, Listing]) -> Parcel:
    """The session's goods that are for sale, as one parcel."""
    sold = [(line, found) for line in session.lines if (found := listings.get(line.product_id)) and found.is_sold]
    currencies = {listing.price.currency for _, listing in sold}
    prices = (listing.price * line.quantity for line, listing in sold)
    return Parcel(
        items=sum(line.quantity for line in session.lines),
        weight_grams=sum(listing.weight_grams * line.quantity for line, listing in sold),
        goods=Money.sum(prices, currencies.pop()) if len(currencies) == 1 else None,
    )


def change(session: Session, version: int, given: dict[str, Any]) -> Session:
    """The session with the given fields, at its next version. Raises CheckoutChanged for another version."""
    if version != session.version:
        raise CheckoutChanged(
            f"The checkout is at version {session.version}, not {version}. Please read it again.",
            version=session.version,
        )
    return replace(session, **given, version=session.version + 1)
