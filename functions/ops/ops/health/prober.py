"""Every minute: probes the health of each service, takes unhealthy instances out of discovery, and counts the streams
and queues that are not read, for an alarm.
"""

from __future__ import annotations

from typing import Any

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.invocation.schedule import scheduled
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from ops.health import mappings
from ops.health.probe import HEALTHY, probe_all
from ops.wiring import ports


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    watch_mappings()  # first, since a service that hangs takes the rest of the time
    cloud_map = ports().cloud_map
    services = cloud_map.services()
    if ports().prober.mesh_socket:
        services = [service.through_mesh() for service in services]
    found = probe_all(services, ports().transport, cloud_map, ports().probes, utc_now())
    well = sum(probe.health == HEALTHY for probe in found)
    log.info("services probed", extra={"healthy": well, "unhealthy": len(found) - well})
    return {"healthy": well, "unhealthy": len(found) - well}


def watch_mappings() -> None:
    """Counts the mappings that do not work. If Lambda does not answer, counts nothing, which raises the alarm too."""
    try:
        down = mappings.find_down(ports().prober.sources.split(","))
    except TransientError as error:
        log.error("the state of streams and queues is unknown", extra={"reason": str(error)})
        return
    for source, reason in down.items():
        log.warning("a stream or queue is not read", extra={"event_source": source, "reason": reason})
    metrics.count("MappingsDown", len(down))
    metrics.flush()
