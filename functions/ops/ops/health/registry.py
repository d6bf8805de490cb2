"""The services in Cloud Map, and their instances' health there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.telemetry.logs import log

_GONE = {"InstanceNotFound", "ServiceNotFound"}


@dataclass(frozen=True)
class Instance:
    instance_id: str
    url: str
    weight: int
    health: str
    version: str = ""  # which of the mesh's it is; empty for the live one


@dataclass(frozen=True)
class Service:
    name: str
    instances: list[Instance]

    def through_mesh(self) -> Service:
        """The same service as the mesh's sidecar knows it: by its name."""
        return Service(self.name, [replace(one, url=f"http://{self.name}") for one in self.instances])


class CloudMap:
    """The registry of one namespace with these services: their Cloud Map ids by name."""

    def __init__(self, namespace: str, service_ids: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._service_ids = service_ids

    def services(self) -> list[Service]:
        return [Service(name, _instances(self._namespace, name)) for name in sorted(self._service_ids)]

    def set_health(self, service: Service, instance: Instance, health: str) -> None:
        """Takes effect at once for new callers, for others within half a minute, while they cache the answer."""
        try:
            aws.client("servicediscovery").update_instance_custom_health_status(
                ServiceId=self._service_ids[service.name], InstanceId=instance.instance_id, Status=health.upper()
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise TransientError(f"{service.name} {instance.instance_id}: {error}") from error
            log.info("an instance was taken out while it was probed", extra={"instance": instance.instance_id})


def list_services(namespace: str) -> list[Service]:
    # Select by name, since the filter may be ignored: another namespace may have services of the same names.
    names = sorted({service["Name"] for service in _services(namespace)})
    return [Service(name, _instances(namespace, name)) for name in names]


def _services(namespace: str) -> Iterator[dict[str, Any]]:
    namespace_id = _namespace_id(namespace)
    if namespace_id is None:
        return
    chosen = [{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
    for page in aws.client("servicediscovery").get_paginator("list_services").paginate(Filters=chosen):
        yield from page["Services"]


def _namespace_id(namespace: str) -> str | None:
    for page in aws.client("servicediscovery").get_paginator("list_namespaces").paginate():
        for found in page["Namespaces"]:
            if found["Name"] == namespace:
                return str(found["Id"])
    return None


def _instances(namespace: str, service: str) -> list[Instance]:
    answer = aws.client("servicediscovery").discover_instances(
        NamespaceName=namespace, ServiceName=service, HealthStatus="ALL"
    )
    found = [
        Instance(
            instance_id=one["InstanceId"],
            url=one.get("Attributes", {}).get("url", ""),
            weight=_weight(one.get("Attributes", {}).get("weight", "1")),
            health=one["HealthStatus"].lower(),
            version=one.get("Attributes", {}).get("version", ""),
        )
        for one in answer["Instances"]
    ]
    return sorted(found, key=lambda instance: instance.instance_id)


def _weight(text: str) -> int:
    """As callers read it: an instance whose weight is no number gets no calls."""
    return int(text) if text.isdecimal() else 0
