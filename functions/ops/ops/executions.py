"""The saga's executions, as Step Functions tells of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from mercato import aws
from mercato.clock import rfc3339
from mercato.errors import TransientError
from ops.domain import Action, SagaNotFound, SagaNotParked

_MOST_EVENTS = 1000
_GONE = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


@dataclass(frozen=True)
class Moment:
    """One event of an execution. `state` is the state it was in."""

    at: str
    event: str
    state: str | None
    error: str | None
    detail: str | None


@dataclass(frozen=True)
class Execution:
    arn: str
    status: str
    started_at: str
    stopped_at: str | None
    timeline: list[Moment]
    is_whole: bool


class Executions:
    def __init__(self, state_machine_arn: str) -> None:
        """`state_machine_arn` may carry a version or an alias: an execution's ARN does not."""
        parts = state_machine_arn.split(":")
        self._prefix = ":".join([*parts[:5], "execution", parts[6]])

    def find(self, order_id: str) -> Execution:
        arn = f"{self._prefix}:{order_id}"
        client = aws.client("stepfunctions")
        try:
            found = client.describe_execution(executionArn=arn)
            # Inputs and outputs hold the payment token and the customer's data: they are not asked for.
            history = client.get_execution_history(
                executionArn=arn, maxResults=_MOST_EVENTS, includeExecutionData=False
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
                raise SagaNotFound("There is no saga for this order.") from None
            raise
        stopped: datetime | None = found.get("stopDate")
        return Execution(
            arn=arn,
            status=found["status"].lower(),
            started_at=rfc3339(found["startDate"]),
            stopped_at=rfc3339(stopped) if stopped else None,
            timeline=_timeline(history["events"]),
            is_whole="nextToken" not in history,
        )

    @staticmethod
    def resume(task_token: str, action: Action) -> None:
        """Raises SagaNotParked where the saga does not wait on this token any more."""
        try:
            aws.client("stepfunctions").send_task_success(
                taskToken=task_token, output=json.dumps({"action": action.value})
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _GONE:
                raise SagaNotParked("The saga does not wait any more.") from None
            raise TransientError(f"the saga cannot be resumed now: {code}") from error


def _timeline(events: list[dict[str, Any]]) -> list[Moment]:
    """What happened, less what only says that Step Functions is at work."""
    timeline: list[Moment] = []
    state: str | None = None
    for event in events:
        details: dict[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
        kind = event["type"]
        if kind.endswith("StateEntered"):
            state = details.get("name")
        error = details.get("error")
        if error or kind.endswith(("StateEntered", "StateExited")) or kind.startswith("Execution"):
            timeline.append(Moment(rfc3339(event["timestamp"]), kind, state, error, _message(details.get("cause"))))
        if kind.endswith("StateExited"):
            state = None
    return timeline


def _message(cause: str | None) -> str | None:
    """The message of a Lambda's error document; a stack trace is for the logs."""
    try:
        found = json.loads(cause or "")
    except ValueError:
        return cause or None
    return str(found["errorMessage"]) if isinstance(found, dict) and "errorMessage" in found else cause
