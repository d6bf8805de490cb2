"""The client of the checkout service: what a quote sells, and whether it still holds."""

from __future__ import annotations

import json
from typing import Any

from mercato.charges import Charge
from mercato.events import Reads
from mercato.money import Money
from mercato.peers.client import PeerRefused, ServiceClient, read_answer
from orders.domain import InvalidQuote, Quoted
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


class Quotes:
    def __init__(self, checkout: ServiceClient) -> None:
        self._checkout = checkout

    def verify_quote(self, customer_id: str, quote: str) -> QuoteAnswer:
        """Verifying changes nothing there, so the client may retry. Raises InvalidQuote."""
        asked, headers = {"quote": quote}, {"X-User-Id": customer_id}
        answer = self._checkout.send("POST", "/api/checkouts/verifications", asked, headers, safe=True)
        body = json.loads(answer.body)
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
