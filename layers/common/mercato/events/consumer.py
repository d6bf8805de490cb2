"""Queue consumers: one function per event type, partial batches, and a DLQ with reasons.

A message that can never succeed (unreadable, unknown type or version, a business rule) goes to the DLQ at once, with
its reason as a message attribute. Any other failure is reported, and the queue redelivers the message after a growing
pause; after the last try it goes to the DLQ with its last error. Tries are counted here, not by the queue, which also
counts messages that were returned untried. A function with more work than one run has time for stores its progress and
raises Unfinished: the message is sent to its queue again, and its tries start from zero.
"""

from __future__ import annotations

import inspect
import json
import random
import time
import typing
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from mercato.errors import DomainError, TransientError
from mercato.events import dead_letters
from mercato.events.model import Event, Reads
from mercato.invocation import deadline
from mercato.telemetry import correlation, failures
from mercato.telemetry.logs import log

Handle = Callable[[Event, Any], None]
EVERY = "*"  # every event type that has no function of its own

_ENOUGH = 2.0  # seconds, for a message that makes AWS's and peers' usual calls


class Unprocessable(Exception):
    """This message can never succeed. The dead letters are grouped by `reason`."""

    def __init__(self, detail: str, reason: str = dead_letters.MALFORMED) -> None:
        super().__init__(detail)
        self.reason = reason


class Unfinished(Exception):
    """There is more to do than this run has time for. Progress is stored, and the next run continues from it."""


class Consumer:
    """The subscriptions of one service: `@consumer.on("order.confirmed")` on a function of (event, data).

    `@consumer.on(EVERY)` takes every type that has no function of its own.
    `longest` is what one message may take, in seconds: one that has less time left is returned untried.
    `jitter` is passed in for tests: a number between two.
    """

    def __init__(
        self, service: str, *, longest: float = _ENOUGH, jitter: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.service = service
        self._longest = longest
        self.subscriptions: dict[str, tuple[type[Reads], Handle]] = {}
        self._jitter = jitter

    def on(self, *event_types: str) -> Callable[[Handle], Handle]:
        def register(function: Handle) -> Handle:
            hints = typing.get_type_hints(function)
            second = list(inspect.signature(function).parameters)[1]
            for event_type in event_types:
                self.subscriptions[event_type] = (hints[second], function)
            return function

        return register

    def subscription_to(self, event_type: str) -> tuple[type[Reads], Handle] | None:
        return self.subscriptions.get(event_type) or self.subscriptions.get(EVERY)

    def handler(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        failures: list[dict[str, str]] = []
        enough = self._longest
        with deadline.of_invocation(context):
            for record in event["Records"]:
                # A message without time left is returned untried, and comes again after the queue's visibility timeout.
                # If the function were killed, all would come again.
                began = time.monotonic()
                if deadline.within(enough, reserve=1.0) < enough or not self._consume(record):
                    failures.append({"itemIdentifier": record["messageId"]})
                # The next message may take as long as the slowest so far.
                enough = max(enough, time.monotonic() - began)
        return {"batchItemFailures": failures}

    def _consume(self, record: dict[str, Any]) -> bool:
        """True if the message is finished: handled, or moved to the DLQ."""
        try:
            received = _read(record)
        except Unprocessable as error:
            with correlation.bound(correlation.accept(None)):
                return dead_letters.move(record, error.reason, str(error))
        work = correlation.accept(received.correlationid, received.traceparent, received.id, received.tracestate)
        with correlation.bound(work):
            begun = dead_letters.begin(record)
            if dead_letters.is_spent(record, begun):
                return True
            try:
                self._dispatch(received)
            except Unprocessable as error:
                return dead_letters.move(record, error.reason, str(error))
            except DomainError as error:
                return dead_letters.move(record, error.slug(), error.detail)
            except Unfinished as error:
                log.info("event goes on later", extra={"event_type": received.type, "reason": str(error)})
                return dead_letters.send_anew(record)
            except TransientError as error:
                log.warning("event will be retried", extra={"event_type": received.type, "reason": str(error)})
                return dead_letters.give_back(record, error, self._jitter, begun)
            except Exception as error:
                # Unknown errors may be transient, or fixed before the next try.
                log.exception("event failed", extra={"event_type": received.type, "event_id": received.id})
                failures.count()
                return dead_letters.give_back(record, error, self._jitter, begun)
            log.info(
                "event consumed",
                extra={"event_type": received.type, "event_id": received.id, "subject": received.subject},
            )
            return True

    def _dispatch(self, received: Event) -> None:
        subscription = self.subscription_to(received.type)
        if subscription is None:
            raise Unprocessable(f"{self.service} has no use for {received.type}", dead_letters.UNKNOWN_TYPE)
        model, function = subscription
        _check_version(received, model)
        try:
            data = model.model_validate(received.data)
        except ValidationError as error:
            raise Unprocessable(f"{received.type}: {_first(error)}") from None
        with correlation.acting(f"event:{received.type}"):
            function(received, data)


def _read(record: dict[str, Any]) -> Event:
    try:
        message = json.loads(record["body"])
        detail = message["detail"]
        return Event.model_validate(_enveloped(message) if str(message.get("source")).startswith("aws.") else detail)
    except ValidationError as error:
        raise Unprocessable(f"not a CloudEvent: {_first(error)}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unprocessable(f"not an EventBridge message: {error!r}") from None


def _enveloped(message: dict[str, Any]) -> dict[str, Any]:
    """An event of an AWS service, which EventBridge delivers at least once, with the same id each time."""
    return {
        "specversion": "1.0",
        "id": message["id"],
        "source": message["source"],
        "type": message["detail-type"],
        "time": message["time"],
        "subject": next(iter(message["resources"]), ""),
        "data": message["detail"],
    }


def _check_version(received: Event, model: type[Reads]) -> None:
    """Refuses a newer version, which breaks its readers by definition; compatible additions keep the version."""
    try:
        version = received.version
    except ValueError:
        raise Unprocessable(f"dataschema: {received.dataschema[:200]!r} ends in no version") from None
    if version > model.VERSION:
        raise Unprocessable(
            f"{received.type} is version {version}; this consumer reads up to {model.VERSION}",
            dead_letters.UNKNOWN_VERSION,
        )


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
