"""The request and response bodies of a checkout."""

from datetime import date
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from checkout.domain import (
    MAX_CODES,
    MAX_LINES,
    MAX_PRICED,
    MAX_QUANTITY,
    Address,
    Cart,
    CodeRejected,
    Contact,
    Line,
    Obstacle,
    Offer,
    Session,
    merge,
)
from checkout.pricing import Priced
from checkout.quotes import Difference, Quote
from checkout.taxes import MAX_RATES, TaxRate, TaxTable, warnings
from checkout.usecases import Shown, Verified
from mercato.addresses import region_of, require_address
from mercato.charges import Charge, Kind, tax_of, total_of
from mercato.clock import rfc3339
from mercato.countries import Country
from mercato.email_address import read_email
from mercato.http import Body, Query, View
from mercato.money import Money
from mercato.text import TOKEN, AddressLine, EmailAddress, Exact, Phone, Postcode, RegionName


class LineWanted(Body):
    product_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


class NamedCart(Body):
    """The cart and the version of it that the buyer saw."""

    id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    version: Annotated[int, Field(ge=1, le=2**53 - 1)]


class ContactGiven(Body):
    email: EmailAddress
    phone: Annotated[Phone, Field(examples=["+44 20 7946 0000"])] | None = None


class AddressGiven(Body):
    """`region` is a code, such as CA, or a name. It and `postcode` are needed where the country uses them."""

    name: AddressLine
    company: AddressLine | None = None
    line1: AddressLine
    line2: AddressLine | None = None
    city: AddressLine
    region: Annotated[RegionName, Field(examples=["Midlothian"])] | None = None
    postcode: Postcode = ""
    country: Country
    phone: Phone | None = None

    def as_address(self, field: str) -> Address:
        """Raises InvalidAddress."""
        require_address(self.country, self.postcode, self.region, field)
        return Address(**self.model_dump() | {"region": region_of(self.country, self.region)})


