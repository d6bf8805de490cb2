"""Finds a peer's address in AWS Cloud Map. Answers are cached for about 30 s, and longer if Cloud Map is
unavailable.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.peers.transport import Sender, Transport
from mercato.telemetry.logs import log

_FRESH = 30.0
_PATIENCE = 1.0  # seconds: a cached address now beats a new one later


class UnknownPeer(TransientError):
    """No instance is registered under this name, or Cloud Map cannot be reached and no earlier answer is cached."""


@dataclass(frozen=True)
class Instance:
    url: str
    weight: int


@dataclass(frozen=True)
class _Known:
    instances: list[Instance]
    asked_at: float
    fresh_for: float


class Addresses(Protocol):
    """Where and how a client reaches its peer: a registry and signed calls, or the mesh's sidecar."""

    def transport(self) -> Sender: ...

    def find(self, service: str, avoid: Collection[str] = ()) -> str: ...

    def doubt(self, service: str) -> None: ...


def _instance(attributes: Mapping[str, str]) -> Instance | None:
    """Returns None if it must not be called: without a URL, or drained by a weight of 0."""
    url, weight = attributes.get("url", ""), attributes.get("weight", "1")
    if not url or not weight.isdecimal() or int(weight) == 0:
        return None
    return Instance(url.rstrip("/"), int(weight))


class Registry:
    """The instances of a namespace's services, picked by weight among the healthy ones.

    `now` is the wall clock: the monotonic one may stand still while a sandbox is frozen, so that an old address would
    look fresh.
    """

    def __init__(
        self,
        namespace: str,
        now: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.namespace = namespace
        self._now = now
        self._uniform = uniform
        self._known: dict[str, _Known] = {}

    def transport(self) -> Transport:
        return Transport()

    def find(self, service: str, avoid: Collection[str] = ()) -> str:
        """The URL of one instance; one of `avoid` only if there is no other. Raises UnknownPeer."""
        known = self._known.get(service)
        if known is None or not 0 <= self._now() - known.asked_at < known.fresh_for:
            known = self._refresh(service, known)
        instances = [one for one in known.instances if one.url not in avoid] or known.instances
        return random.choices(instances, [instance.weight for instance in instances])[0].url

    def doubt(self, service: str) -> None:
        """The address does not answer: the next call asks Cloud Map. Keeps the cached address until then."""
        known = self._known.get(service)
        if known is not None:
            self._known[service] = _Known(known.instances, known.asked_at, 0.0)

    def _refresh(self, service: str, last: _Known | None) -> _Known:
        try:
            instances = self._ask(service, "HEALTHY")
            if not instances and (instances := self._ask(service, "ALL")):
                log.warning("no instance is healthy, using all", extra={"peer": service})
        except (ClientError, BotoCoreError) as error:
            if last is None:
                raise UnknownPeer(f"cannot look up {service} in {self.namespace}: {error}") from error
            log.warning("discovery unavailable, using the last answer", extra={"peer": service, "reason": str(error)})
            instances = last.instances
        if not instances:
            self._known.pop(service, None)
            raise UnknownPeer(f"no instance of {service} is registered in {self.namespace}")
        self._known[service] = _Known(instances, self._now(), _FRESH * self._uniform(0.8, 1.2))
        return self._known[service]

    def _ask(self, service: str, health: str) -> list[Instance]:
        answer = aws.client("servicediscovery", attempts=1, patience=_PATIENCE).discover_instances(
            NamespaceName=self.namespace, ServiceName=service, HealthStatus=health
        )
        return [one for found in answer["Instances"] if (one := _instance(found["Attributes"]))]
