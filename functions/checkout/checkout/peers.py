"""The clients of the services that a checkout asks. Each question changes nothing there, so the clients may retry."""

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from checkout.domain import (
    Address,
    Cart,
    CartChanged,
    CartNotFound,
    CodeRejected,
    CodesUnavailable,
    Discount,
    Entered,
    Evaluated,
    Line,
    Listing,
    MixedCurrencies,
    NoRateForDestination,
    Offer,
    Parcel,
    ParcelTooHeavy,
    Session,
    TooManyCodes,
    parcel_of,
)
from mercato.clock import utc_now
from mercato.errors import problem_slug
from mercato.events import Reads
from mercato.http.request import SOURCE_ADDRESS
from mercato.money import Money
from mercato.peers.client import (
    PeerNotFound,
    PeerRefused,
    PeerUnavailable,
    ServiceClient,
    read_answer,
    read_object,
)
from mercato.peers.retries import read_retry_after
from mercato.telemetry.logs import log


class _Product(Reads):
    product_id: str
    sku: str
    name: str
    price: Money
    status: str
    available: int | None = None
    weight_grams: int = 0
    tax_class: str = "standard"
    category: str | None = None


class _Products(Reads):
    products: list[_Product]


class Catalogue:
    def __init__(self, products: ServiceClient) -> None:
        self._products = products

    def find(self, session: Session) -> dict[str, Listing]:
        """The listings of the session's products by id. Unknown products are missing."""
        asked = {"product_ids": [line.product_id for line in session.lines]}
        answer = self._products.post("/api/products/lookup", asked, safe=True)
        return {
            one.product_id: Listing(
                product_id=one.product_id,
                sku=one.sku,
                name=one.name,
                price=one.price,
                is_sold=one.status == "active",
                available=one.available,
                weight_grams=one.weight_grams,
                tax_class=one.tax_class,
                category=one.category,
            )
            for one in read_answer(_Products, answer, "the look-up of products").products
        }


class _Line(Reads):
    product_id: str
    quantity: int


class _Cart(Reads):
    cart_id: str
    version: int
    lines: list[_Line]


class Carts:
    def __init__(self, carts: ServiceClient) -> None:
        self._carts = carts

    def lines_of(self, customer_id: str, wanted: Cart) -> list[Line]:
        """The lines of the customer's own cart. Raises CartChanged if it is another one or at another version."""
        found = read_answer(_Cart, self._carts.get("/api/carts/mine", user_id=customer_id), "the look at a cart")
        return _lines(found, wanted)

    def lines_of_guest(self, cart_id: str, version: int) -> list[Line]:
        """The lines of the guest's cart. Raises CartNotFound, and CartChanged if it is at another version."""
        try:
            answer = self._carts.get(f"/api/carts/guests/{quote(cart_id, safe='')}")
        except PeerNotFound:
            raise CartNotFound("There is no such cart.") from None
        return _lines(read_answer(_Cart, answer, "the look at a guest's cart"), Cart(id=cart_id, version=version))


def _lines(found: _Cart, wanted: Cart) -> list[Line]:
    if (found.cart_id, found.version) != (wanted.id, wanted.version):
        raise CartChanged(
            "Your cart has changed since you saw it. Please look at it once more.",
            cart={"id": found.cart_id, "version": found.version},
        )
    return [Line(product_id=line.product_id, quantity=line.quantity) for line in found.lines]


_CODE = re.compile("[A-Z0-9]{1,6}")  # of a region, as rates name it; a region without a code has its country's rates


class _Quote(Reads):
    carrier: str
    service: str
    name: str = ""
    price: Money
    days: int
    days_from: int | None = None


class _Quotes(Reads):
    quotes: list[_Quote]


class _Part(Reads):
    product_id: str
    amount: int


class _Accepted(Reads):
    code: str
    version: int
    description: str
    parts: list[_Part]
    free_shipping: bool


class _Rejected(Reads):
    code: str
    reason: str
    detail: str


class _Evaluation(Reads):
    customer: str
    accepted: list[_Accepted]
    rejected: list[_Rejected]


