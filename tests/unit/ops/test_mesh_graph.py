"""The graph of the mesh's calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.http.mesh_calls import CALLS
from ops.mesh import calls, graph
from ops.mesh.calls import Call, read_calls

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def call(caller: str = "orders", peer: str = "products", **changes: Any) -> Call:
    wanted: dict[str, Any] = {"route": "POST /x", "version": "live", "status": 200, "took_ms": 5, "is_refused": False}
    return Call(caller=caller, peer=peer, **wanted | changes)


def test_an_edge_is_a_caller_a_peer_and_a_version() -> None:
    found = graph.draw([call(), call(status=503), call(version="canary"), call("carts")])
    edges = [(edge.caller, edge.peer, edge.version, edge.calls, edge.errors) for edge in found.edges]
    assert edges == [
        ("carts", "products", "live", 1, 0),
        ("orders", "products", "canary", 1, 0),
        ("orders", "products", "live", 2, 1),
    ]


def test_percentiles_are_of_the_answers_of_peers() -> None:
    times = [call(took_ms=n) for n in range(1, 101)]
    [edge] = graph.draw([*times, call(took_ms=9999)][:100]).edges
    assert (edge.p50_ms, edge.p95_ms) == (50, 95)
    [alone] = graph.draw([call(took_ms=7)]).edges
    assert (alone.p50_ms, alone.p95_ms) == (7, 7)
    [unreached] = graph.draw([call(version="", status=503)]).edges
    assert (unreached.errors, unreached.p95_ms) == (1, None)


def test_what_the_policy_lists_and_nobody_used_is_told() -> None:
    listed = {(caller, peer) for peer, callers in CALLS.items() for caller in callers}
    found = graph.draw([call(), call("carts", is_refused=True, version="", status=403)])
    assert set(found.unused) == listed - {("orders", "products")}, "a refused call is no use of an edge"


class Logs:
    """CloudWatch Logs, whose query has these states one after the other."""

    def __init__(self, *states: str, results: Any = ()) -> None:
        self.states = list(states)
        self.results = list(results)
        self.stopped = False

    def start_query(self, **_: Any) -> dict[str, str]:
        return {"queryId": "1"}

    def get_query_results(self, queryId: str) -> dict[str, Any]:  # noqa: N803  # the names are AWS's
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"status": state, "results": self.results}

    def stop_query(self, queryId: str) -> None:  # noqa: N803
        self.stopped = True


def test_a_query_is_waited_for() -> None:
    pauses: list[float] = []
    line = (
        '{"message":"mesh call","caller":"orders","call":"products POST /x","version":"live","status":200,"call_ms":3}'
    )
    logs = Logs("Scheduled", "Running", "Complete", results=[[{"field": "@message", "value": line}]])
    found, is_partial = read_calls(logs, "shop", NOW, NOW, 10, pauses.append)
    assert ([one.peer for one in found], is_partial, len(pauses)) == (["products"], False, 2)


def test_a_query_that_takes_too_long_is_stopped() -> None:
    logs = Logs("Running")
    with pytest.raises(TransientError, match="not found within 0 seconds"):
        read_calls(logs, "shop", NOW, NOW, 0, lambda _: None)
    assert logs.stopped


def test_a_query_that_fails_is_an_error() -> None:
    with pytest.raises(TransientError, match="Failed"):
        read_calls(Logs("Failed"), "shop", NOW, NOW, 1)


@pytest.mark.parametrize(
    "line",
    [
        "no JSON with mesh call in it",
        '{"message": "another mesh call"}',
        '{"message": "mesh call"}',
        '{"message": "mesh call", "caller": "orders", "call": "products POST /x", "version": null, "status": null}',
        '["mesh call"]',
    ],
)
def test_other_lines_are_no_calls(line: str) -> None:
    assert calls._call_of(line) is None
