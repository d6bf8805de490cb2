"""Run every minute: asks each service for its health, and keeps callers away from what is not well; asks Lambda which
streams and queues are read, and tells the alarm.
"""

from __future__ import annotations

from typing import Any

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.invocation.schedule import scheduled
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from ops.health import mappings
from ops.health.probing import HEALTHY, probe_all
from ops.wiring import ports


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    watch_mappings()  # first: a service that hangs takes what time there is
    cloud_map = ports().cloud_map
    found = probe_all(cloud_map.services(), ports().wire, cloud_map, ports().probes, utc_now())
    well = sum(probe.health == HEALTHY for probe in found)
    log.info("services probed", extra={"healthy": well, "unhealthy": len(found) - well})
    return {"healthy": well, "unhealthy": len(found) - well}


def watch_mappings() -> None:
    """Counts those that do not work. Where Lambda does not say, nothing is counted, and the alarm rings for that."""
    try:
        down = mappings.find_down(ports().prober.sources.split(","))
    except TransientError as error:
        log.error("nobody knows whether streams and queues are read", extra={"reason": str(error)})
        return
    for source, reason in down.items():
        log.warning("a stream or queue is not read", extra={"event_source": source, "reason": reason})
    metrics.count("MappingsDown", len(down))
    metrics.flush()
