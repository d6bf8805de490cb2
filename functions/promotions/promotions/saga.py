"""The saga's steps on coupons. All are idempotent and safe when late or concurrent: the claim's record decides."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mercato import clock
from mercato.invocation.tasks import Tasks
from promotions import usecases
from promotions.domain import MAX_CODES
from promotions.wiring import ports

tasks = Tasks("promotions")
handler = tasks.handler


class TaskInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    order_id: Annotated[str, Field(min_length=1, max_length=64)]


class ClaimedCoupons(BaseModel):
    """`customer` is whose uses are counted, as the evaluation of the codes answered it."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    codes: Annotated[list[str], Field(min_length=1, max_length=MAX_CODES)]
    customer: Annotated[str, Field(min_length=1, max_length=200)]


class ClaimCoupon(TaskInput):
    coupons: ClaimedCoupons


class ReleaseCoupon(TaskInput):
    reason: str


class Done(BaseModel):
    order_id: str


@tasks.task("ClaimCoupon")
def claim_coupon(step: ClaimCoupon) -> Done:
    """Idempotent: there is one record per order, and a retry finds it."""
    codes = usecases.normalise(step.coupons.codes)
    now = clock.utc_now()
    usecases.claim(step.order_id, step.coupons.customer, codes, coupons=ports().coupons, claims=ports().claims, now=now)
    return Done(order_id=step.order_id)


@tasks.task("KeepCoupon")
def keep_coupon(step: TaskInput) -> Done:
    """Idempotent: a final claim stays final. Fails permanently if it has expired."""
    usecases.finish(step.order_id, ports().claims)
    return Done(order_id=step.order_id)


@tasks.task("ReleaseCoupon")
def release_coupon(step: ReleaseCoupon) -> Done:
    """Idempotent: `released` is final, and no later claim leaves it."""
    usecases.release(step.order_id, step.reason, ports().claims)
    return Done(order_id=step.order_id)
