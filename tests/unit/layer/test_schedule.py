"""Scheduled functions: the correlation id, the deadline, and errors that Lambda must count."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry import correlation
from tests.kit import aws_events


def test_the_outcome_of_the_run_is_the_answer() -> None:
    @scheduled
    def handler(event: dict[str, Any]) -> dict[str, int]:
        return {"swept": event["count"]}

    assert handler({"count": 3}, None) == {"swept": 3}


def test_the_id_of_the_event_is_the_correlation_id_of_the_run() -> None:
    @scheduled
    def handler(event: dict[str, Any]) -> str:
        return correlation.current().correlation_id

    assert handler({"id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa"}, None) == "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa"
    assert handler({}, None) != handler({}, None)


def test_the_run_has_the_deadline_of_its_invocation() -> None:
    @scheduled
    def handler(event: dict[str, Any]) -> float:
        return deadline.left()

    assert 29 < handler({}, aws_events.Context(30_000)) <= 30


def test_an_error_is_logged_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    @scheduled
    def handler(event: dict[str, Any]) -> None:
        raise LookupError("the index is gone")

    with pytest.raises(LookupError, match="the index is gone"):
        handler({}, None)

    (record,) = caplog.records
    assert record.getMessage() == "scheduled run failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError
