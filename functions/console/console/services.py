"""The services: where they are, and how they were at the last probe."""

from __future__ import annotations

from console.pages import pages
from pages import Page, Visit
from pages.visitor import path


@pages.get("/console/services")
def show_services(visit: Visit) -> Page:
    return Page("services.html", {"services": visit.visitor.get(path("ops", "services"))["items"]})
