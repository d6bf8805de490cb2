"""Run every minute: asks each service for its health, and keeps callers away from what is not well."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from mercato import config, correlation, deadline
from mercato.clock import utc_now
from mercato.dynamo import Table
from mercato.logs import log
from mercato.wire import Wire
from ops.probes import ProbeStore
from ops.probing import HEALTHY, probe_all
from ops.registry import CloudMap


@dataclass(frozen=True)
class Settings:
    """`services`: the Cloud Map id of each, as `orders=srv-1,users=srv-2`."""

    table_name: str
    namespace: str
    services: str

    def service_ids(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.services.split(","))


@functools.cache
def settings() -> Settings:
    return config.load(Settings)


@functools.cache
def wire() -> Wire:
    return Wire(connections=10)


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with correlation.bound(correlation.accept(event.get("id"))), deadline.of_invocation(context):
        cloud_map = CloudMap(settings().namespace, settings().service_ids())
        probes = ProbeStore(Table(settings().table_name))
        found = probe_all(cloud_map.services(), wire(), cloud_map, probes, utc_now())
        well = sum(probe.health == HEALTHY for probe in found)
        log.info("services probed", extra={"healthy": well, "unhealthy": len(found) - well})
        return {"healthy": well, "unhealthy": len(found) - well}
