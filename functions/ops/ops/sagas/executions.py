"""The saga's executions in Step Functions."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from mercato import aws
from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.store.dynamo import InvalidCursor
from ops.sagas.domain import (
    Action,
    Ending,
    Kind,
    SagaNotFound,
    SagaNotParked,
    SagaNotRedrivable,
    WorkflowRefused,
    ending_of,
    saga_of,
)
from ops.sagas.steps import Step, message_of, steps_of

_PAGE, _MOST_PAGES = 1000, 5
_AT_ONCE = 8
_GONE = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}
_UNKNOWN = {"ExecutionDoesNotExist", "InvalidArn"}
_BUSY = {"ThrottlingException", "ExecutionLimitExceeded", "ServiceUnavailable", "InternalServerError"}


@dataclass(frozen=True)
class Summary:
    """`name` is the execution's: see `saga_of`. `error` is why it failed, and `detail` the error's message."""

    name: str
    arn: str
    status: str
    started_at: str
    stopped_at: str | None
    error: str | None
    detail: str | None

    @property
    def ending(self) -> Ending | None:
        """None while it runs."""
        return ending_of(self.status, self.error)


@dataclass(frozen=True)
class Execution(Summary):
    """`definition` is that of the machine's version that runs it. `is_whole` is false if the history is longer."""

    redrive_count: int
    definition: dict[str, Any]
    steps: list[Step] = field(default_factory=list)
    is_whole: bool = True

    @property
    def failed_itself(self) -> bool:
        """It ended in a way that no state of the saga ends it, so the order may be half done."""
        if self.status in ("aborted", "timed_out"):
            return True
        return self.status == "failed" and not (self.steps and self.steps[-1].kind == "Fail")

    @property
    def stopped_in(self) -> str:
        return self.steps[-1].state if self.steps else self.definition["StartAt"]


class Executions:
    def __init__(self, state_machine_arn: str) -> None:
        """`state_machine_arn` may have a version or an alias; an execution's ARN does not."""
        parts = state_machine_arn.split(":")
        self._machine = ":".join(parts[:7])
        self._prefix = ":".join([*parts[:5], "execution", parts[6]])

    def find(self, order_id: str) -> Execution:
        arn = f"{self._prefix}:{order_id}"
        try:
            found = _call("describe_execution", executionArn=arn)
            machine = _call("describe_state_machine_for_execution", executionArn=arn)
            events, is_whole = _history(arn)
        except ClientError as error:
            if error.response["Error"]["Code"] in _UNKNOWN:
                raise SagaNotFound("There is no saga for this order.") from None
            raise
        return Execution(
            **vars(_summary(found)),
            redrive_count=found.get("redriveCount") or 0,
            definition=json.loads(machine["definition"]),
            steps=steps_of(events),
            is_whole=is_whole,
        )

    def list_page(
        self,
        status: str | None,
        *,
        kind: Kind | None = None,
        ending: Ending | None = None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[Summary], str | None]:
        """Newest first; None means every status. The cursor is Step Functions' own token, valid for a day.

        Step Functions does not filter by kind or ending. So a page holds the matching ones of `limit` executions,
        possibly none, and may still have a cursor.
        """
        call: dict[str, Any] = {"stateMachineArn": self._machine, "maxResults": limit}
        call |= {"statusFilter": status.upper()} if status else {}
        call |= {"nextToken": _token(cursor)} if cursor else {}
        try:
            page = _call("list_executions", **call)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidToken":
                raise InvalidCursor("The cursor cannot be read; start again without one.") from None
            raise
        listed = [found for found in page["executions"] if kind in (None, saga_of(found["name"])[1])]
        summaries = [summary for summary in _with_errors(listed) if ending in (None, summary.ending)]
        return summaries, _cursor(page.get("nextToken"))

    @staticmethod
    def resume(task_token: str, action: Action) -> None:
        """Raises SagaNotParked if the saga no longer waits on this token."""
        try:
            _call("send_task_success", taskToken=task_token, output=json.dumps({"action": action.value}))
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                raise SagaNotParked("The saga is not waiting any more.") from None
            raise WorkflowRefused(f"the saga was not resumed: {error}") from error

    @staticmethod
    def redrive(execution: Execution) -> None:
        """Continues from the state in which it stopped. Concurrent redrives of the same end redrive it once."""
        token = derived_id("redrive", execution.arn, str(execution.redrive_count))
        try:
            _call("redrive_execution", executionArn=execution.arn, clientToken=token)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionNotRedrivable":
                said = error.response["Error"]["Message"]
                raise SagaNotRedrivable(f"Step Functions cannot redrive this saga: {said}") from None
            raise WorkflowRefused(f"the saga was not redriven: {error}") from error


def _call(operation: str, **parameters: Any) -> dict[str, Any]:
    """Raises TransientError if a retry may succeed; a permanent error stays a ClientError."""
    try:
        answer: dict[str, Any] = getattr(aws.client("stepfunctions"), operation)(**parameters)
        return answer
    except ClientError as error:
        if error.response["Error"]["Code"] in _BUSY:
            raise TransientError(f"Step Functions, {operation}: {error}") from error
        raise
    except (ConnectionError, HTTPClientError) as error:
        raise TransientError(f"Step Functions, {operation}: {error}") from error


def _cursor(token: str | None) -> str | None:
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=") if token else None


def _token(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise InvalidCursor("The cursor cannot be read; start again without one.") from None


def _history(arn: str) -> tuple[list[dict[str, Any]], bool]:
    """The events without inputs and outputs, which contain the payment token and the customer's data."""
    call: dict[str, Any] = {"executionArn": arn, "maxResults": _PAGE, "includeExecutionData": False}
    events: list[dict[str, Any]] = []
    for _ in range(_MOST_PAGES):
        page = _call("get_execution_history", **call)
        events += page["events"]
        if "nextToken" not in page:
            return events, True
        call["nextToken"] = page["nextToken"]
    return events, False


def _with_errors(listed: list[dict[str, Any]]) -> list[Summary]:
    """Adds the errors, which the list lacks: reads each failed execution, several at once."""
    failed = [found["executionArn"] for found in listed if found["status"] == "FAILED"]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        errors = dict(
            zip(failed, pool.map(lambda arn: _call("describe_execution", executionArn=arn), failed), strict=True)
        )
    return [_summary(found | errors.get(found["executionArn"], {})) for found in listed]


def _summary(found: dict[str, Any]) -> Summary:
    stopped: datetime | None = found.get("stopDate")
    return Summary(
        name=found["name"],
        arn=found["executionArn"],
        status=found["status"].lower(),
        started_at=rfc3339(found["startDate"]),
        stopped_at=rfc3339(stopped) if stopped else None,
        error=found.get("error"),
        detail=message_of(found.get("cause")),
    )
