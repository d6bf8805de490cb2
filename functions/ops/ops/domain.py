"""A parked saga: one that could not undo itself and waits for an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mercato.errors import Conflict, Invalid, NotFound


class Action(StrEnum):
    """What the saga does next: the stuck step again, or the one after it. Redriven is what failed as a workflow."""

    RETRY = "retry"
    SKIP = "skip"
    REDRIVE = "redrive"


class SagaNotFound(NotFound):
    """There is no execution for this order."""


class SagaNotParked(Conflict):
    """The saga waits for nobody, or another operator is resuming it."""


class AnotherStepParked(Conflict):
    """The saga is parked in another step than the one that is meant: it has gone on since somebody looked."""


class StepMissing(Invalid):
    """A skip names the step that is done by other means."""


class SagaNotRedrivable(Conflict):
    """The saga still runs, or has come to an end of its own."""


class WorkflowRefused(Exception):
    """The workflow service says no and would say it again, for want of a permission or by a defect of ours."""


@dataclass(frozen=True)
class Parked:
    """`step` is the undo that fails with `error`; `failed_step` and `reason` say why the order was undone at all.

    `order_id` is the execution's name: a cancellation may be parked beside the saga of the same order.
    """

    order_id: str
    step: str
    error: str
    cause: str
    failed_step: str
    reason: str
    task_token: str
    execution_arn: str
    correlation_id: str
    parked_at: datetime


@dataclass(frozen=True)
class Resumption:
    """Who resumed or redrove what, when and why: what the audit keeps. `step` is the state in which it stood."""

    order_id: str
    step: str
    action: Action
    reason: str
    operator: str
    request_id: str
    at: datetime
