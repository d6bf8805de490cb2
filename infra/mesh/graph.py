"""`mercato mesh graph`: who called whom through the mesh, as a table or as a diagram in Mermaid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.table import Table

from infra.mesh.policy import LIVE
from infra.operator.target import Target, client
from infra.trouble import Trouble
from mercato.errors import TransientError
from ops.mesh.calls import read_calls
from ops.mesh.graph import Edge, Graph, draw

_PATIENCE = 60.0  # seconds, for a query over hours of logs


def read(shop: Target, back: timedelta) -> tuple[Graph, bool]:
    """Returns the graph, and whether it has the newest 10,000 calls alone. Raises Trouble."""
    now = datetime.now(UTC)
    try:
        calls, is_partial = read_calls(client(shop, "logs"), shop.stack, now - back, now, _PATIENCE)
    except TransientError as error:
        raise Trouble(str(error), "Ask for a shorter time: --minutes.") from error
    return draw(calls), is_partial


def table(graph: Graph) -> Table:
    found = Table("caller", "peer", "calls", "errors", "refused", "p50 ms", "p95 ms")
    for edge in graph.edges:
        found.add_row(
            edge.caller,
            f"{edge.peer or '–'}{_beside(edge)}",
            str(edge.calls),
            f"[bold red]{edge.errors}[/]" if edge.errors else "0",
            f"[bold red]{edge.refused}[/]" if edge.refused else "0",
            _text(edge.p50_ms),
            _text(edge.p95_ms),
        )
    for caller, peer in graph.unused:
        found.add_row(f"[dim]{caller}[/]", f"[dim]{peer}[/]", "[dim]none[/]")
    return found


def _beside(edge: Edge) -> str:
    """The version, if it is not the live one."""
    return "" if edge.version in ("", LIVE) else f" {edge.version}"


def _text(milliseconds: int | None) -> str:
    return "–" if milliseconds is None else str(milliseconds)


def mermaid(graph: Graph) -> Iterator[str]:
    """The lines of a flowchart. Edges that nobody used are dotted, and those with errors or refusals are thick."""
    yield "flowchart LR"
    for edge in graph.edges:
        arrow = "==>" if edge.errors or edge.refused else "-->"
        yield f'  {edge.caller} {arrow}|"{_label(edge)}"| {_node(edge)}'
    for caller, peer in graph.unused:
        yield f"  {caller} -.-> {peer}"


def _node(edge: Edge) -> str:
    if not edge.peer:
        return 'unknown["no service"]'
    version = _beside(edge)
    return f'{edge.peer}-{edge.version}["{edge.peer}{version}"]' if version else edge.peer


def _label(edge: Edge) -> str:
    parts = [f"{edge.calls} calls" if edge.calls != 1 else "1 call"]
    parts += [f"{edge.errors} errors"] * bool(edge.errors) + [f"{edge.refused} refused"] * bool(edge.refused)
    return ", ".join(parts + ([f"p95 {edge.p95_ms} ms"] if edge.p95_ms is not None else []))
