"""Runs every five minutes and releases the claims that have expired without being made final."""

from __future__ import annotations

from typing import Any

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log
from promotions import usecases
from promotions.wiring import ports

_RESERVE = 15.0  # seconds: the last claim's writes end before the invocation does


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    """Idempotent: a released claim leaves the index, so the next run finds the rest after a crash. A run starts after
    the claim with which the last run began, so that a failing claim does not block the others.
    """
    now, claims = utc_now(), ports().claims
    released = left = 0
    for due in claims.due(now):
        if deadline.left() < _RESERVE:
            break
        try:
            claims.begin(due)
            released += usecases.expire(due.order_id, claims, now)
        except TransientError as error:
            left += 1
            log.warning("claim not released yet", extra={"order_id": due.order_id, "reason": str(error)})
    log.info("expired claims released", extra={"released": released, "left": left})
    return {"released": released, "left": left}
