"""Run every five minutes: asks the provider about all that is not settled."""

from __future__ import annotations

from typing import Any

from mercato import correlation, deadline, metrics
from mercato.clock import utc_now
from mercato.logs import log
from payments.reconcile import reconcile
from payments.settings import provider, store

_RESERVE = 25.0  # seconds: the last payment's calls must end before the invocation does


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with correlation.bound(correlation.accept(event.get("id"))), deadline.of_invocation(context):
        outcome = vars(reconcile(store(), provider(), utc_now(), lambda: deadline.left() > _RESERVE))
        metrics.count("PaymentMismatches", outcome["mismatches"])
        metrics.count("PaymentsLeft", outcome["left"])
        metrics.flush()
        log.info("payments reconciled", extra=outcome)
        return outcome
