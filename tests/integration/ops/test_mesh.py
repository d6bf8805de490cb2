"""The mesh's graph, as an admin asks for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from mercato.http.mesh_calls import CALLS, IDENTITIES
from ops.wiring import ports
from tests.integration.ops.conftest import Desk

LINE = {
    "level": "INFO",
    "message": "mesh call",
    "caller": "orders",
    "call": "products POST /api/products/lookup",
    "version": "live",
    "status": 200,
    "call_ms": 12,
}


@pytest.fixture
def desk_with_mesh(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("MESH", "on")
    ports.cache_clear()
    logs = boto3.client("logs")
    for function in IDENTITIES:
        logs.create_log_group(logGroupName=f"/aws/lambda/mercato-{function}")
    return desk


def log(function: str, *lines: dict[str, Any]) -> None:
    logs, group = boto3.client("logs"), f"/aws/lambda/mercato-{function}"
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    now = int(datetime.now(UTC).timestamp() * 1000)
    events = [{"timestamp": now, "message": json.dumps(line)} for line in lines]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)


def test_the_graph_has_the_calls_of_all_callers(desk_with_mesh: Desk) -> None:
    log(
        "orders-api",
        LINE,
        LINE | {"status": 503, "version": None},
        LINE | {"call": "products refused", "status": 403, "version": None},
    )
    log("carts-api", LINE | {"caller": "carts", "call_ms": 40})
    status, found = desk_with_mesh.call("GET", "/mesh/graph", minutes="15")
    assert status == 200
    assert (found["is_on"], found["is_partial"]) == (True, False)
    live = {"peer": "products", "version": "live", "calls": 1, "errors": 0, "refused": 0}
    assert {"caller": "carts", "p50_ms": 40, "p95_ms": 40} | live in found["edges"]
    assert {"caller": "orders", "p50_ms": 12, "p95_ms": 12} | live in found["edges"]
    assert {"caller": "orders", "peer": "users"} in found["unused"]
    assert {"caller": "orders", "peer": "products"} not in found["unused"]


def test_a_mesh_without_calls_is_the_policy_alone(desk_with_mesh: Desk) -> None:
    status, found = desk_with_mesh.call("GET", "/mesh/graph")
    assert (status, found["edges"]) == (200, [])
    assert len(found["unused"]) == sum(map(len, CALLS.values()))


def test_where_the_mesh_is_off_no_log_is_asked(desk: Desk) -> None:
    status, found = desk.call("GET", "/mesh/graph")
    assert status == 200
    assert (found["is_on"], found["edges"], found["unused"]) == (False, [], [])


def test_logs_that_do_not_answer_are_told(desk_with_mesh: Desk) -> None:
    boto3.client("logs").delete_log_group(logGroupName="/aws/lambda/mercato-orders-api")
    assert desk_with_mesh.call("GET", "/mesh/graph")[0] == 503


@pytest.mark.parametrize("minutes", ["0", "1441", "soon"])
def test_a_time_that_is_none_is_refused(desk: Desk, minutes: str) -> None:
    assert desk.call("GET", "/mesh/graph", minutes=minutes)[0] == 422


def test_customers_see_no_graph(desk: Desk) -> None:
    assert desk.call("GET", "/mesh/graph", role="customer")[0] == 403
