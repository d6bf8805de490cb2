"""Every half hour, asks the carrier's system about parcels that have not arrived, since a webhook may never come."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from shipping import usecases
from shipping.store import Tracked
from shipping.wiring import Ports, ports

ASK_AFTER = timedelta(hours=1)  # the webhook comes within minutes
_WATCHED = timedelta(days=60)
_RUN = timedelta(minutes=30)
_RUNS_PER_ANSWER = 8  # each parcel is asked about every four hours
_RESERVE = 15.0  # seconds: the last parcel's call must end before the invocation does


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    outcome = vars(reconcile(ports(), utc_now(), lambda: deadline.left() > _RESERVE))
    metrics.count("ParcelsLeft", outcome["left"])
    metrics.flush()
    log.info("parcels reconciled", extra=outcome)
    return outcome


@dataclass
class Outcome:
    """`left`: not asked about, for want of time or of an answer. `moved`: of which a webhook had not come."""

    asked: int = 0
    moved: int = 0
    left: int = 0


def reconcile(ports: Ports, now: datetime, has_time: Callable[[], bool]) -> Outcome:
    """One run. The next run starts after the parcel that this run began last, so that one that fails, or kills a run,
    does not block the others.
    """
    outcome = Outcome()
    for found in ports.shipments.tracked_in_turn():
        if not _is_due(found, now):
            continue
        if not has_time():
            outcome.left += 1
            continue
        ports.shipments.begin_turn(found)
        try:
            has_moved = _ask(found.shipment_id, ports, now)
        except (TransientError, DomainError) as error:
            outcome.left += 1
            about = {"shipment_id": found.shipment_id, "reason": f"{type(error).__name__}: {error}"}
            log.warning("a parcel is not reconciled yet", extra=about)
        else:
            outcome.asked += has_moved is not None
            outcome.moved += bool(has_moved)
    return outcome


def _ask(shipment_id: str, ports: Ports, now: datetime) -> bool | None:
    """Whether the parcel has moved; None for one without a label."""
    before = ports.shipments.load(shipment_id).shipment
    if before is None or before.label_url is None:
        return None
    progress = ports.easypost.progress(before, usecases.booking_key_of(shipment_id))
    if progress is None:
        return False
    after = usecases.record_progress(progress, ports.easypost.name, shipments=ports.shipments, now=now)
    return after.status is not before.status


def _is_due(found: Tracked, now: datetime) -> bool:
    if not ASK_AFTER <= now - found.since <= _WATCHED:
        return False
    run = int(now.timestamp() // _RUN.total_seconds())
    return run % _RUNS_PER_ANSWER == zlib.crc32(found.shipment_id.encode()) % _RUNS_PER_ANSWER
