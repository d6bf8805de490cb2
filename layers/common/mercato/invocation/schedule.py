"""Scheduled functions, which EventBridge invokes at fixed times, and an operator by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mercato.invocation import deadline
from mercato.telemetry import correlation
from mercato.telemetry.logs import log


def scheduled[Outcome](run: Callable[[dict[str, Any]], Outcome]) -> Callable[[dict[str, Any], Any], Outcome]:
    """Makes `run` a Lambda handler.

    `run` takes the event and returns the outcome, which is the response as JSON. The event's id is the correlation id
    of the run; an event without one gets a new id. An exception is logged with that id and raised again, so that Lambda
    counts the error and the schedule's retry policy applies.
    """

    @functools.wraps(run)
    def handler(event: dict[str, Any], context: Any) -> Outcome:
        with correlation.bound(correlation.accept(event.get("id"))), deadline.of_invocation(context):
            try:
                return run(event)
            except Exception:
                log.exception("scheduled run failed")
                raise

    return handler
