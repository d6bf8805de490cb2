"""The request and response bodies of the mesh's graph."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from mercato.clock import rfc3339
from mercato.http import Query, View
from ops.mesh.graph import Graph


class GraphQuery(Query):
    minutes: Annotated[int, Field(ge=1, le=1440)] = 60


class CallEdgeView(View):
    """`version` is empty where no peer was reached, and `peer` where the call named no service. `refused` calls are not
    in the policy. Without an answer of a peer there is no latency.
    """

    caller: str
    peer: str
    version: str
    calls: int
    errors: int
    refused: int
    p50_ms: int | None
    p95_ms: int | None


class UnusedEdgeView(View):
    caller: str
    peer: str


class GraphView(View):
    """`is_on` is false where the shop has no mesh: then there are no edges. `is_partial`: these are the newest 10,000
    calls. `unused` are listed in the policy, and nobody called.
    """

    is_on: bool
    begins_at: str
    ends_at: str
    is_partial: bool
    edges: list[CallEdgeView]
    unused: list[UnusedEdgeView]

    @classmethod
    def of(cls, found: Graph, since: datetime, until: datetime, *, is_on: bool, is_partial: bool) -> Self:
        return cls(
            is_on=is_on,
            begins_at=rfc3339(since),
            ends_at=rfc3339(until),
            is_partial=is_partial,
            edges=[CallEdgeView(**asdict(edge)) for edge in found.edges],
            unused=[UnusedEdgeView(caller=caller, peer=peer) for caller, peer in found.unused],
        )
