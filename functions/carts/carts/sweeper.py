"""Run hourly: announces the carts that nobody has touched for a day."""

from __future__ import annotations

from typing import Any

from carts import usecases
from carts.idle import IdleCarts
from carts.shop import table
from mercato.clock import utc_now
from mercato.logs import log
from mercato.schedule import scheduled


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    announced = usecases.announce_abandoned(IdleCarts(table()), utc_now())
    log.info("abandoned carts announced", extra={"carts": announced})
    return {"announced": announced}
