"""What AWS does by itself, without a call of a function, read from the local cloud afterwards.

These are invocations and log lines from CloudWatch Logs, the saga's transitions from its histories, the messages that
the bus puts into queues from its rules, and the calls of SQS by Lambda's pollers from the invocations of the consumers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra.operator.trace.lines import function_of

_REPORT = re.compile(r"^REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB")
_LINE_OVERHEAD = 26  # bytes that CloudWatch Logs adds to each line's text
_PATTERN_KEYS = {"source", "detail-type"}


@dataclass(frozen=True)
class Window:
    """The begin and the end, in milliseconds of the epoch, both inclusive."""

    start: int
    end: int


@dataclass(frozen=True)
class Logs:
    """`invocations` by function, `gb_seconds` in total, `size` in bytes as CloudWatch Logs counts them."""

    invocations: Counter[str]
    gb_seconds: Decimal
    size: int


def read_logs(client: Any, stack: str, window: Window) -> Logs:
    invocations: Counter[str] = Counter()
    gb_seconds, size = Decimal(0), 0
    for function, message in _messages(client, stack, window):
        size += len(message.encode()) + _LINE_OVERHEAD
        report = _REPORT.match(message)
        if report:
            invocations[function] += 1
            gb_seconds += Decimal(int(report[1])) / 1000 * int(report[2]) / 1024
    return Logs(invocations, gb_seconds, size)


def _messages(client: Any, stack: str, window: Window) -> Iterator[tuple[str, str]]:
    groups = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{stack}-")
    for name in [group["logGroupName"] for page in groups for group in page["logGroups"]]:
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=name, startTime=window.start, endTime=window.end
        )
        for page in pages:
            for event in page["events"]:
                yield function_of(name, stack), event["message"]


def count_transitions(client: Any, machine: str, names: Collection[str]) -> tuple[int, int]:
    """All transitions of the executions with these names: tasks with their retries, and other states."""
    arn = machine.replace(":stateMachine:", ":execution:")
    found = [transitions_in(_history(client, f"{arn}:{name}")) for name in names]
    return sum(tasks for tasks, _ in found), sum(others for _, others in found)


def _history(client: Any, execution: str) -> Iterator[str]:
    for page in client.get_paginator("get_execution_history").paginate(executionArn=execution):
        yield from (event["type"] for event in page["events"])


def transitions_in(events: Iterable[str]) -> tuple[int, int]:
    """Entering a state is a transition, and so is each retry: a task that is scheduled again without being entered."""
    found = Counter(events)
    tasks = max(found["LambdaFunctionScheduled"] + found["TaskScheduled"], found["TaskStateEntered"])
    entered = sum(count for kind, count in found.items() if kind.endswith("StateEntered"))
    return tasks, entered - found["TaskStateEntered"]


def patterns_of(client: Any, bus: str, ours: Callable[[str], bool]) -> list[Mapping[str, Any]]:
    """The patterns of the bus's rules. A rule whose name is not `ours` is left out."""
    found = []
    for page in client.get_paginator("list_rules").paginate(EventBusName=bus):
        found += [json.loads(rule["EventPattern"]) for rule in page["Rules"] if ours(rule["Name"])]
    return found


def messages_to_queues(events: Mapping[str, int], patterns: Collection[Mapping[str, Any]]) -> int:
    """The number of messages that the bus sent for these events, by detail-type. Every rule has one queue."""
    for pattern in patterns:
        if set(pattern) != _PATTERN_KEYS:
            raise ValueError(f"a rule that is not by source and detail-type alone: {pattern}")
    return sum(count for kind, count in events.items() for pattern in patterns if kind in pattern["detail-type"])


def consumers_of(client: Any, stack: str, source: str) -> set[str]:
    """The functions that Lambda invokes for sources of this service (sqs, dynamodb)."""
    found = set()
    for page in client.get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            if mapping["EventSourceArn"].split(":")[2] == source:
                found.add(function_of(f"/aws/lambda/{mapping['FunctionArn'].split(':')[6]}", stack))
    return found
