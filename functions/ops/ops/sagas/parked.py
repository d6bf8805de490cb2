"""The parked queue's reader. Idempotent: a parking is identified by its time and tokens; a stale one changes
nothing.
"""

from __future__ import annotations

import json
import random
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from mercato.errors import TransientError
from mercato.events import dead_letters
from mercato.invocation import deadline
from mercato.telemetry import correlation
from mercato.telemetry.logs import log
from ops.sagas.domain import Parked
from ops.wiring import ports


class StepError(BaseModel):
    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")


class Message(BaseModel):
    """What the saga's AwaitOperator sends."""

    order_id: str
    step: str
    error: StepError
    failed_step: str
    reason: str
    task_token: str
    execution_arn: str
    correlation_id: str
    parked_at: AwareDatetime

    def as_parked(self) -> Parked:
        """Identified by the execution's name, since an order's saga and its cancellation may both be parked."""
        return Parked(
            saga=self.execution_arn.rpartition(":")[2],
            step=self.step,
            error=self.error.error,
            cause=self.error.cause,
            failed_step=self.failed_step,
            reason=self.reason,
            task_tokens=(self.task_token,),
            execution_arn=self.execution_arn,
            correlation_id=self.correlation_id,
            parked_at=self.parked_at,
        )


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A message that cannot be stored now is retried after a pause; an unreadable one becomes a dead letter at once."""
    with deadline.of_invocation(context):
        failed = [record["messageId"] for record in event["Records"] if not _keep(record)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _keep(record: dict[str, Any]) -> bool:
    try:
        message = Message.model_validate(json.loads(record["body"]))
    except (ValueError, ValidationError) as error:
        # The text would contain the task token, whose holder can resume the saga without an audit record.
        found = f"{error.error_count()} fields" if isinstance(error, ValidationError) else "not JSON"
        return dead_letters.move(record, dead_letters.MALFORMED, f"a parked message cannot be read: {found}")
    with correlation.bound(correlation.accept(message.correlation_id)):
        about = {"order_id": message.order_id, "step": message.step, "reason": message.error.error}
        try:
            is_new = ports().sagas.park(message.as_parked())
        except TransientError as error:
            log.warning("a parked saga cannot be stored now", extra=about | {"detail": str(error)})
            return dead_letters.give_back(record, error, random.uniform)
        log.warning("saga parked" if is_new else "saga was parked already", extra=about)
        return True
