"""Runs hourly and publishes the carts that have not changed for a day, or for as many as the shop says."""

from __future__ import annotations

from typing import Any

from carts.wiring import ports
from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log

_RESERVE = 15.0  # seconds: the last cart's writes end before the invocation does


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    """Publishes each cart on condition that it is still idle, so that concurrent sweepers publish it once. A run starts
    after the cart with which the last run began, so that a failing cart does not block the others.
    """
    now, idle = utc_now(), ports().idle_carts
    announced = left = 0
    is_over = True
    for cart in idle.untouched_since(now - ports().abandoned_after):
        if deadline.left() < _RESERVE:
            is_over = False
            break
        try:
            idle.begin(cart)
            announced += idle.announce(cart, now)
        except TransientError as error:
            left += 1
            log.warning("cart not published yet", extra={"cart_id": cart.public_id, "reason": str(error)})
    log.info("abandoned carts published", extra={"carts": announced, "left": left, "is_over": is_over})
    return {"announced": announced, "left": left}
