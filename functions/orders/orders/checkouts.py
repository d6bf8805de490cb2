"""The client of the checkout service: what a quote sells and whether it still holds, and what goods cost now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mercato.charges import Charge
from mercato.errors import problem_slug
from mercato.events import Reads
from mercato.money import Money
from mercato.peers.client import PeerRefused, ServiceClient, read_answer, read_object
from orders.domain import (
    InvalidQuote,
    Obstacle,
    OrderTooLarge,
    Priced,
    Quoted,
)
from orders.order import Address, ClaimedCoupons, Delivery, Line, OrderedCart, PostalAddress
from orders.usecases import QuoteAnswer, Sale


class _Line(Reads):
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money


class _Delivery(Reads):
    carrier: str
    service: str
    name: str
    days: int
    weight_grams: int | None = None


class _Cart(Reads):
    id: str
    version: int


class _Address(Reads):
    name: str
    company: str | None = None
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postcode: str
    country: str
    phone: str | None = None


class _Coupons(Reads):
    codes: list[str]
    customer: str


class _Contact(Reads):
    email: str


class _Sale(Reads):
    lines: list[_Line]
    charges: list[Charge]
    delivery: _Delivery
    cart: _Cart | None
    coupons: _Coupons | None = None
    contact: _Contact | None = None
    shipping_address: _Address
    billing_address: _Address | None = None


class _Verified(Reads):
    checkout_id: str
    version: int
    is_expired: bool
    differences: list[dict[str, Any]]
    sale: _Sale | None


class _Notice(Reads):
    type: str
    detail: str


class _Priced(Reads):
    lines: list[_Line]
    charges: list[Charge]
    delivery: _Delivery | None
    notices: list[_Notice]


_OTHERS = ("product-not-for-sale", "short-of-stock")


class Quotes:
    def __init__(self, checkout: ServiceClient) -> None:
        self._checkout = checkout

    def verify_quote(self, customer_id: str, quote: str) -> QuoteAnswer:
        """Verifying changes nothing there, so the client may retry. Raises InvalidQuote."""
        asked, headers = {"quote": quote}, {"X-User-Id": customer_id}
        answer = self._checkout.send("POST", "/api/checkouts/verifications", asked, headers, safe=True)
        body = read_object(answer, "the verification of a quote")
        if answer.status == 422:
            raise InvalidQuote(str(body.get("detail", "This is not a quote of this shop.")))
        if answer.status != 200:
            raise PeerRefused(f"the checkout verifies no quote: {answer.status} {body.get('detail', '')}")
        found = read_answer(_Verified, body, "the verification of a quote")
        return QuoteAnswer(
            found.checkout_id,
            found.version,
            found.is_expired,
            found.differences,
            _sale(found.sale) if found.sale else None,
        )

    def price_goods(self, units: Mapping[str, int], address: Address, service: str | None) -> Priced:
        """Pricing changes nothing there, so the client may retry. Raises OrderTooLarge."""
        asked = {
            "lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in units.items()],
            "shipping_address": address.model_dump(exclude={"billing"}),
            "service": service,
        }
        answer = self._checkout.send("POST", "/api/checkouts/prices", asked, safe=True)
        body = read_object(answer, "the prices of goods")
        if answer.status == 422 and problem_slug(body) in ("amount-too-large", "too-many-lines"):
            raise OrderTooLarge("This order is more than we can take. Please order in parts.")
        if answer.status != 200:
            raise PeerRefused(f"the checkout prices no goods: {answer.status} {body.get('detail', '')}")
        return _priced(read_answer(_Priced, body, "the prices of goods"))


def _priced(found: _Priced) -> Priced:
    lines = tuple(Line(**line.model_dump()) for line in found.lines)
    delivery = Delivery(**found.delivery.model_dump()) if found.delivery else None
    return Priced(lines, tuple(found.charges), delivery, tuple(_obstacles(found.notices)))


def _obstacles(notices: Iterable[_Notice]) -> Iterator[tuple[Obstacle, str]]:
    """Without what orders sees by itself: goods that are not for sale, and stock, which the saga reserves."""
    for notice in notices:
        if notice.type in _OTHERS:
            continue
        if notice.type not in Obstacle:
            raise PeerRefused(f"the checkout prices no goods: {notice.type}")
        yield Obstacle(notice.type), notice.detail


def _billing(sale: _Sale) -> PostalAddress | None:
    return PostalAddress(**sale.billing_address.model_dump()) if sale.billing_address else None


def _sale(sale: _Sale) -> Sale:
    quoted = Quoted(
        lines=tuple(Line(**line.model_dump()) for line in sale.lines),
        charges=tuple(sale.charges),
        delivery=Delivery(**sale.delivery.model_dump()),
        cart=OrderedCart(**sale.cart.model_dump()) if sale.cart else None,
        coupons=ClaimedCoupons(**sale.coupons.model_dump()) if sale.coupons else None,
    )
    email = sale.contact.email if sale.contact else None
    return Sale(quoted, Address(**sale.shipping_address.model_dump(), billing=_billing(sale)), email)
