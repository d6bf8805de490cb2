"""The path of an execution: its history, state by state."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from mercato.clock import rfc3339
from mercato.dataclass import dataclass


class Outcome(StrEnum):
    """How a state ended: successfully, by an error that led to another state, not yet, or as the end of the
    execution.
    """

    DONE = "done"
    CAUGHT = "caught"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """One failed try. `detail` is the message, without a stack trace."""

    at: str
    error: str
    detail: str | None


@dataclasses.dataclass
class Step:
    """One visit to a state. `tries` is 0 if the state calls nothing. `redrives`: how often it was started again."""

    state: str
    kind: str
    entered_at: str
    left_at: str | None = None
    tries: int = 0
    redrives: int = 0
    outcome: Outcome = Outcome.RUNNING
    failures: list[Failure] = field(default_factory=list)

    @property
    def duration_ms(self) -> int | None:
        """None while it lasts."""
        if self.left_at is None:
            return None
        lasted = datetime.fromisoformat(self.left_at) - datetime.fromisoformat(self.entered_at)
        return round(lasted.total_seconds() * 1000)


def steps_of(events: Iterable[dict[str, Any]]) -> list[Step]:
    """Reads Step Functions' events, oldest first. Each service integration has its own names for a try."""
    steps: list[Step] = []
    last_try_failed = False
    for event in events:
        kind, at = event["type"], rfc3339(event["timestamp"])
        details: dict[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
        if kind.endswith("StateEntered"):
            steps.append(Step(details["name"], kind.removesuffix("StateEntered"), at))
            last_try_failed = False
            continue
        if not steps:
            continue
        step = steps[-1]
        if kind.endswith("StateExited"):
            step.left_at, step.outcome = at, Outcome.CAUGHT if last_try_failed else Outcome.DONE
        elif kind == "ExecutionSucceeded":
            step.left_at, step.outcome = step.left_at or at, Outcome.DONE
        elif kind.startswith("Execution") and kind != "ExecutionRedriven":
            # ExecutionFailed, ExecutionAborted, ExecutionTimedOut. A Fail state or a task already has its error.
            step.left_at, step.outcome = at, Outcome.FAILED
            error = details.get("error") or kind.removeprefix("Execution")
            if not step.failures or step.failures[-1].error != error:
                step.failures.append(Failure(at, error, message_of(details.get("cause"))))
        elif kind == "ExecutionRedriven":
            step.left_at, step.outcome, step.redrives = None, Outcome.RUNNING, step.redrives + 1
        elif kind.endswith("Scheduled"):
            step.tries += 1
            last_try_failed = False
        elif "error" in details or kind.endswith(("Failed", "TimedOut")):
            step.failures.append(Failure(at, details.get("error", kind), message_of(details.get("cause"))))
            last_try_failed = True
    return steps


def message_of(cause: str | None) -> str | None:
    """The message of a Lambda's error document, without the stack trace."""
    try:
        found = json.loads(cause or "")
    except ValueError:
        return cause or None
    return str(found["errorMessage"]) if isinstance(found, dict) and "errorMessage" in found else cause
