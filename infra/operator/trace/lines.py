"""Reads the log lines of one request from CloudWatch Logs. Uses Logs Insights on AWS; the local cloud lacks it."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from infra.trouble import Trouble

_PREFIX = "/aws/lambda/"
_MOST_GROUPS = 50  # of one query
_MOST_LINES = 10_000
# The local cloud knows the first filter alone.
_QUERY = (
    "fields @message, @log | filter @message like /{pattern}/ | filter correlation_id = {text} "
    "| sort @timestamp asc | limit {limit}"
)


@dataclass(frozen=True)
class Line:
    """One log line of a function: `function` is its name without the stack's, `fields` the line's fields."""

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
    """Returns all lines with the id, ordered by time. Reads whole log groups."""
    found = [line for group in _groups(logs, stack) for line in _read(logs, group, stack, correlation_id)]
    return sorted(found, key=lambda line: line.at)


def query_lines(
    logs: Any,
    stack: str,
    correlation_id: str,
    since: datetime,
    until: datetime,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Line]:
    """Returns the lines with the id between the two times, ordered by time, with Logs Insights.

    Raises Trouble if the query fails or finds more than 10,000 lines.
    """
    pattern = re.escape(correlation_id).replace("/", r"\/")
    query = _QUERY.format(pattern=pattern, text=json.dumps(correlation_id), limit=_MOST_LINES)
    found = []
    for groups in itertools.batched(_groups(logs, stack), _MOST_GROUPS, strict=False):
        started = logs.start_query(
            logGroupNames=list(groups),
            startTime=int(since.timestamp()),
            endTime=int(until.timestamp()) + 1,
            queryString=query,
        )["queryId"]
        while (answer := logs.get_query_results(queryId=started))["status"] in ("Scheduled", "Running"):
            sleep(0.5)
        if answer["status"] != "Complete" or len(answer["results"]) == _MOST_LINES:
            said = answer["status"] if answer["status"] != "Complete" else f"more than {_MOST_LINES:,} lines"
            raise Trouble(f"Logs Insights answers {said}", "Ask for a shorter time: --hours.")
        for row in answer["results"]:
            fields = {one["field"]: one["value"] for one in row}
            line = read_line(fields["@message"], function_of(fields["@log"].rpartition(":")[2], stack))
            if _is_of(line, correlation_id):
                found.append(line)
    return sorted(found, key=lambda line: line.at)


def _groups(logs: Any, stack: str) -> Iterator[str]:
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"{_PREFIX}{stack}-")
    return (group["logGroupName"] for page in pages for group in page["logGroups"])


def _read(logs: Any, group: str, stack: str, correlation_id: str) -> Iterator[Line]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern=f'"{correlation_id}"')
    for page in pages:
        for event in page["events"]:
            line = read_line(event["message"], function_of(group, stack))
            if _is_of(line, correlation_id):
                yield line


def _is_of(line: Line | None, correlation_id: str) -> TypeGuard[Line]:
    """A pattern finds the id anywhere in the text."""
    return line is not None and line.fields.get("correlation_id") == correlation_id


def read_line(message: str, function: str) -> Line | None:
    """Parses a log line. Returns None for lines of the platform, such as START and REPORT, and for tracebacks."""
    try:
        fields = json.loads(message)
        return Line(datetime.fromisoformat(fields["timestamp"]), function, fields)
    except (ValueError, TypeError, KeyError):
        return None


def function_of(group: str, stack: str) -> str:
    """Returns a log group's function without the stack's name: `/aws/lambda/mercato-orders-api` is orders-api."""
    return group.removeprefix(f"{_PREFIX}{stack}-")
