"""The monthly cost of a shop without orders, counted on the deployed stack."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra.operator import target
from infra.operator.target import State
from tests.bench.choices import metrics_of
from tests.bench.prices import PRICES, STANDING, Price

MINUTES = 30 * 24 * 60
# Lambda keeps five long polls of 20 seconds open at an empty queue.
_EMPTY_RECEIVES = 5 * 3 * MINUTES
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_IN_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}


@dataclass(frozen=True)
class Standing:
    what: str
    count: int
    price: Price

    @property
    def dollars(self) -> Decimal:
        return self.count * self.price.of_one


def count_standing(found: State) -> list[Standing]:
    secrets = _pages(found, "secretsmanager", "list_secrets", "SecretList")
    alarms = _pages(found, "cloudwatch", "describe_alarms", "MetricAlarms")
    services = _pages(found, "servicediscovery", "list_services", "Services")
    mappings = _pages(found, "lambda", "list_event_source_mappings", "EventSourceMappings")
    queues = {one["EventSourceArn"] for one in mappings if ":sqs:" in one["EventSourceArn"]}
    scheduler = target.client(found, "scheduler")
    schedules = [
        scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])["ScheduleExpression"]
        for one in _pages(found, "scheduler", "list_schedules", "Schedules")
    ]
    registry = target.client(found, "servicediscovery")
    # The local cloud also has sam local's namespace, and does not filter services by it.
    ours = [one for one in services if _namespace_of(registry, one) == found.outputs["NamespaceId"]]
    instances = sum(len(registry.list_instances(ServiceId=one["Id"])["Instances"]) for one in ours)
    return [
        Standing(f"empty receives at {len(queues)} queues", len(queues) * _EMPTY_RECEIVES, PRICES["queue requests"]),
        Standing("alarms", metrics_of(alarms), STANDING["alarms"]),
        Standing("secrets", len(secrets), STANDING["secrets"]),
        Standing("Cloud Map instances", instances, STANDING["instances"]),
        Standing(f"runs of {len(schedules)} schedules", runs_of(schedules), STANDING["schedules"]),
    ]


def runs_of(expressions: Iterable[str]) -> int:
    """The number of runs of a schedule in a month of thirty days."""
    total = 0
    for expression in expressions:
        rate = _RATE.fullmatch(expression)
        if rate is None:
            raise ValueError(f"a schedule that is not rate(…): {expression}")
        total += MINUTES // (int(rate[1]) * _IN_MINUTES[rate[2]])
    return total


def _namespace_of(registry: Any, service: dict[str, Any]) -> str:
    return str(registry.get_service(Id=service["Id"])["Service"]["NamespaceId"])


def _pages(found: State, service: str, operation: str, key: str) -> list[dict[str, Any]]:
    pages = target.client(found, service).get_paginator(operation).paginate()
    return [one for page in pages for one in page[key]]
