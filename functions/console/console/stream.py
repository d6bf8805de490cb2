"""The journal of events: the newest, live, and all that came of one request."""

from __future__ import annotations

from typing import Any

from console.pages import pages
from pages import Page, Visit
from pages.visitor import path

_DEEPEST = 9  # levels that the page sets in


@pages.get("/console/stream")
def show_stream(visit: Visit) -> Page:
    return Page("stream.html", _newest(visit))


@pages.get("/console/stream/rows")
def show_rows(visit: Visit) -> Page:
    return Page("rows.html", _newest(visit))


def _newest(visit: Visit) -> dict[str, Any]:
    kind = visit.request.query.get("type", "").strip()[:200]
    found = visit.visitor.get(path("ops", "events", type=kind, limit=50))
    again = path("x", type=kind).partition("?")[2]
    return {
        "events": found["items"][::-1],
        "type": kind,
        "again": f"/console/stream/rows{f'?{again}' if again else ''}",
    }


@pages.get("/console/requests/{request_id}")
def show_request(visit: Visit, request_id: str) -> Page:
    found = visit.visitor.get(path("ops", "requests", request_id))
    nodes = [{**node, "level": min(node["depth"], _DEEPEST)} for node in found["items"]]
    return Page("request.html", {"asked": request_id, "is_whole": found["is_whole"], "nodes": nodes})
