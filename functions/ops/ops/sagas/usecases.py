"""Resumes parked sagas and redrives failed executions, for operators."""

from __future__ import annotations

from typing import Protocol

from mercato.errors import TransientError
from ops.sagas.domain import (
    Action,
    AnotherStepParked,
    Command,
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


def resume_saga(command: Command, step: str | None, sagas: Sagas, executions: Workflows) -> Resumption:
    """Claims the saga and writes the audit record before it sends, so one of two concurrent operators succeeds, and
    each sending has a record.

    `step` is the step that the operator means. A skip must name it, so that a retry of the request cannot skip another
    step. Tries each token that the saga may wait for until one is valid, and drops the dead ones.
    """
    if step is None and command.action is Action.SKIP:
        raise StepMissing("Name the step to skip, as the list of parked sagas shows it.")
    parked = sagas.find(command.saga)
    if parked is None:
        raise SagaNotParked("This saga is not parked.")
    if step not in (None, parked.step):
        raise AnotherStepParked(f"This saga is parked in {parked.step}, not in {step}. Read it again before resuming.")
    resumption = command.in_step(parked.step)
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
        raise TransientError("A newer message about this saga has arrived. Resume it again.")
    raise SagaNotParked("The saga is not waiting any more.")


def redrive_saga(command: Command, sagas: Sagas, executions: Workflows) -> Resumption:
    """Redrives a saga that was stopped from outside or by a defect. One that undid its order is complete."""
    execution = executions.find(command.saga)
    if not execution.failed_itself:
        said = "still runs" if execution.status == "running" else f"has {execution.status} as a saga may end"
        raise SagaNotRedrivable(f"This saga {said}; there is nothing to redrive.")
    redriven = command.in_step(execution.stopped_in)
    sagas.record(redriven)
    executions.redrive(execution)
    return redriven
