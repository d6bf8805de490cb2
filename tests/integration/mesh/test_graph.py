"""The graph of what was called: lines that a real Envoy has logged, in the log groups, read by the real command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from infra.mesh import graph
from infra.mesh.command import mesh as command
from infra.operator import target
from infra.operator.target import Target
from mercato.http.mesh_calls import CALLS, IDENTITIES
from tests.integration.mesh.conftest import Mesh, wait_for
from tests.integration.mesh.test_traffic import settled

SHOP = Target("http://shop", "", "eu-west-1", "shop", {"MeshIssuer": "shop-mesh-issuer"}, {})


@pytest.fixture
def logs(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mock_aws():
        found = boto3.client("logs", region_name="eu-west-1")
        for function in IDENTITIES:
            found.create_log_group(logGroupName=f"/aws/lambda/shop-{function}")
        monkeypatch.setattr(target, "chosen", lambda: SHOP)
        monkeypatch.setattr(graph, "client", lambda _shop, _service: found)
        yield found


def put(logs: Any, function: str, lines: list[str]) -> None:
    group = f"/aws/lambda/shop-{function}"
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)


def run(*words: str) -> Result:
    return CliRunner().invoke(command, ["graph", *words], env={"COLUMNS": "160"})


def rows(done: Result) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in done.output.splitlines()]


def test_the_calls_of_a_sidecar_are_the_edges_of_the_graph(
    capfd: pytest.CaptureFixture[str], mesh: Mesh, logs: Any
) -> None:
    mesh.give("orders")
    mesh.cloud.weigh("products", live=1)
    orders = mesh.start("orders")
    settled(mesh, orders)
    wait_for(lambda: '"status":200' in capfd.readouterr().out, "the first good call has no line")
    for _ in range(3):
        orders.look_up()
    mesh.cloud.answers = lambda _: 500
    orders.look_up(x_mesh_version="canary")
    orders.call("GET", "/api/products/p-1")
    assert orders.call("DELETE", "/api/products/p-1").status == 403
    assert orders.call("GET", "/", to="stranger").status == 403
    lines: list[str] = []

    def has_all() -> bool:
        lines.extend(capfd.readouterr().out.splitlines())
        return len(lines) >= 7

    wait_for(has_all, "a call has no line of its own at once", within=5)
    put(logs, "orders-api", [*lines, "START RequestId: 1", '{"message": "peer called"}', "no mesh call of ours"])

    found = rows(run())
    shown = [row for row in found if row.startswith("orders ")]
    assert [row.rpartition(" ")[0].rpartition(" ")[0] for row in shown[:4]] == [
        "orders – 1 0 1",
        "orders products 1 0 1",
        "orders products canary 1 1 0",
        "orders products 4 1 0",
    ]
    assert "orders users none" in found
    assert "orders products none" not in found
    drawn = run("--mermaid").output
    assert drawn.startswith("flowchart LR\n")
    assert '  orders ==>|"1 call, 1 errors, p95' in drawn
    assert 'products-canary["products canary"]' in drawn
    assert "  orders -.-> users\n" in drawn


def test_a_log_without_calls_is_the_policy_alone(logs: Any) -> None:
    done = run("--mermaid")
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 1 + sum(len(callers) for callers in CALLS.values())
    assert "-->" not in done.output


def test_a_log_that_cannot_be_read_is_told(logs: Any) -> None:
    logs.delete_log_group(logGroupName="/aws/lambda/shop-orders-api")
    done = run()
    assert done.exit_code == 1
    assert "the log of the mesh's calls cannot be read" in done.output


def test_a_shop_without_a_mesh_has_no_graph(logs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "chosen", lambda: Target("http://shop", "", "eu-west-1", "shop", {}, {}))
    done = run()
    assert done.exit_code == 1
    assert "the shop has no mesh" in done.output