class Promotions:
    def __init__(self, promotions: ServiceClient) -> None:
        self._promotions = promotions

    def evaluate(self, session: Session, listings: dict[str, Listing], entered: Entered) -> Evaluated:
        """What the session's codes take from its goods. Without an answer the session goes on without its discounts,
        and says so. Raises TooManyCodes.
        """
        parcel = parcel_of(session, listings)
        if parcel.goods is None:
            return Evaluated()
        sold = [(line, one) for line in session.lines if (one := listings.get(line.product_id)) and one.is_sold]
        goods = [
            {"product_id": one.product_id, "price": one.price.amount * line.quantity, "category": one.category}
            for line, one in sold
        ]
        asked = {"codes": session.codes, "entered": entered.codes, "goods": goods, "currency": parcel.goods.currency}
        if session.contact:
            asked["email"] = session.contact.email
        headers = {"X-User-Id": session.customer_id, SOURCE_ADDRESS: entered.address}
        try:
            answer = self._promotions.send("POST", "/api/promotions/evaluations", asked, headers, safe=True)
            body = read_object(answer, "the evaluation of codes")
            if problem_slug(body) == "too-many-codes":
                wait = read_retry_after(answer.headers.get("retry-after"), utc_now())
                raise TooManyCodes(str(body.get("detail")), **{} if wait is None else {"retry_after": math.ceil(wait)})
            if answer.status != 200:
                raise PeerRefused(f"promotions evaluates no codes: {answer.status} {body.get('detail', '')}")
            return _evaluated(read_answer(_Evaluation, body, "the evaluation of codes"))
        except PeerUnavailable as error:
            log.warning("codes cannot be evaluated", extra={"reason": str(error)})
            return Evaluated(obstacles=(CodesUnavailable(),))


def _evaluated(found: _Evaluation) -> Evaluated:
    discounts: list[Discount] = []
    for one in found.accepted:
        about = f"{one.code}: {one.description}"
        discounts += [Discount(part.product_id, about, part.amount, one.code) for part in one.parts]
        if one.free_shipping:
            discounts.append(Discount(None, about, 0, one.code))
    return Evaluated(
        discounts=tuple(discounts),
        versions={one.code: one.version for one in found.accepted},
        customer=found.customer,
        obstacles=tuple(CodeRejected(one.code, one.reason, one.detail) for one in found.rejected),
    )


class Carriers:
    def __init__(self, shipping: ServiceClient) -> None:
        self._shipping = shipping

    def offers(self, address: Address, parcel: Parcel) -> tuple[Offer, ...]:
        """The services that take the parcel there, the cheapest first. Raises the Obstacle for which there are none."""
        asked: dict[str, Any] = {
            "country": address.country,
            "region": address.region if address.region and _CODE.fullmatch(address.region) else None,
            "items": parcel.items,
            "weight_grams": parcel.weight_grams,
            "goods": parcel.goods.model_dump() if parcel.goods else None,
        }
        answer = self._shipping.send("POST", "/api/shipments/quotes", asked, safe=True)
        body = read_object(answer, "the quotes of shipping")
        if answer.status == 422:
            _refuse(body)
        if answer.status != 200:
            raise PeerRefused(f"shipping gives no quotes: {answer.status} {body.get('detail', '')}")
        return tuple(
            Offer(
                one.carrier,
                one.service,
                one.name or one.service.capitalize(),
                one.price,
                one.days,
                one.days_from,
                parcel.weight_grams,
            )
            for one in read_answer(_Quotes, body, "the quotes of shipping").quotes
        )


def _refuse(problem: Mapping[str, Any]) -> None:
    """Shipping writes its details for buyers. What it refuses for any other reason is an error of this service."""
    detail = str(problem.get("detail", ""))
    match problem_slug(problem):
        case "no-rate-for-destination":
            raise NoRateForDestination(detail)
        case "parcel-too-heavy":
            raise ParcelTooHeavy(detail)
        case "other-currency":
            raise MixedCurrencies(detail)
