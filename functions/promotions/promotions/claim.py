"""A claim: the uses of coupons that one order holds.

    claimed ──► final
       │          │
       └────┬─────┘
            ▼
        released

A claim and the counters of its coupons change in one transaction, so that after any crash the record says what is
counted. A claim has an expiry until it is final; after that time any process may release it, whatever the state of the
saga. The saga makes it final before the order is confirmed; then only an undo ends it. `released` is also the tombstone
of a release that came first: no step leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, DomainError, NotFound

# Longer than the reservation of the order's goods, which begins after it and ends the saga's wait for a payment.
CLAIMED_FOR = timedelta(minutes=45)
EXPIRED = "expired"


class State(StrEnum):
    CLAIMED = "claimed"
    FINAL = "final"
    RELEASED = "released"


class CouponExhausted(Conflict):
    """Other orders took the last use of the coupon."""


class CouponUsedUp(Conflict):
    """Other orders of this customer took the last use that one customer has of the coupon."""


class ClaimExpired(Conflict):
    """The claim expired before it was made final. Another order may have the use by now."""


class ClaimReleased(Conflict):
    """The claim was released. A late claim must not take the use again."""


class NotClaimed(NotFound):
    """The order has no claim that could be made final."""


@dataclass(frozen=True)
class Use:
    """One use of a coupon, on the counter `counter`, and on the customer's own if the coupon has a limit for each."""

    code: str
    counter: int = 0
    per_customer: bool = False


@dataclass(frozen=True)
class Claim:
    """`revision` is 0 until it is stored; every step adds one. `expires_at` is None for one that cannot expire."""

    order_id: str
    customer: str = ""
    uses: tuple[Use, ...] = ()
    state: State = State.CLAIMED
    expires_at: datetime | None = None
    revision: int = 0
    reason: str = ""

    def is_expired(self, now: datetime) -> bool:
        return self.state is State.CLAIMED and self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class Step:
    """One transaction: the record before and after, and what each counter gains."""

    before: Claim
    after: Claim
    gains: int = 0


def take(order_id: str, customer: str, uses: Sequence[Use], now: datetime) -> Step:
    new = Claim(order_id)
    after = Claim(order_id, customer, tuple(uses), expires_at=now + CLAIMED_FOR, revision=1)
    return Step(new, after, gains=1)


def finish(claim: Claim) -> Step:
    """Removes the expiry. Raises for a released claim."""
    if claim.state is State.RELEASED:
        raise refused(claim)
    return Step(claim, replace(claim, state=State.FINAL, expires_at=None, revision=claim.revision + 1))


def release(claim: Claim, reason: str) -> Step:
    """Frees the uses. Of an order that claimed nothing it only writes the tombstone."""
    after = replace(claim, state=State.RELEASED, expires_at=None, reason=reason, revision=claim.revision + 1)
    return Step(claim, after, gains=-1)


def refused(claim: Claim) -> DomainError:
    """The error of a released claim."""
    if claim.reason == EXPIRED:
        return ClaimExpired("We could not hold the coupon of this order any longer. Please order again.")
    return ClaimReleased(f"The coupons of order {claim.order_id} were released ({claim.reason}).")
