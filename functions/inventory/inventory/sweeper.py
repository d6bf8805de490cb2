"""Run every five minutes: releases the reservations whose time is over and that nobody has kept."""

from __future__ import annotations

from typing import Any

from inventory import usecases
from inventory.expiry import Expiries
from inventory.wiring import store, table
from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    """Run twice or killed in the middle, the next run finds what is left: a record leaves the index when it is done."""
    now, expiries = utc_now(), Expiries(table())
    released = left = 0
    for order_id in expiries.due(now):
        try:
            released += usecases.expire(order_id, store(), now)
        except TransientError as error:
            left += 1
            log.warning("reservation not released yet", extra={"order_id": order_id, "reason": str(error)})
    if not left:
        expiries.mark_swept(now)
    log.info("expired reservations released", extra={"released": released, "left": left})
    return {"released": released, "left": left}
