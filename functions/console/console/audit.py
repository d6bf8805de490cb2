"""The audit log: what operators did, the newest first."""

from __future__ import annotations

from console.pages import pages
from pages import Page, Visit
from pages.visitor import next_page, path


@pages.get("/console/audit")
def show_audit(visit: Visit) -> Page:
    cursor = visit.request.query.get("cursor", "")
    found = visit.visitor.get(path("ops", "audit", limit=50, cursor=cursor))
    return Page("audit.html", {"entries": found["items"], "next": next_page("/console/audit", found["next_cursor"])})
