"""Run every five minutes: asks the provider about all that is not settled."""

from __future__ import annotations

from typing import Any

from mercato.clock import utc_now
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from payments.reconcile import reconcile
from payments.wiring import provider, store

_RESERVE = 25.0  # seconds: the last payment's calls must end before the invocation does


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    outcome = vars(reconcile(store(), provider(), utc_now(), lambda: deadline.left() > _RESERVE))
    metrics.count("PaymentMismatches", outcome["mismatches"])
    metrics.count("PaymentsLeft", outcome["left"])
    metrics.flush()
    log.info("payments reconciled", extra=outcome)
    return outcome
