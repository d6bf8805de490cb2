"""The versions of a shop's services in Cloud Map: who shares the calls, and by what weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from infra.mesh.policy import LIVE, Policy
from infra.operator.target import Target, client
from infra.trouble import Trouble

WHOLE = 100
_PATIENCE, _LOOKS = 60.0, 0.5  # seconds, for an operation of Cloud Map
_BUSY = ("DuplicateRequest", "ResourceInUse")
_AGAIN = "Look at mercato mesh status, and run it again."


@dataclass(frozen=True)
class Instance:
    """An instance of a service in Cloud Map. `health` is empty where it was not asked for."""

    id: str
    attributes: Mapping[str, str]
    health: str = ""

    @property
    def version(self) -> str:
        return self.attributes.get("version") or LIVE

    @property
    def is_healthy(self) -> bool:
        return self.health == "HEALTHY"

    @property
    def weight(self) -> int:
        """As the sidecars read it: no calls where it is no number."""
        text = self.attributes.get("weight", "1")
        return int(text) if text.isdecimal() else 0


@dataclass(frozen=True)
class Change:
    """One instance's weight, before and after."""

    instance: Instance
    weight: int


class Registry:
    """Cloud Map's namespace of the shop."""

    def __init__(self, shop: Target) -> None:
        self._cloud_map = client(shop, "servicediscovery")
        self._namespace = shop.stack

    def discover(self, service: str) -> list[Instance]:
        """What a caller finds, with the health that it goes by. None of a service that is not registered."""
        try:
            found = self._cloud_map.discover_instances(
                NamespaceName=self._namespace, ServiceName=service, HealthStatus="ALL"
            )["Instances"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ServiceNotFound":
                raise
            return []
        instances = [Instance(one["InstanceId"], one.get("Attributes", {}), one["HealthStatus"]) for one in found]
        return sorted(instances, key=lambda one: (one.version != LIVE, one.version, one.id))

    def service_id(self, name: str) -> str:
        """The id of a service of the namespace. Raises Trouble if there is none."""
        pages = self._cloud_map.get_paginator("list_namespaces").paginate()
        namespaces = [one["Id"] for page in pages for one in page["Namespaces"] if one["Name"] == self._namespace]
        chosen = [{"Name": "NAMESPACE_ID", "Values": namespaces or ["none"], "Condition": "EQ"}]
        pages = self._cloud_map.get_paginator("list_services").paginate(Filters=chosen)
        for one in [one["Id"] for page in pages for one in page["Services"] if one["Name"] == name]:
            # The local cloud lists those of all namespaces.
            if self._cloud_map.get_service(Id=one)["Service"]["NamespaceId"] in namespaces:
                return str(one)
        raise Trouble(f"Cloud Map has no service {name} in the namespace {self._namespace}", "Is the shop deployed?")

    def instances(self, service_id: str) -> list[Instance]:
        """What is registered now. Callers may find it some seconds later."""
        pages = self._cloud_map.get_paginator("list_instances").paginate(ServiceId=service_id)
        found = [Instance(one["Id"], one.get("Attributes", {})) for page in pages for one in page["Instances"]]
        return sorted(found, key=lambda one: one.id)

    def set_weight(self, service_id: str, change: Change, health: str, sleep: Callable[[float], None]) -> None:
        """Registers the instance with its new weight and waits until Cloud Map has done it. An instance that is
        registered again is healthy, unless its attributes say otherwise. Raises Trouble.
        """
        attributes = {**change.instance.attributes, "weight": str(change.weight)}
        attributes.pop("AWS_INIT_HEALTH_STATUS", None)
        if health == "UNHEALTHY":
            attributes["AWS_INIT_HEALTH_STATUS"] = health
        try:
            operation = self._cloud_map.register_instance(
                ServiceId=service_id, InstanceId=change.instance.id, Attributes=attributes
            )["OperationId"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _BUSY:
                raise
            raise Trouble(f"{change.instance.id} is being changed by someone else just now", _AGAIN) from error
        ends_at = time.monotonic() + _PATIENCE
        while (state := self._cloud_map.get_operation(OperationId=operation)["Operation"])["Status"] != "SUCCESS":
            if state["Status"] == "FAIL":
                raise Trouble(
                    f"Cloud Map did not change {change.instance.id}: {state.get('ErrorMessage', 'no reason')}", _AGAIN
                )
            if time.monotonic() > ends_at:
                raise Trouble(f"Cloud Map has not changed {change.instance.id} within {_PATIENCE:.0f} seconds", _AGAIN)
            sleep(_LOOKS)


def wanted_of(rules: Policy, service: str, named: Mapping[str, int]) -> dict[str, int]:
    """The weight of each version in percent. A version that is not named gets no calls; the live one gets the rest if
    it is not named. Raises Trouble for names that the policy lacks and weights that do not add up.
    """
    if service not in rules.services:
        raise Trouble(f"the policy has no service {service}", f"It has {', '.join(sorted(rules.services))}.")
    versions = rules.services[service].versions
    if unknown := sorted(set(named) - set(versions)):
        raise Trouble(f"{service} has no version {', '.join(unknown)}", f"The policy lists {', '.join(versions)}.")
    told = ", ".join(f"{version}={weight}" for version, weight in named.items())
    rest = WHOLE - sum(named.values())
    if rest < 0 or (LIVE in named and rest):
        raise Trouble(
            f"the weights add up to {WHOLE - rest}, not to {WHOLE}: {told}",
            f"Name the versions beside {LIVE} alone, which gets the rest, or make the sum {WHOLE}.",
        )
    return dict.fromkeys(versions, 0) | {LIVE: rest} | dict(named)


def changes_of(service: str, instances: list[Instance], wanted: Mapping[str, int]) -> list[Change]:
    """The weight of each instance, the live version's first: between two changes, the share of another version is then
    none that is more than before and after. Several instances of a version divide its weight. Raises Trouble for a
    version without an instance.
    """
    found = []
    for version in sorted(wanted, key=lambda version: (version != LIVE, version)):
        ours = [one for one in instances if one.version == version]
        if not ours and wanted[version]:
            raise Trouble(
                f"Cloud Map has no instance of {service} with the version {version}",
                f"Deploy the version first: an instance with the attribute version={version}.",
            )
        for number, one in enumerate(ours):
            share, more = divmod(wanted[version], len(ours))
            found.append(Change(one, share + (number < more)))
    return found


def set_weights(
    shop: Target, rules: Policy, service: str, named: Mapping[str, int], sleep: Callable[[float], None] = time.sleep
) -> list[Change]:
    """Changes the weights in Cloud Map, and returns what was changed. Idempotent: a run that died is run again. Raises
    Trouble, also if someone else changes the weights at the same time: Cloud Map has no conditional write, so the
    weights are read again at the end.
    """
    wanted = wanted_of(rules, service, named)
    registry = Registry(shop)
    service_id = registry.service_id(service)
    before = registry.instances(service_id)
    health = {one.id: one.health for one in registry.discover(service)}
    planned = changes_of(service, before, wanted)
    made = []
    for change in planned:
        if change.instance.attributes.get("weight") != str(change.weight):
            registry.set_weight(service_id, change, health.get(change.instance.id, ""), sleep)
            made.append(change)
    after = {one.id: one.weight for one in registry.instances(service_id)}
    if other := {name: weight for name, weight in after.items() if weight != _planned(planned).get(name, weight)}:
        found = ", ".join(f"{name} has {weight}" for name, weight in sorted(other.items()))
        raise Trouble(f"someone else has changed the weights of {service} meanwhile: {found}", _AGAIN)
    return made


def _planned(changes: list[Change]) -> dict[str, int]:
    return {change.instance.id: change.weight for change in changes}