Code = Annotated[str, Exact(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{2,31}$", examples=["AUTUMN-10"])]
Codes = Annotated[list[Code], Field(max_length=MAX_CODES)]
ServiceCode = Annotated[str, Exact(), Field(min_length=1, max_length=64, examples=["standard"])]
_EXAMPLE: dict[str, Any] = {
    "lines": [{"product_id": "019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11", "quantity": 2}],
    "contact": {"email": "ada@example.com"},
    "shipping_address": {
        "name": "Ada Lovelace",
        "line1": "1 Quay",
        "city": "Leith",
        "postcode": "EH6 6QQ",
        "country": "GB",
    },
    "service": "standard",
}


class OpenCheckout(Body):
    """The goods are those of the buyer's cart, or `lines`; one of the two is given. The rest may follow later."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    cart: NamedCart | None = None
    lines: Annotated[list[LineWanted], Field(min_length=1, max_length=MAX_LINES)] | None = None
    contact: ContactGiven | None = None
    shipping_address: AddressGiven | None = None
    billing_address: AddressGiven | None = None
    service: ServiceCode | None = None
    codes: Codes = []

    def as_cart(self) -> Cart | None:
        return Cart(**self.cart.model_dump()) if self.cart else None

    def given(self) -> dict[str, Any]:
        return _given(self)


class OpenGuestCheckout(Body):
    """`cart_version` is the version of the guest's cart that the guest saw. The contact's address gets the mails."""

    cart_version: Annotated[int, Field(ge=1, le=2**53 - 1)]
    contact: ContactGiven | None = None
    shipping_address: AddressGiven | None = None
    billing_address: AddressGiven | None = None
    service: ServiceCode | None = None
    codes: Codes = []

    def given(self) -> dict[str, Any]:
        return _given(self)


class ChangeCheckout(Body):
    """`version` is the version that the buyer saw. Fields that are left out stay; null removes one. `codes` replaces
    all codes of coupons.
    """

    version: Annotated[int, Field(ge=1, le=2**53 - 1)]
    contact: ContactGiven | None = None
    shipping_address: AddressGiven | None = None
    billing_address: AddressGiven | None = None
    service: ServiceCode | None = None
    codes: Codes | None = None

    def given(self) -> dict[str, Any]:
        return _given(self)


def _given(body: OpenCheckout | OpenGuestCheckout | ChangeCheckout) -> dict[str, Any]:
    """Raises InvalidEmail and InvalidAddress."""
    found: dict[str, Any] = body.model_dump(exclude_unset=True, include={"contact", "service"})
    if found.get("contact"):
        found["contact"] = _contact(**found["contact"])
    for field in body.model_fields_set & {"shipping_address", "billing_address"}:
        given: AddressGiven | None = getattr(body, field)
        found[field] = given.as_address(field) if given else None
    if "codes" in body.model_fields_set:
        found["codes"] = tuple(dict.fromkeys(code.upper() for code in body.codes or ()))
    return found


def _contact(email: str, phone: str | None = None) -> Contact:
    return Contact(email=read_email(email), phone=phone)


class LineView(View):
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money


class OfferView(View):
    """A delivery service. `service` is its code. It takes `days_from`, where that is known, to `days` days. The goods
    weigh `weight_grams`.
    """

    carrier: str
    service: str
    name: str
    price: Money
    days: int
    days_from: int | None
    weight_grams: int | None

    @classmethod
    def of(cls, offer: Offer) -> Self:
        return cls(**vars(offer))


class Totals(View):
    """`goods`, `discount` and `shipping` contain their tax and add up to `total`. `tax` is what `total` contains."""

    goods: Money
    discount: Money
    shipping: Money
    tax: Money
    total: Money

    @classmethod
    def of(cls, charges: tuple[Charge, ...]) -> Self | None:
        if not charges:
            return None
        currency = charges[0].amount.currency
        by_kind = {
            kind.value: Money.sum((one.amount for one in charges if one.kind is kind), currency) for kind in Kind
        }
        return cls(**by_kind, tax=tax_of(charges), total=total_of(charges))


class NoticeView(View):
    """A reason why there is no quote. `type` is stable; `product_id` is null if it concerns the whole checkout. Of the
    type code-rejected, `code` is the code, and `reason` why it takes nothing off.
    """

    type: str
    detail: str
    product_id: str | None
    code: str | None
    reason: str | None

    @classmethod
    def of(cls, one: Obstacle) -> Self:
        rejected = (one.code, one.reason) if isinstance(one, CodeRejected) else (None, None)
        about = dict(zip(("code", "reason"), rejected, strict=True))
        return cls(type=one.slug(), detail=one.detail, product_id=one.product_id, **about)


class QuoteView(View):
    """`token` is what POST /api/orders/quoted takes."""

    token: str
    expires_at: str


class CheckoutView(View):
    """`charges` is what the buyer pays, as far as it is known: without a shipping address there are neither delivery
    nor tax. `missing` and `notices` say why there is no `quote`. `services` are the delivery services to choose from.
    """

    checkout_id: str
    version: int
    cart: Cart | None
    contact: Contact | None
    shipping_address: Address | None
    billing_address: Address | None
    service: str | None
    services: list[OfferView]
    codes: list[str]
    lines: list[LineView]
    charges: list[Charge]
    totals: Totals | None
    missing: list[str]
    notices: list[NoticeView]
    quote: QuoteView | None

    @classmethod
    def of(cls, shown: Shown) -> Self:
        session, priced = shown.session, shown.priced
        return cls(
            checkout_id=session.id,
            version=session.version,
            cart=session.cart,
            contact=session.contact,
            shipping_address=session.shipping_address,
            billing_address=session.billing_address,
            service=session.service,
            services=[OfferView.of(offer) for offer in shown.offers],
            lines=_lines(priced),
            charges=list(priced.charges),
            totals=Totals.of(priced.charges),
            missing=session.missing,
            codes=list(session.codes),
            notices=[NoticeView.of(one) for one in priced.obstacles],
            quote=QuoteView(token=shown.token, expires_at=rfc3339(shown.quote.expires_at)) if shown.quote else None,
        )


def _lines(priced: Priced) -> list[LineView]:
    return [LineView(**vars(line)) for line in priced.lines]


class QuoteToVerify(Body):
    quote: Annotated[str, Field(min_length=1, max_length=200_000, pattern=TOKEN)]


class GoodsToPrice(Body):
    """The goods of an order that names no quote. Orders has checked the address by the rules of such orders."""

    lines: Annotated[list[LineWanted], Field(min_length=1, max_length=MAX_PRICED)]
    shipping_address: AddressGiven
    service: ServiceCode | None = None

    def as_goods(self, customer_id: str) -> Session:
        """Raises TooManyLines."""
        lines = merge([Line(**line.model_dump()) for line in self.lines], most=MAX_PRICED)
        address = Address(**self.shipping_address.model_dump())
        return Session("", customer_id, lines, shipping_address=address, service=self.service)


class PricedView(View):
    """`lines` are those that are for sale. With `notices`, the rest may be incomplete."""

    lines: list[LineView]
    charges: list[Charge]
    delivery: OfferView | None
    notices: list[NoticeView]

    @classmethod
    def of(cls, priced: Priced) -> Self:
        return cls(
            lines=_lines(priced),
            charges=list(priced.charges),
            delivery=OfferView.of(priced.offer) if priced.offer else None,
            notices=[NoticeView.of(one) for one in priced.obstacles],
        )


class DifferenceView(View):
    """`what` is price, product, stock, tax, shipping, discount, coupon, days, checkout, total, or an obstacle's type.
    Of a coupon, `was` is its code, and `is_now` the reason why it takes nothing off any more, or `changed`.
    """

    what: str
    product_id: str | None
    was: Any
    is_now: Any

    @classmethod
    def of(cls, one: Difference) -> Self:
        return cls(what=one.what, product_id=one.product_id, was=one.was, is_now=one.is_now)


class CouponsView(View):
    """The codes that take something off, and the customer whose uses of them are counted."""

    codes: list[str]
    customer: str


def _coupons(quote: Quote) -> CouponsView | None:
    codes = [coupon.code for coupon in quote.coupons]
    return CouponsView(codes=codes, customer=quote.customer) if codes else None


class Sale(View):
    """What the quote sells. `charges` are those of the quote, and those of now: they are equal."""

    lines: list[LineView]
    charges: list[Charge]
    delivery: OfferView
    cart: Cart | None
    coupons: CouponsView | None
    contact: Contact | None
    shipping_address: Address
    billing_address: Address | None


class VerifiedView(View):
    """`sale` is null if the quote differs from what its checkout costs now. An expired quote may have no difference.
    `version` is that of the checkout which the quote is of.
    """

    checkout_id: str
    version: int
    is_expired: bool
    differences: list[DifferenceView]
    sale: Sale | None

    @classmethod
    def of(cls, verified: Verified) -> Self:
        sale, session, priced = None, verified.session, verified.priced
        if not verified.differences and session and session.shipping_address and priced and priced.offer:
            sale = Sale(
                lines=_lines(priced),
                charges=list(verified.quote.charges),
                delivery=OfferView.of(priced.offer),
                cart=session.cart,
                coupons=_coupons(verified.quote),
                contact=session.contact,
                shipping_address=session.shipping_address,
                billing_address=session.billing_address,
            )
        return cls(
            checkout_id=verified.quote.checkout_id,
            version=verified.quote.version,
            is_expired=verified.is_expired,
            differences=[DifferenceView.of(one) for one in verified.differences],
            sale=sale,
        )


class TaxesQuery(Query):
    """Without a `version`, the current table."""

    version: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class ChangeTaxes(Body):
    """`version` is the version of the table that these rates replace."""

    version: Annotated[int, Field(ge=0, le=2**31 - 1)]
    rates: Annotated[list[TaxRate], Field(max_length=MAX_RATES)]


class TaxesWarning(View):
    """What the table leaves out although most shops would not. `code` is stable, `message` is for staff."""

    code: str
    message: str


class TaxTableView(View):
    """`changed_at` is null for the table of a new shop, which is an example. A table with `warnings` is in force as any
    other one.
    """

    version: int
    rates: list[TaxRate]
    changed_at: str | None
    warnings: list[TaxesWarning]

    @classmethod
    def of(cls, table: TaxTable, country: str, day: date) -> Self:
        """`country` is the shop's own. The warnings are those of the day."""
        return cls(
            version=table.version,
            rates=list(table.rates),
            changed_at=rfc3339(table.changed_at) if table.changed_at else None,
            warnings=[TaxesWarning(code=code, message=said) for code, said in warnings(table.rates, country, day)],
        )
