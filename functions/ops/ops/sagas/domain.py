"""A parked saga: one that could not undo itself and waits for an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mercato.errors import Conflict, Invalid, NotFound, SagaEnd


class Action(StrEnum):
    """What the saga does next: the stuck step again, or the one after it. Redriven is what failed as a workflow."""

    RETRY = "retry"
    SKIP = "skip"
    REDRIVE = "redrive"


class Kind(StrEnum):
    """What an execution does: carry an order through, or undo one that its customer cancelled."""

    ORDER = "order"
    CANCELLATION = "cancellation"


class Ending(StrEnum):
    """How an execution ended. A saga that undid its order ends as failed for Step Functions, whatever the reason was:
    the bank declined, the stock was out and the customer cancelled are ends of the business, and the others failures.
    """

    COMPLETED = "completed"
    DECLINED = "declined"
    OUT_OF_STOCK = "out_of_stock"
    CANCELLED = "cancelled"
    FAILED = "failed"


_BUSINESS_ENDS: dict[str, Ending] = {
    SagaEnd.PAYMENT_DECLINED: Ending.DECLINED,
    SagaEnd.CAPTURE_REFUSED: Ending.DECLINED,
    SagaEnd.OUT_OF_STOCK: Ending.OUT_OF_STOCK,
    SagaEnd.UNKNOWN_PRODUCT: Ending.OUT_OF_STOCK,
    SagaEnd.CANCELLED_BY_CUSTOMER: Ending.CANCELLED,
}
_CANCELLATION = ".cancellation"  # after the order's id, in the name of the execution that undoes it


def saga_of(name: str) -> tuple[str, Kind]:
    """The order and the kind of an execution, by its name."""
    order_id = name.removesuffix(_CANCELLATION)
    return order_id, Kind.ORDER if order_id == name else Kind.CANCELLATION


def ending_of(status: str, error: str | None) -> Ending | None:
    """By Step Functions' status and the error of an execution that failed; None while it runs."""
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
    """The workflow service says no and would say it again, for want of a permission or by a defect of ours."""


@dataclass(frozen=True)
class Parked:
    """`step` is the undo that fails with `error`; `failed_step` and `reason` say why the order was undone at all.

    `saga` is the execution's name: a cancellation may be parked beside the saga of the same order. `task_tokens` are
    those that the saga may wait for. There are several where Step Functions sent its message again, since the answer to
    the first was lost: each message has a token of its own, and only the last one that was made is alive.
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
    """Who resumed or redrove which saga, when and why: what the audit keeps. `step` is the state in which it stood."""

    saga: str
    step: str
    action: Action
    reason: str
    operator: str
    request_id: str
    at: datetime
