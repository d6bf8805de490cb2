"""The mesh: who called whom, drawn with the callers on the left and their peers on the right.

The places are computed here, as numbers; the template draws them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from console.pages import pages
from mercato.dataclass import dataclass
from pages import Page, Visit
from pages.visitor import path

_MINUTES = (15, 60, 1440)
_ROW, _TOP, _LEFT, _RIGHT, _WIDTH, _HEIGHT = 56, 16, 16, 424, 240, 40


@dataclass(frozen=True)
class Box:
    name: str
    x: int
    y: int
    tone: str
    shape: str


@dataclass(frozen=True)
class Line:
    """From a caller to a peer. `kind` is way, no-way, or bad-way for one with errors or refused calls."""

    x1: int
    y1: int
    x2: int
    y2: int
    kind: str


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    box_width: int
    box_height: int
    boxes: list[Box]
    lines: list[Line]


@pages.get("/console/mesh")
def show_mesh(visit: Visit) -> Page:
    given = visit.request.query.get("minutes", "")
    minutes = int(given) if given in map(str, _MINUTES) else 60
    graph = visit.visitor.get(path("ops", "mesh", "graph", minutes=minutes))
    about = {"graph": graph, "drawing": draw(graph), "minutes": minutes, "choices": list(_MINUTES)}
    return Page("mesh.html", about)


def draw(graph: Mapping[str, Any]) -> Drawing:
    """Draws the called edges, and the unused ones of the policy. A refused call that names no service is left out."""
    edges: dict[tuple[str, str], str] = {(one["caller"], one["peer"]): "no-way" for one in graph["unused"]}
    for edge in graph["edges"]:
        if edge["peer"]:
            pair = edge["caller"], _name(edge)
            is_bad = edge["errors"] or edge["refused"] or edges.get(pair) == "bad-way"
            edges[pair] = "bad-way" if is_bad else "way"
    callers = sorted({caller for caller, _ in edges})
    peers = sorted({peer for _, peer in edges})
    rows = max(len(callers), len(peers), 1)
    left, right = _places(callers, rows), _places(peers, rows)
    boxes = [
        *(
            _box(name, _LEFT, left[name], [kind for (caller, _), kind in edges.items() if caller == name])
            for name in left
        ),
        *(
            _box(name, _RIGHT, right[name], [kind for (_, peer), kind in edges.items() if peer == name])
            for name in right
        ),
    ]
    half = _HEIGHT // 2
    lines = [
        Line(_LEFT + _WIDTH, left[caller] + half, _RIGHT, right[peer] + half, kind)
        for (caller, peer), kind in sorted(edges.items(), key=lambda one: ("no-way", "way", "bad-way").index(one[1]))
    ]
    height = _TOP + (rows - 1) * _ROW + _HEIGHT + _TOP
    return Drawing(_RIGHT + _WIDTH + _LEFT, height, _WIDTH, _HEIGHT, boxes, lines)


def _name(edge: Mapping[str, Any]) -> str:
    return edge["peer"] if edge["version"] in ("", "live") else f"{edge['peer']} {edge['version']}"


def _places(names: Sequence[str], rows: int) -> dict[str, int]:
    """The shorter column is spread over the height of the longer one."""
    return {
        name: _TOP + round((number + 0.5) * rows * _ROW / len(names) - _ROW / 2) for number, name in enumerate(names)
    }


def _box(name: str, x: int, y: int, kinds: Sequence[str]) -> Box:
    if "bad-way" in kinds:
        return Box(name, x, y, "bad", "▲")
    return Box(name, x, y, "ok", "●") if "way" in kinds else Box(name, x, y, "idle", "○")
