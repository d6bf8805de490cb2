"""A quote: what the buyer saw, signed by this service (JWS, HMAC with SHA-256), and where it differs from today.

The quote holds the charges themselves, so that the offer of a moment needs no storage, and every difference can be told
as it was and as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from checkout.domain import CodeRejected, ProductNotForSale, Session, ShortOfStock
from checkout.pricing import Coupon, Priced, PricedLine
from mercato.charges import Charge, Kind
from mercato.clock import epoch
from mercato.dataclass import dataclass
from mercato.errors import Invalid
from mercato.money import Money

GOOD_FOR = timedelta(minutes=15)
_ALGORITHM, _AUDIENCE, _ISSUER = "HS256", "orders", "checkout"
_CHARGE = ("kind", "product_id", "description", "quantity", "amount", "tax", "rate", "tax_class", "jurisdiction")


class InvalidQuote(Invalid):
    """The quote was not signed by this shop, or for another buyer."""


@dataclass(frozen=True)
class Quote:
    """`version` is the session's. `prices` are the unit prices by product, `days` the delivery's. `customer` is whose
    uses of the coupons an order counts.
    """

    checkout_id: str
    customer_id: str
    version: int
    service: str
    days: int
    prices: dict[str, Money]
    charges: tuple[Charge, ...]
    expires_at: datetime
    coupons: tuple[Coupon, ...] = ()
    customer: str = ""

    @classmethod
    def of(cls, session: Session, priced: Priced, now: datetime) -> Quote:
        """The quote of a session that is priced as a whole."""
        if priced.offer is None:
            raise ValueError(f"the session {session.id} has no delivery yet")
        return cls(
            checkout_id=session.id,
            customer_id=session.customer_id,
            version=session.version,
            service=priced.offer.service,
            days=priced.offer.days,
            prices={line.product_id: line.unit_price for line in priced.lines},
            charges=priced.charges,
            expires_at=(now + GOOD_FOR).replace(microsecond=0),
            coupons=priced.coupons,
            customer=priced.customer,
        )


def sign(quote: Quote, secret: str) -> str:
    currency = quote.charges[0].amount.currency
    claims = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "sub": quote.customer_id,
        "exp": epoch(quote.expires_at),
        "checkout": quote.checkout_id,
        "version": quote.version,
        "service": quote.service,
        "days": quote.days,
        "currency": currency,
        "prices": {product_id: price.amount for product_id, price in quote.prices.items()},
        "charges": [_row(charge) for charge in quote.charges],
        "coupons": [[coupon.code, coupon.version] for coupon in quote.coupons],
        "customer": quote.customer,
    }
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def read(token: str, secret: str) -> Quote:
    """The quote, also if it has expired. Raises InvalidQuote."""
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[_ALGORITHM],
            audience=_AUDIENCE,
            issuer=_ISSUER,
            options={"verify_exp": False, "require": ["exp", "sub", "aud", "iss"]},
        )
    except jwt.PyJWTError:
        raise InvalidQuote("This is not a quote of this shop. Please go through the checkout again.") from None
    currency = claims["currency"]
    return Quote(
        checkout_id=claims["checkout"],
        customer_id=claims["sub"],
        version=claims["version"],
        service=claims["service"],
        days=claims["days"],
        prices={product_id: Money(amount=amount, currency=currency) for product_id, amount in claims["prices"].items()},
        charges=tuple(_charge(row, currency) for row in claims["charges"]),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        coupons=tuple(Coupon(code, version) for code, version in claims.get("coupons", [])),
        customer=claims.get("customer", ""),
    )


def _row(charge: Charge) -> list[Any]:
    return [
        charge.amount.amount if name == "amount" else charge.tax.amount if name == "tax" else getattr(charge, name)
        for name in _CHARGE
    ]


def _charge(row: list[Any], currency: str) -> Charge:
    fields = dict(zip(_CHARGE, row, strict=True))
    amounts = {name: Money(amount=fields[name], currency=currency) for name in ("amount", "tax")}
    return Charge(**fields | amounts | {"kind": Kind(fields["kind"])})


@dataclass(frozen=True)
class Difference:
    """`what` is stable. `was` is in the quote, `is_now` is today's; None for what is not there. `product_id` is None
    for what concerns the whole order.
    """

    what: str
    was: Any
    is_now: Any
    product_id: str | None = None


def differences(quote: Quote, session: Session | None, priced: Priced | None) -> list[Difference]:
    """Everything in which the session, as it is and costs now, differs from the quote. Empty if it can be placed."""
    if session is None or priced is None:
        return [Difference("checkout", quote.version, None)]
    found = [Difference("checkout", quote.version, session.version)] if session.version != quote.version else []
    found += _of_goods(quote, priced)
    found += _of_charges(quote, priced)
    found += _of_coupons(quote, priced)
    if not found and not _is_same(quote, priced):
        found.append(Difference("total", _total(quote.charges), _total(priced.charges)))
    return found


def _of_goods(quote: Quote, priced: Priced) -> Iterator[Difference]:
    now: dict[str, PricedLine] = {line.product_id: line for line in priced.lines}
    for product_id, was in quote.prices.items():
        if product_id in now and now[product_id].unit_price != was:
            yield Difference("price", was, now[product_id].unit_price, product_id)
    quantities = {one.product_id: one.quantity for one in quote.charges if one.kind is Kind.GOODS}
    for obstacle in priced.obstacles:
        if isinstance(obstacle, ProductNotForSale):
            yield Difference("product", quantities.get(obstacle.product_id), None, obstacle.product_id)
        elif isinstance(obstacle, CodeRejected):
            continue  # _of_coupons tells it
        elif isinstance(obstacle, ShortOfStock):
            yield Difference("stock", quantities.get(obstacle.product_id), obstacle.available, obstacle.product_id)
        else:
            yield Difference(obstacle.slug(), None, obstacle.detail, obstacle.product_id)


def _of_charges(quote: Quote, priced: Priced) -> Iterator[Difference]:
    was_by_key, now_by_key = _by_key(quote.charges), _by_key(priced.charges)
    for key, was in was_by_key.items():
        now = now_by_key.get(key)
        if now is not None and (was.rate, was.jurisdiction) != (now.rate, now.jurisdiction):
            yield Difference("tax", was.rate, now.rate, was.product_id)
    if priced.offer and priced.offer.days != quote.days:
        yield Difference("days", quote.days, priced.offer.days)
    for kind in (Kind.SHIPPING, Kind.DISCOUNT):
        before, after = (
            _total([one for one in charges if one.kind is kind]) for charges in (quote.charges, priced.charges)
        )
        if before != after:
            yield Difference(kind.value, before, after)


def _of_coupons(quote: Quote, priced: Priced) -> Iterator[Difference]:
    """Codes that take nothing off any more, with the reason, and those whose coupon was changed so that the discount is
    another.
    """
    reasons = {one.code: one.reason for one in priced.obstacles if isinstance(one, CodeRejected)}
    now = {coupon.code: coupon.version for coupon in priced.coupons}
    is_other = _discounts(quote.charges) != _discounts(priced.charges)
    for coupon in quote.coupons:
        if coupon.code not in now:
            yield Difference("coupon", coupon.code, reasons.get(coupon.code))
        elif now[coupon.code] != coupon.version and is_other:
            yield Difference("coupon", coupon.code, "changed")


def _discounts(charges: tuple[Charge, ...]) -> list[Money]:
    return [one.amount for one in charges if one.kind is Kind.DISCOUNT]


def _by_key(charges: tuple[Charge, ...]) -> dict[tuple[Kind, str | None], Charge]:
    return {(one.kind, one.product_id): one for one in charges}


def _total(charges: Sequence[Charge]) -> Money | None:
    return Money.sum((one.amount for one in charges), charges[0].amount.currency) if charges else None


def _is_same(quote: Quote, priced: Priced) -> bool:
    """Whether the charges are equal in all but their descriptions: a product may have got another name."""
    before, after = (
        [one.model_copy(update={"description": ""}) for one in charges] for charges in (quote.charges, priced.charges)
    )
    return before == after and priced.is_whole and quote.customer == priced.customer
