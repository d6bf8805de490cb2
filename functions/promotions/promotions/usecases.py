"""The use cases of promotions, one function per verb. Each docstring says how the use case is idempotent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mercato.dataclass import dataclass
from mercato.errors import TooManyRequests, TransientError
from mercato.store.retry import RESEND_ATTEMPTS, retry_on_conflict
from promotions import claim as claims_of_orders
from promotions import domain
from promotions.claim import Claim, State, Use
from promotions.domain import Basket, Coupon, CouponChanged, CouponNotFound, Evaluation
from promotions.store import ClaimMoved, Claims, Coupons, Guesses, counter_of

MOST_GUESSES = 10  # unknown codes of one customer in an hour
MOST_OF_NETWORK = 50  # and of all customers of one network, since a guest is a new customer with each cart
_ATTEMPTS = 8


class TooManyCodes(TooManyRequests):
    """The customer, or the customer's network, has tried too many unknown codes."""

    def __init__(self, seconds: int) -> None:
        minutes = max(1, round(seconds / 60))
        super().__init__(
            "Too many codes that we do not know were tried here. Please try again in "
            f"{minutes} {'minute' if minutes == 1 else 'minutes'}.",
            retry_after=seconds,
        )


class UnknownCoupon(CouponNotFound):
    """An order was placed with a code that no coupon has."""


@dataclass(frozen=True)
class Question:
    """`codes` are all codes of a checkout, `entered` those that its buyer enters now. Both are normalised. `network` is
    the one that the buyer's request came from.
    """

    codes: tuple[str, ...]
    entered: tuple[str, ...]
    customer: str
    basket: Basket
    network: str

    def limits(self) -> dict[str, int]:
        """The most guesses in an hour of each one for whom they are counted."""
        return {self.customer: MOST_GUESSES, f"network:{self.network}": MOST_OF_NETWORK}


def add_coupon(coupon: Coupon, request_id: str, coupons: Coupons) -> Coupon:
    """Idempotent by the request's id, also for a code that is generated: a retry finds the first one's coupon."""
    earlier = coupons.made_by(request_id)
    if earlier is None:
        coupons.insert(domain.checked(coupon), request_id)
    return earlier or coupon


def find_coupon(code: str, coupons: Coupons) -> Coupon:
    coupon = coupons.find(domain.normalise_code(code))
    if coupon is None:
        raise CouponNotFound("There is no coupon with this code.")
    return coupon


def change_coupon(code: str, version: int, given: Mapping[str, Any], coupons: Coupons) -> Coupon:
    """Idempotent: a retry of the last change finds it done, also a retry that runs at once."""

    def write(before: Coupon) -> Coupon:
        changed = domain.changed_coupon(before, version, given)
        if changed is not before:
            coupons.replace_coupon(changed, before)
        return changed

    return retry_on_conflict(
        lambda: find_coupon(code, coupons), write, conflict=CouponChanged, attempts=RESEND_ATTEMPTS
    )


def end_coupon(code: str, coupons: Coupons, now: datetime) -> None:
    """Idempotent. The coupon stays in the list, and its code is never used again."""

    def write(before: Coupon) -> None:
        ended = domain.ended_coupon(before, now)
        if ended is not before:
            coupons.replace_coupon(ended, before)

    retry_on_conflict(lambda: find_coupon(code, coupons), write, conflict=CouponChanged, attempts=_ATTEMPTS)


def evaluate(question: Question, coupons: Coupons, guesses: Guesses, now: datetime) -> Evaluation:
    """Decides on each code. Claims nothing. Raises TooManyCodes instead of an answer about codes that are guessed."""
    limits = question.limits()
    if question.entered and not guesses.count(limits, len(question.entered), now):
        raise TooManyCodes(guesses.seconds_left(now))
    known = coupons.standings(question.codes, question.customer)
    if right := sum(code in known for code in question.entered):
        guesses.give_back(limits, right, now)
    return domain.evaluate(question.codes, known, question.basket, now)


def claim(
    order_id: str, customer: str, codes: Sequence[str], *, coupons: Coupons, claims: Claims, now: datetime
) -> Claim:
    """Claims a use of each coupon or of none. Idempotent per order. Raises CouponExhausted or CouponUsedUp, and after a
    release its error.

    Whether a coupon is valid was decided when the order was placed: only the uses are decided here.
    """
    found = coupons.find_all(codes)
    if missing := [code for code in codes if code not in found]:
        raise UnknownCoupon(f"We do not know the code {missing[0]}.")
    uses = [
        Use(code, counter_of(found[code], order_id), per_customer=found[code].limit_per_customer is not None)
        for code in codes
    ]
    limits = {code: coupon.limit_per_customer for code, coupon in found.items()}
    step = claims_of_orders.take(order_id, customer, uses, now)
    try:
        claims.take_step(step, limits)
    except ClaimMoved:
        earlier = claims.find(order_id)
        if earlier is None:
            raise TransientError(f"the claim of order {order_id} is being written") from None
        if earlier.state is State.RELEASED:
            raise claims_of_orders.refused(earlier) from None
        return earlier
    return step.after


def finish(order_id: str, claims: Claims) -> None:
    """Makes the claim final. Idempotent. Raises the error of a released claim."""
    for _ in range(_ATTEMPTS):
        current = claims.find(order_id)
        if current is None:
            raise claims_of_orders.NotClaimed(f"Order {order_id} has no claim on a coupon.")
        if current.state is State.FINAL or _take(claims_of_orders.finish(current), claims):
            return
    raise TransientError(f"the claim of order {order_id} changes too often")


def release(order_id: str, reason: str, claims: Claims) -> None:
    """Frees the order's uses exactly once. Idempotent. Without a claim it writes the tombstone, so a late one fails."""
    for _ in range(_ATTEMPTS):
        current = claims.find(order_id) or Claim(order_id)
        if current.state is State.RELEASED or _take(claims_of_orders.release(current, reason), claims):
            return
    raise TransientError(f"the claim of order {order_id} changes too often")


def expire(order_id: str, claims: Claims, now: datetime) -> bool:
    """Releases an expired claim. Returns False if it has become final, or was released, in between."""
    current = claims.find(order_id)
    if current is None or not current.is_expired(now):
        return False
    return _take(claims_of_orders.release(current, claims_of_orders.EXPIRED), claims)


def normalise(codes: Iterable[str]) -> tuple[str, ...]:
    """Each code once, in its order."""
    return tuple(dict.fromkeys(domain.normalise_code(code) for code in codes))


def _take(step: claims_of_orders.Step, claims: Claims) -> bool:
    """Takes a step. False if another invocation took one first."""
    try:
        claims.take_step(step, {})
    except ClaimMoved:
        return False
    return True
