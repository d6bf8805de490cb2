"""A coupon: what it takes from which goods, and why it is rejected. Pure.

All arithmetic is on integers of minor units. A percentage is taken from the sum of the goods that the coupon applies to
and rounded once, half up, so that its parts cannot add up to another amount.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from mercato.charges import allocate
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound
from mercato.money import Money

CODE = r"^[A-Za-z0-9][A-Za-z0-9-]{2,31}$"
MAX_CODES = 5  # in one order: each claim takes up to two counters of one transaction
MAX_LIMIT = 10**9
MAX_PRODUCTS = 100
WHOLE = 10_000  # basis points
# Without 0, 1, I and O, which people confuse. Twelve of them are 60 bits.
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GUEST = "guest:"  # the id of a buyer without an account begins with it
_TAGGED = re.compile(r"\+.*$")
_DOTS_DO_NOT_COUNT = {"gmail.com", "googlemail.com"}


class CouponNotFound(NotFound):
    """There is no coupon with this code."""


class CouponExists(Conflict):
    """Another coupon has this code. A code is never used again, also after its coupon has ended."""


class CouponChanged(Conflict):
    """The coupon is not at the version that the change names."""


class CouponEnded(Conflict):
    """The coupon has ended. It cannot be changed any more."""


class InvalidCoupon(Invalid):
    """The coupon contradicts itself. `errors` has each finding."""


class Kind(StrEnum):
    PERCENTAGE = "percentage"
    AMOUNT = "amount"
    FREE_SHIPPING = "free_shipping"


class Reason(StrEnum):
    """Why a code is rejected. The names are stable."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    EXHAUSTED = "exhausted"
    USED_UP = "used-up"
    BELOW_MINIMUM = "below-minimum"
    NOTHING_APPLIES = "nothing-applies"
    NOT_COMBINABLE = "not-combinable"
    OTHER_CURRENCY = "other-currency"


@dataclass(frozen=True)
class Coupon:
    """`basis_points` are a percentage's: 1,000 are 10 %. `minimum` is the least value of all goods, before discounts.

    Without products and a category the coupon applies to all goods, else to those of either. `limit` is the most uses
    of all customers, `limit_per_customer` of each one; whether a coupon has them is fixed, since uses are counted from
    its beginning. `combines`: other coupons that combine may be used beside it.
    """

    code: str
    description: str
    kind: Kind
    created_at: datetime
    version: int = 1
    basis_points: int | None = None
    amount: Money | None = None
    minimum: Money | None = None
    product_ids: tuple[str, ...] = ()
    category: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    limit: int | None = None
    limit_per_customer: int | None = None
    combines: bool = False
    ended_at: datetime | None = None

    def applies_to(self, goods: Goods) -> bool:
        if not self.product_ids and self.category is None:
            return True
        return goods.product_id in self.product_ids or (self.category is not None and goods.category == self.category)


@dataclass(frozen=True)
class Goods:
    """A line of the order. `price` is that of all its pieces, in minor units."""

    product_id: str
    price: int
    category: str | None = None


@dataclass(frozen=True)
class Basket:
    """The goods of one order, at most one line per product, in one currency."""

    goods: tuple[Goods, ...]
    currency: str

    @property
    def price(self) -> int:
        return sum(line.price for line in self.goods)


@dataclass(frozen=True)
class Standing:
    """A coupon and its uses so far: `used` by all, `used_by_customer` by the one who asks."""

    coupon: Coupon
    used: int = 0
    used_by_customer: int = 0


@dataclass(frozen=True)
class Accepted:
    """What a coupon takes: from the goods, by product id, in minor units, or the whole price of the delivery."""

    coupon: Coupon
    parts: Mapping[str, int]

    @property
    def is_free_shipping(self) -> bool:
        return self.coupon.kind is Kind.FREE_SHIPPING


@dataclass(frozen=True)
class Rejected:
    code: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Evaluation:
    """`accepted` in the order in which the coupons take their parts, `rejected` in the order of the codes."""

    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]


def normalise_code(text: str) -> str:
    return text.strip().upper()


