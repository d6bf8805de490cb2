"""What counts as a failure of the version, and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from mercato.errors import Conflict, TransientError
from mercato.http import PUBLIC, App, Response
from mercato.invocation.tasks import InvalidTaskInput, Tasks
from mercato.telemetry import failures, metrics
from tests.kit import aws_events

app = App("carts")
tasks = Tasks("carts")


class Refused(Conflict):
    pass


class Input(BaseModel):
    ends: str


ENDS: dict[str, Exception] = {"bug": ZeroDivisionError(), "refused": Refused("no"), "away": TransientError("away")}


@app.get("/ends/{how}", role=PUBLIC, limit=None)
def end(how: str) -> Response[None]:
    if how in ENDS:
        raise ENDS[how]
    return Response(None, int(how))


@tasks.task("End")
def end_task(wanted: Input) -> None:
    if wanted.ends in ENDS:
        raise ENDS[wanted.ends]


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "mercato-carts-api")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines that were written with a failure in them."""
    found: list[dict[str, Any]] = []
    write = metrics.flush

    def flush() -> None:
        write(lambda line: found.append(json.loads(line)))

    flush()  # what tests before have left
    found.clear()
    monkeypatch.setattr(metrics, "flush", flush)
    return found


def test_a_failure_is_of_one_version_of_one_function(counted: list[dict[str, Any]]) -> None:
    failures.count()
    [line] = counted
    assert (line["Failures"], line["function"], line["version"]) == (1, "mercato-carts-api", "7")
    [described] = line["_aws"]["CloudWatchMetrics"]
    assert described["Dimensions"] == [["function", "version"]]
    assert described["Metrics"] == [{"Name": "Failures", "Unit": "Count"}]


@pytest.mark.parametrize(
    ("how", "status", "times"),
    [("bug", 500, 1), ("away", 503, 1), ("502", 502, 1), ("refused", 409, 0), ("404", 404, 0), ("200", 200, 0)],
)
def test_an_answer_of_5xx_is_one(how: str, status: int, times: int, counted: list[dict[str, Any]]) -> None:
    assert app.handler(aws_events.rest_request("GET", f"/ends/{how}"), None)["statusCode"] == status
    assert len(counted) == times


@pytest.mark.parametrize(
    ("task", "task_input", "error", "times"),
    [
        ("End", {"ends": "bug"}, ZeroDivisionError, 1),
        ("End", {}, InvalidTaskInput, 1),
        ("Nothing", {}, KeyError, 1),
        ("End", {"ends": "refused"}, Refused, 0),
        ("End", {"ends": "away"}, TransientError, 0),
    ],
)
def test_a_step_of_the_saga_that_breaks_is_one_and_a_refused_or_repeated_one_is_none(
    task: str, task_input: dict[str, Any], error: type[Exception], times: int, counted: list[dict[str, Any]]
) -> None:
    with pytest.raises(error):
        tasks.handler(aws_events.task(task, task_input), None)
    assert len(counted) == times


def test_the_health_task_changes_nothing_and_names_the_tasks(counted: list[dict[str, Any]]) -> None:
    assert tasks.handler(aws_events.task("Health", {}), None) == {"service": "carts", "tasks": ["End", "Health"]}
    assert counted == []
