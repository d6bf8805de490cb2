"""Parked sagas: their undo failed, and they wait for an operator."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound, SagaEnd


class Action(StrEnum):
    """What the saga does next: retry the stuck step, or skip it. `redrive` restarts a failed execution."""

    RETRY = "retry"
    SKIP = "skip"
    REDRIVE = "redrive"


class Kind(StrEnum):
    """The purpose of an execution: to carry out an order, or to cancel one for its customer."""

    ORDER = "order"
    CANCELLATION = "cancellation"


class Ending(StrEnum):
    """How an execution ended. For Step Functions, a saga that undid its order has failed, whatever the reason. Declined
    payments, missing stock, used coupons and cancellations are business outcomes; the others are failures.
    """

    COMPLETED = "completed"
    DECLINED = "declined"
    OUT_OF_STOCK = "out_of_stock"
    COUPON_USED = "coupon_used"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


_BUSINESS_ENDS: dict[str, Ending] = {
    SagaEnd.PAYMENT_DECLINED: Ending.DECLINED,
    SagaEnd.CAPTURE_REFUSED: Ending.DECLINED,
    SagaEnd.PAYMENT_NOT_COMPLETED: Ending.DECLINED,
    SagaEnd.OUT_OF_STOCK: Ending.OUT_OF_STOCK,
    SagaEnd.RESERVATION_EXPIRED: Ending.EXPIRED,
    SagaEnd.CLAIM_EXPIRED: Ending.EXPIRED,
    SagaEnd.COUPON_EXHAUSTED: Ending.COUPON_USED,
    SagaEnd.COUPON_USED_UP: Ending.COUPON_USED,
    SagaEnd.UNKNOWN_PRODUCT: Ending.OUT_OF_STOCK,
    SagaEnd.CANCELLED_BY_CUSTOMER: Ending.CANCELLED,
}
_CANCELLATION = ".cancellation"  # follows the order's id in the name of the execution that cancels it


def saga_of(name: str) -> tuple[str, Kind]:
    """The order and the kind of an execution, from its name."""
    order_id = name.removesuffix(_CANCELLATION)
    return order_id, Kind.ORDER if order_id == name else Kind.CANCELLATION


def ending_of(status: str, error: str | None) -> Ending | None:
    """The ending, from Step Functions' status and the error of a failed execution; None while it runs."""
    if status in ("running", "pending_redrive"):
        return None
    if status == "succeeded":
        return Ending.COMPLETED
    return _BUSINESS_ENDS.get(error or "", Ending.FAILED) if status == "failed" else Ending.FAILED


class SagaNotFound(NotFound):
    """The order has no saga."""


class SagaNotParked(Conflict):
    """The saga is not parked, or another operator is resuming it."""


class AnotherStepParked(Conflict):
    """The saga is parked in another step than the request names. It has moved on since it was read."""


class StepMissing(Invalid):
    """A skip must name the step that was done by other means."""


class SagaNotRedrivable(Conflict):
    """The saga is still running, or has ended without a failure."""


class WorkflowRefused(Exception):
    """The workflow service refuses permanently, for a missing permission or a defect of ours."""


@dataclass(frozen=True)
class Parked:
    """`step` is the undo that fails with `error`; `failed_step` and `reason` say why the order is undone.

    `saga` is the execution's name: a cancellation may be parked beside the saga of the same order. `task_tokens` are
    those that the saga may wait for. There are several if Step Functions retried its message after a lost response:
    each message has its own token, and only the last one that was made is valid.
    """

    saga: str
    step: str
    error: str
    cause: str
    failed_step: str
    reason: str
    task_tokens: tuple[str, ...]
    execution_arn: str
    correlation_id: str
    parked_at: datetime


@dataclass(frozen=True)
class Command:
    """An operator's request to resume or redrive a saga."""

    saga: str
    action: Action
    reason: str
    operator: str
    request_id: str
    at: datetime

    def in_step(self, step: str) -> Resumption:
        return Resumption(self.saga, step, self.action, self.reason, self.operator, self.request_id, self.at)


@dataclass(frozen=True)
class Resumption:
    """Who resumed or redrove which saga, when and why, for the audit. `step` is the state in which it waited."""

    saga: str
    step: str
    action: Action
    reason: str
    operator: str
    request_id: str
    at: datetime
