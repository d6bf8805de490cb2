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
from ops import registry
from ops.probes import ProbeStore
from ops.probing import HEALTHY, probe_all


@dataclass(frozen=True)
class Settings:
    table_name: str
    namespace: str


@functools.cache
def settings() -> Settings:
    return config.load(Settings)


@functools.cache
def wire() -> Wire:
    return Wire()


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with correlation.bound(correlation.accept(event.get("id"))), deadline.of_invocation(context):
        services = registry.list_services(settings().namespace)
        probes = ProbeStore(Table(settings().table_name))
        found = probe_all(services, wire(), registry.CloudMap(), probes, utc_now())
        well = sum(probe.health == HEALTHY for probe in found)
        log.info("services probed", extra={"healthy": well, "unhealthy": len(found) - well})
        return {"healthy": well, "unhealthy": len(found) - well}
