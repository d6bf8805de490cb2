"""What an operator does with a saga that is parked, or that failed as a workflow."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mercato.errors import TransientError
from ops.sagas.domain import (
    Action,
    AnotherStepParked,
    Parked,
    Resumption,
    SagaNotParked,
    SagaNotRedrivable,
    StepMissing,
    WorkflowRefused,
)
from ops.sagas.executions import Execution


class Sagas(Protocol):
    def find(self, saga: str) -> Parked | None: ...

    def claim(self, parked: Parked, resumption: Resumption) -> None: ...

    def drop_token(self, parked: Parked, token: str, resumption: Resumption) -> Parked | None: ...

    def unlist(self, parked: Parked, resumption: Resumption) -> bool: ...

    def give_back(self, parked: Parked, resumption: Resumption) -> None: ...

    def close(self, parked: Parked, resumption: Resumption) -> None: ...

    def record(self, resumption: Resumption) -> None: ...


class Workflows(Protocol):
    def resume(self, task_token: str, action: Action) -> None: ...

    def find(self, saga: str) -> Execution: ...

    def redrive(self, execution: Execution) -> None: ...


def resume_saga(
    saga: str,
    action: Action,
    reason: str,
    *,
    step: str | None,
    operator: str,
    request_id: str,
    now: datetime,
    sagas: Sagas,
    executions: Workflows,
) -> Resumption:
    """Claim and audit first, then send: of two operators one is let through, and nothing is sent without a record.

    `step` is the one that is meant: a skip names it, so that saying it again, its answer lost, skips no other.
    Each token that the saga may wait for is tried until one is alive; a dead one is dropped.
    """
    if step is None and action is Action.SKIP:
        raise StepMissing("Name the step that is to be skipped, as the list of parked sagas has it.")
    parked = sagas.find(saga)
    if parked is None:
        raise SagaNotParked("This saga is not parked.")
    if step not in (None, parked.step):
        raise AnotherStepParked(f"This saga is parked in {parked.step}, not in {step}: look again before resuming it.")
    resumption = Resumption(saga, parked.step, action, reason, operator, request_id, now)
    sagas.claim(parked, resumption)
    try:
        _send(parked, resumption, sagas, executions)
    except (TransientError, WorkflowRefused):
        sagas.give_back(parked, resumption)
        raise
    sagas.close(parked, resumption)
    return resumption


def _send(parked: Parked, resumption: Resumption, sagas: Sagas, executions: Workflows) -> None:
    left: Parked | None = parked
    while left and left.task_tokens:
        token = left.task_tokens[0]
        try:
            executions.resume(token, resumption.action)
        except SagaNotParked:
            left = sagas.drop_token(parked, token, resumption)
        else:
            return
    if left and not sagas.unlist(parked, resumption):
        raise TransientError("A message about this saga has come meanwhile: resume it again.")
    raise SagaNotParked("The saga does not wait any more.")


def redrive_saga(
    saga: str,
    reason: str,
    *,
    operator: str,
    request_id: str,
    now: datetime,
    sagas: Sagas,
    executions: Workflows,
) -> Resumption:
    """Only what was ended from outside, or by a defect, goes on: a saga that undid its order has nothing left to do."""
    execution = executions.find(saga)
    if not execution.failed_itself:
        said = "still runs" if execution.status == "running" else f"has {execution.status} as a saga may end"
        raise SagaNotRedrivable(f"This saga {said}; there is nothing to redrive.")
    redriven = Resumption(saga, execution.stopped_in, Action.REDRIVE, reason, operator, request_id, now)
    sagas.record(redriven)
    executions.redrive(execution)
    return redriven
