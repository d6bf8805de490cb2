"""The services as Cloud Map knows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mercato import aws


@dataclass(frozen=True)
class Instance:
    instance_id: str
    url: str
    weight: int
    health: str


@dataclass(frozen=True)
class Service:
    name: str
    instances: list[Instance]


def list_services(namespace: str) -> list[Service]:
    names = sorted(service["Name"] for service in _services(namespace))
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
            weight=int(one.get("Attributes", {}).get("weight", "1")),
            health=one["HealthStatus"].lower(),
        )
        for one in answer["Instances"]
    ]
    return sorted(found, key=lambda instance: instance.instance_id)
