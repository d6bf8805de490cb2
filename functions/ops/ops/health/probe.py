"""Probes the health of instances as a peer would call them, and reports changes to the registry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime
from typing import Protocol

from mercato.dataclass import dataclass
from mercato.invocation import deadline
from mercato.peers.transport import Answer, NoAnswer, Sender
from mercato.telemetry import correlation
from mercato.telemetry.logs import log
from ops.health.registry import Instance, Service

HEALTHY, UNHEALTHY = "healthy", "unhealthy"
# A cold start is no failure: an instance gets this time, twice, before it is unhealthy.
_PATIENCE, _ATTEMPTS = 10.0, 2
_AT_ONCE = 10  # the number of connections of an AWS client


@dataclass(frozen=True)
class Probe:
    """An instance's health at `at`. `detail` is empty if it is healthy."""

    service: str
    instance_id: str
    health: str
    detail: str
    took_ms: int
    at: datetime


class Health(Protocol):
    def set_health(self, service: Service, instance: Instance, health: str) -> None: ...


class Probes(Protocol):
    def save(self, probe: Probe) -> None: ...


def probe_all(
    services: list[Service], transport: Sender, registry: Health, probes: Probes, now: datetime
) -> list[Probe]:
    """Probes all instances, ten at once. A failed report on one does not stop the others."""

    def probe_and_report(service: Service, instance: Instance) -> Probe:
        found = probe(service, instance, transport, now)
        if found.health != instance.health:
            registry.set_health(service, instance, found.health)
            level = log.info if found.health == HEALTHY else log.warning
            about = {"peer": service.name, "instance": instance.instance_id, "health": found.health}
            level("health changed", extra=about | {"was": instance.health, "reason": found.detail})
        probes.save(found)
        return found

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [
            pool.submit(copy_context().run, probe_and_report, service, instance)
            for service in services
            for instance in service.instances
        ]
    return [future.result() for future in futures]


def probe(
    service: Service,
    instance: Instance,
    transport: Sender,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> Probe:
    """Healthy at the first good answer, unhealthy after the last bad one."""
    started, detail = clock(), ""
    for _ in range(_ATTEMPTS):
        detail = _ask(instance, transport)
        if not detail:
            break
    took_ms = int((clock() - started) * 1000)
    return Probe(service.name, instance.instance_id, UNHEALTHY if detail else HEALTHY, detail, took_ms, now)


def _ask(instance: Instance, transport: Sender) -> str:
    """The problem, or ""."""
    work = correlation.current()
    headers = {"X-Request-Id": work.correlation_id, "Traceparent": correlation.next_hop(work.traceparent)}
    if instance.version:
        headers["X-Mesh-Version"] = instance.version
    url = instance.url.rstrip("/") + "/health"
    try:
        answer = transport.send("GET", url, headers=headers, timeout=deadline.within(_PATIENCE, reserve=2.0))
    except NoAnswer as error:
        return str(error)[:200]
    return "" if answer.status == 200 else f"{answer.status} {_complaint(answer)}".rstrip()


def _complaint(answer: Answer) -> str:
    try:
        checks = json.loads(answer.body).get("checks", {})
        return ", ".join(f"{name}: {said}" for name, said in checks.items() if said != "ok")[:200]
    except (ValueError, AttributeError):
        return ""