def new_code() -> str:
    """A code that nobody can guess, such as 7KQM-X2RW-9HTA."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(12))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"


def customer_of(user_id: str, email: str | None) -> str:
    """Whose uses are counted: the account's, or for a guest those of the normalised e-mail address, as a digest.

    Two spellings of one mailbox are one guest: case does not count, nor what follows a + in front of the @, nor the
    dots of a Gmail address. An account and a guest with the same address are counted apart. A guest who has given no
    address yet is counted by the id of the cart, and cannot order with it.
    """
    if user_id and not (email and user_id.startswith(_GUEST)):
        return f"account:{user_id}"
    local, _, domain = unicodedata.normalize("NFKC", email or "").strip().casefold().rpartition("@")
    local = _TAGGED.sub("", local)
    if domain in _DOTS_DO_NOT_COUNT:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"email:{sha256(f'{local}@{domain}'.encode()).hexdigest()}"


def checked(coupon: Coupon) -> Coupon:
    """Raises InvalidCoupon with each contradiction."""
    if errors := [{"field": field, "message": message} for field, message in _findings(coupon)]:
        raise InvalidCoupon(f"{errors[0]['field']} {errors[0]['message']}.", errors=errors)
    return coupon


def _findings(coupon: Coupon) -> Iterable[tuple[str, str]]:
    for kind, name in ((Kind.PERCENTAGE, "basis_points"), (Kind.AMOUNT, "amount")):
        has_it = getattr(coupon, name) is not None
        if has_it and coupon.kind is not kind:
            yield name, f"belongs to a coupon of the kind {kind}"
        elif coupon.kind is kind and not has_it:
            yield name, f"is missing: the kind {kind} needs it"
    for name in ("amount", "minimum"):
        money: Money | None = getattr(coupon, name)
        if money is not None and money.amount < 1:
            yield name, "must be more than 0"
    if coupon.amount and coupon.minimum and coupon.amount.currency != coupon.minimum.currency:
        yield "minimum", f"must be in {coupon.amount.currency}, as the amount is"
    if coupon.valid_from and coupon.valid_until and coupon.valid_until <= coupon.valid_from:
        yield "valid_until", "must be after valid_from"
    if coupon.kind is Kind.FREE_SHIPPING and (coupon.product_ids or coupon.category):
        yield "kind", "free_shipping concerns the delivery, so it takes no products and no category"


def changed_coupon(coupon: Coupon, version: int, given: Mapping[str, Any]) -> Coupon:
    """The coupon with the given fields, at its next version. A retry of the last change returns the coupon as it is.

    Raises CouponChanged, CouponEnded and InvalidCoupon.
    """
    if coupon.ended_at is not None:
        raise CouponEnded(f"The coupon {coupon.code} has ended, so it cannot be changed.")
    changed = replace(coupon, **given)
    if coupon.version == version + 1 and changed == coupon:
        return coupon
    if coupon.version != version:
        raise CouponChanged(
            f"The coupon is at version {coupon.version}, not {version}. Please read it again.", version=coupon.version
        )
    errors = [
        {"field": name, "message": "cannot be added or removed, since uses are counted from the coupon's beginning"}
        for name in ("limit", "limit_per_customer")
        if (getattr(coupon, name) is None) != (getattr(changed, name) is None)
    ]
    if errors:
        raise InvalidCoupon(f"{errors[0]['field']} {errors[0]['message']}.", errors=errors)
    return checked(replace(changed, version=version + 1))


def ended_coupon(coupon: Coupon, now: datetime) -> Coupon:
    """Orders that were placed with it keep their discount."""
    return coupon if coupon.ended_at else replace(coupon, ended_at=now, version=coupon.version + 1)


def evaluate(codes: Sequence[str], known: Mapping[str, Standing], basket: Basket, now: datetime) -> Evaluation:
    """Decides on each code. The codes are normalised, and there is no code twice.

    Of codes that do not combine the first one counts. Percentages take their part first, then amounts from what is
    left, so the order of the codes changes no total.
    """
    rejected: dict[str, Rejected] = {}
    valid: list[Coupon] = []
    for code in codes:
        try:
            valid.append(_valid(known.get(code), valid, basket, now))
        except _Rejection as rejection:
            rejected[code] = Rejected(code, rejection.reason, str(rejection))
    left = {line.product_id: line.price for line in basket.goods}
    accepted: list[Accepted] = []
    for coupon in sorted(valid, key=lambda one: (list(Kind).index(one.kind), one.code)):
        parts = _parts(coupon, basket, left)
        is_shipping_free = any(one.is_free_shipping for one in accepted)
        if parts or (coupon.kind is Kind.FREE_SHIPPING and not is_shipping_free):
            accepted.append(Accepted(coupon, parts))
            left = {product_id: price - parts.get(product_id, 0) for product_id, price in left.items()}
        else:
            detail = "There is nothing in this order that the code makes cheaper."
            rejected[coupon.code] = Rejected(coupon.code, Reason.NOTHING_APPLIES, detail)
    return Evaluation(tuple(accepted), tuple(rejected[code] for code in codes if code in rejected))


class _Rejection(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _valid(standing: Standing | None, others: Sequence[Coupon], basket: Basket, now: datetime) -> Coupon:
    if standing is None:
        raise _Rejection(Reason.UNKNOWN, "We do not know this code. Please check how it is written.")
    coupon = standing.coupon
    if coupon.ended_at or (coupon.valid_until and coupon.valid_until <= now):
        raise _Rejection(Reason.EXPIRED, "This code is not valid any more.")
    if coupon.valid_from and coupon.valid_from > now:
        raise _Rejection(Reason.NOT_YET, "This code is not valid yet.")
    if coupon.limit is not None and standing.used >= coupon.limit:
        raise _Rejection(Reason.EXHAUSTED, "This code has been used as often as it may be.")
    if coupon.limit_per_customer is not None and standing.used_by_customer >= coupon.limit_per_customer:
        raise _Rejection(Reason.USED_UP, "You have used this code as often as one customer may.")
    if others and not (coupon.combines and all(one.combines for one in others)):
        raise _Rejection(Reason.NOT_COMBINABLE, "This code cannot be used together with another one.")
    for money in (coupon.amount, coupon.minimum):
        if money and money.currency != basket.currency:
            raise _Rejection(Reason.OTHER_CURRENCY, f"This code is for orders in {money.currency}.")
    if not any(coupon.applies_to(line) for line in basket.goods):
        raise _Rejection(Reason.NOTHING_APPLIES, "There is nothing in this order that the code is for.")
    if coupon.minimum and basket.price < coupon.minimum.amount:
        raise _Rejection(Reason.BELOW_MINIMUM, f"This code is for orders of goods for {coupon.minimum} or more.")
    return coupon


def _parts(coupon: Coupon, basket: Basket, left: Mapping[str, int]) -> dict[str, int]:
    """What the coupon takes from each product. `left` is what the products cost after the coupons before it."""
    found = [line.product_id for line in basket.goods if coupon.applies_to(line)]
    prices = [left[product_id] for product_id in found]
    if coupon.basis_points is not None:
        amount = (sum(prices) * coupon.basis_points + WHOLE // 2) // WHOLE
    elif coupon.amount is not None:
        amount = min(coupon.amount.amount, sum(prices))
    else:
        return {}
    return {product_id: part for product_id, part in zip(found, allocate(amount, prices), strict=True) if part}
