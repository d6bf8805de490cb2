"""The graph of the mesh: an edge for each caller, peer and version, and the unused edges of the policy."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from mercato.dataclass import dataclass
from mercato.http.mesh_calls import CALLS
from ops.mesh.calls import Call


@dataclass(frozen=True)
class Edge:
    """`version` is empty where no peer was reached. `refused` calls are not in the policy, and are no `errors`; their
    peer is empty where they named no service. Without an answer of a peer there is no latency.
    """

    caller: str
    peer: str
    version: str
    calls: int
    errors: int
    refused: int
    p50_ms: int | None
    p95_ms: int | None


@dataclass(frozen=True)
class Graph:
    """`unused` are pairs of caller and peer."""

    edges: list[Edge]
    unused: list[tuple[str, str]]


def draw(calls: Iterable[Call]) -> Graph:
    found: defaultdict[tuple[str, str, str], list[Call]] = defaultdict(list)
    for call in calls:
        found[call.caller, call.peer, call.version].append(call)
    used = {(caller, peer) for (caller, peer, _), some in found.items() if not all(call.is_refused for call in some)}
    listed = {(caller, peer) for peer, callers in CALLS.items() for caller in callers}
    edges = [_edge(*names, some) for names, some in sorted(found.items())]
    return Graph(edges, sorted(listed - used))


def _edge(caller: str, peer: str, version: str, calls: list[Call]) -> Edge:
    times = sorted(call.took_ms for call in calls if call.version)
    return Edge(
        caller,
        peer,
        version,
        calls=len(calls),
        errors=sum(call.status >= 500 for call in calls),
        refused=sum(call.is_refused for call in calls),
        p50_ms=_percentile(times, 50),
        p95_ms=_percentile(times, 95),
    )


def _percentile(times: list[int], percent: int) -> int | None:
    """By the nearest rank."""
    return times[math.ceil(len(times) * percent / 100) - 1] if times else None
