"""What AWS does without a call of a function, read from logs, histories and rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.bench.observed import Window, messages_to_queues, read_logs, transitions_in


class FakeLogs:
    """A fake CloudWatch Logs with one page of everything."""

    def __init__(self, messages: dict[str, list[str]]) -> None:
        self._messages = messages

    def get_paginator(self, operation: str) -> FakePages:
        return FakePages(self._messages, operation)


class FakePages:
    def __init__(self, messages: dict[str, list[str]], operation: str) -> None:
        self._messages = messages
        self._operation = operation

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        if self._operation == "describe_log_groups":
            return [{"logGroups": [{"logGroupName": name} for name in self._messages]}]
        assert (asked["startTime"], asked["endTime"]) == (1, 2)
        return [{"events": [{"message": message} for message in self._messages[asked["logGroupName"]]]}]


def test_time_is_billed_by_the_memory_and_every_line_has_its_overhead() -> None:
    report = (
        "REPORT RequestId: r-1\tDuration: 99.5 ms\tBilled Duration: 100 ms\tMemory Size: 512 MB\tMax Memory Used: 9 MB"
    )
    large = report.replace("512", "1024")
    quoted = f'{{"message": "{report}"}}'

    logs = read_logs(FakeLogs({"/aws/lambda/shop-A": [report, quoted], "/aws/lambda/shop-B": [large]}), "shop", WINDOW)

    assert logs.invocations == {"A": 1, "B": 1}
    assert logs.gb_seconds == Decimal("0.05") + Decimal("0.1")
    assert logs.size == len(report) + len(quoted) + len(large) + 3 * 26


WINDOW = Window(1, 2)


def test_every_state_is_a_transition() -> None:
    history = ["ExecutionStarted", "ChoiceStateEntered", "ChoiceStateExited", "TaskStateEntered"]
    history += ["LambdaFunctionScheduled", "LambdaFunctionSucceeded", "TaskStateExited", "SucceedStateEntered"]

    assert transitions_in(history) == (1, 2)


def test_a_retry_is_a_transition_too() -> None:
    history = ["TaskStateEntered", *["LambdaFunctionScheduled", "LambdaFunctionFailed"] * 3, "TaskStateExited"]

    assert transitions_in(history) == (3, 0)


def test_an_event_becomes_a_message_at_each_rule_that_names_it() -> None:
    source = [{"prefix": "mercato."}]
    patterns = [{"source": source, "detail-type": ["a", "b"]}, {"source": source, "detail-type": ["b"]}]

    assert messages_to_queues({"a": 2, "b": 3, "c": 5}, patterns) == 2 + 2 * 3


def test_a_rule_that_looks_into_events_is_refused() -> None:
    with pytest.raises(ValueError, match="detail"):
        messages_to_queues({}, [{"source": [], "detail-type": ["a"], "detail": {"x": [1]}}])
