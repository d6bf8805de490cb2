"""Where a peer is: AWS Cloud Map, cached. An answer is kept for about 30 s, and for longer where Cloud Map is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.logs import log

_FRESH = 30.0


@dataclass(frozen=True)
class Instance:
    url: str
    weight: int


def _instance(attributes: Mapping[str, str]) -> Instance | None:
    """None where no call may go there: without a URL, or drained by a weight of 0."""
    url, weight = attributes.get("url", ""), attributes.get("weight", "1")
    if not url or not weight.isdecimal() or int(weight) == 0:
        return None
    return Instance(url.rstrip("/"), int(weight))


class Registry:
    """The instances of a namespace's services, picked by weight among the healthy."""

    def __init__(self, namespace: str, now: Callable[[], float] = time.monotonic) -> None:
        self.namespace = namespace
        self._now = now
        self._known: dict[str, tuple[float, list[Instance]]] = {}

    def find(self, service: str) -> str:
        """The URL of one instance. Raises TransientError where none is known."""
        expires, instances = self._known.get(service, (0.0, []))
        if self._now() >= expires:
            instances = self._refresh(service, instances)
        if not instances:
            raise TransientError(f"no instance of {service} is registered in {self.namespace}")
        return random.choices(instances, [instance.weight for instance in instances])[0].url

    def _refresh(self, service: str, last: list[Instance]) -> list[Instance]:
        try:
            instances = self._ask(service, "HEALTHY")
            if not instances and (instances := self._ask(service, "ALL")):
                log.warning("no instance is healthy, using all", extra={"peer": service})
        except (ClientError, BotoCoreError) as error:
            if not last:
                raise TransientError(f"cannot look up {service}: {error}") from error
            log.warning("discovery is away, using the last answer", extra={"peer": service, "reason": str(error)})
            instances = last
        if instances:
            self._known[service] = (self._now() + _FRESH * random.uniform(0.8, 1.2), instances)
        return instances

    def _ask(self, service: str, health: str) -> list[Instance]:
        answer = aws.client("servicediscovery").discover_instances(
            NamespaceName=self.namespace, ServiceName=service, HealthStatus=health
        )
        return [one for found in answer["Instances"] if (one := _instance(found["Attributes"]))]
