"""Run hourly: announces the carts that nobody has touched for a day."""

from __future__ import annotations

from typing import Any

from carts import usecases
from carts.wiring import ports
from mercato.clock import utc_now
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    announced = usecases.announce_abandoned(ports().idle_carts, utc_now())
    log.info("abandoned carts announced", extra={"carts": announced})
    return {"announced": announced}
