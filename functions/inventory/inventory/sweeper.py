"""Runs every five minutes and releases the reservations that have expired without being kept."""

from __future__ import annotations

from typing import Any

from inventory import usecases
from inventory.wiring import ports
from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log

_RESERVE = 15.0  # seconds: the last reservation's writes end before the invocation does


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    """Idempotent: a released record leaves the index, so the next run finds the rest after a crash. A run starts after
    the reservation with which the last run began, so that a failing reservation does not block the others.
    """
    now, expiries = utc_now(), ports().expiries
    released = left = 0
    is_over = True
    for due in expiries.due(now):
        if deadline.left() < _RESERVE:
            is_over = False
            break
        try:
            expiries.begin(due)
            released += usecases.expire(due.order_id, ports().store, now)
        except TransientError as error:
            left += 1
            log.warning("reservation not released yet", extra={"order_id": due.order_id, "reason": str(error)})
    if is_over and not left:
        expiries.mark_swept(now)
    log.info("expired reservations released", extra={"released": released, "left": left, "is_over": is_over})
    return {"released": released, "left": left}
