"""Reads the log lines of one request from CloudWatch Logs, function by function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_PREFIX = "/aws/lambda/"


@dataclass(frozen=True)
class Line:
    """One log line of a function: `function` is its logical name, `fields` the line's fields."""

    at: datetime
    function: str
    fields: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.fields.get("message", ""))

    def text(self, name: str) -> str:
        """A field as text; empty if the line lacks it."""
        value = self.fields.get(name)
        return "" if value is None else str(value)


def lines_of(logs: Any, stack: str, correlation_id: str) -> list[Line]:
    """All lines with the id, in the order of time."""
    groups = [
        group["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"{_PREFIX}{stack}-")
        for group in page["logGroups"]
    ]
    found = [line for group in groups for line in _read(logs, group, stack, correlation_id)]
    return sorted(found, key=lambda line: line.at)


def _read(logs: Any, group: str, stack: str, correlation_id: str) -> Iterator[Line]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern=f'"{correlation_id}"')
    for page in pages:
        for event in page["events"]:
            line = read_line(event["message"], function_of(group, stack))
            # The pattern finds the id anywhere in the text.
            if line is not None and line.fields.get("correlation_id") == correlation_id:
                yield line


def read_line(message: str, function: str) -> Line | None:
    """None for lines of the platform, such as START and REPORT, and for a crash's traceback."""
    try:
        fields = json.loads(message)
        return Line(datetime.fromisoformat(fields["timestamp"]), function, fields)
    except (ValueError, TypeError, KeyError):
        return None


def function_of(group: str, stack: str) -> str:
    """`/aws/lambda/mercato-OrdersApi-1F2E3D` is OrdersApi."""
    return group.removeprefix(f"{_PREFIX}{stack}-").rpartition("-")[0] or group
