"""Queue consumers: one function per event type, partial batches, and a DLQ that says why.

What can never succeed (unreadable, unknown type, a business rule) goes to the DLQ at once, with its reason as a message
attribute. Anything else is reported back as failed, and the queue delivers it again.
"""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from mercato import aws, correlation, deadline
from mercato.errors import DomainError, TransientError
from mercato.events import Event
from mercato.logs import log

Handle = Callable[[Event, Any], None]


class Unprocessable(Exception):
    """This message can never succeed."""


class Consumer:
    """The subscriptions of one service: `@consumer.on("order.confirmed")` on a function of (event, data)."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.subscriptions: dict[str, tuple[type[BaseModel], Handle]] = {}

    def on(self, *event_types: str) -> Callable[[Handle], Handle]:
        def register(function: Handle) -> Handle:
            hints = typing.get_type_hints(function)
            second = list(inspect.signature(function).parameters)[1]
            for event_type in event_types:
                self.subscriptions[event_type] = (hints[second], function)
            return function

        return register

    def handler(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        failures: list[dict[str, str]] = []
        with deadline.of_invocation(context):
            for record in event["Records"]:
                if not self._consume(record):
                    failures.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failures}

    def _consume(self, record: dict[str, Any]) -> bool:
        """True where the message is done with: handled, or moved to the DLQ."""
        try:
            received = _read(record)
        except Unprocessable as error:
            with correlation.bound(correlation.accept(None)):
                return _to_dlq(record, "malformed", str(error))
        work = correlation.accept(received.correlationid, received.traceparent, received.id, received.tracestate)
        with correlation.bound(work):
            try:
                self._dispatch(received)
            except Unprocessable as error:
                return _to_dlq(record, "malformed", str(error))
            except DomainError as error:
                return _to_dlq(record, error.slug(), error.detail)
            except TransientError as error:
                log.warning("event will be retried", extra={"event_type": received.type, "reason": str(error)})
                return False
            except Exception:
                # Unknown is not permanent: the queue tries it again, and its own limit moves it to the DLQ.
                log.exception("event failed", extra={"event_type": received.type, "event_id": received.id})
                return False
            log.info(
                "event consumed",
                extra={"event_type": received.type, "event_id": received.id, "subject": received.subject},
            )
            return True

    def _dispatch(self, received: Event) -> None:
        if received.type not in self.subscriptions:
            raise Unprocessable(f"{self.service} has no use for {received.type}")
        model, function = self.subscriptions[received.type]
        try:
            data = model.model_validate(received.data)
        except ValidationError as error:
            raise Unprocessable(f"{received.type}: {_first(error)}") from None
        function(received, data)


def _read(record: dict[str, Any]) -> Event:
    try:
        return Event.model_validate(json.loads(record["body"])["detail"])
    except ValidationError as error:
        raise Unprocessable(f"not a CloudEvent: {_first(error)}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unprocessable(f"not an EventBridge message: {error!r}") from None


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


@functools.cache
def _dlq_url(queue_arn: str) -> str:
    """The dead-letter queue of `shop-orders` is `shop-orders-dlq`, by convention of infra/subscription.yaml."""
    return str(aws.client("sqs").get_queue_url(QueueName=f"{queue_arn.rpartition(':')[2]}-dlq")["QueueUrl"])


def _to_dlq(record: dict[str, Any], reason: str, detail: str) -> bool:
    """False where the DLQ cannot be reached: the record stays in its queue, and the rest of the batch goes on."""
    log.error(
        "event moved to the dead-letter queue",
        extra={"reason": reason, "detail": detail, "message_id": record["messageId"]},
    )
    attributes = {
        "reason": reason,
        "detail": "".join(char if char.isprintable() else " " for char in detail[:1000]) or "-",
        "correlation_id": correlation.current().correlation_id,
        "message_id": record["messageId"],
    }
    try:
        aws.client("sqs").send_message(
            QueueUrl=_dlq_url(record["eventSourceARN"]),
            MessageBody=record["body"],
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("the dead-letter queue cannot be reached", extra={"reason": str(error)})
        return False
    return True
