"""The first page: what waits for an operator."""

from __future__ import annotations

from console.pages import pages
from pages import Page, Visit
from pages.visitor import part, path


@pages.get("/console")
def show_overview(visit: Visit) -> Page:
    ask = visit.visitor.get
    return Page(
        "overview.html",
        {
            "parked": part(lambda: ask(path("ops", "sagas", status="parked", limit=50))["items"]),
            "queues": part(lambda: [one for one in ask(path("ops", "dlq"))["items"] if one["messages"]]),
            "circuits": part(
                lambda: [one for one in ask(path("ops", "circuits"))["items"] if one["state"] != "closed"]
            ),
            "mismatches": part(lambda: ask(path("payments", "mismatches"))["items"]),
        },
    )
