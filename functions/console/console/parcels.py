"""Parcels that the carrier has given up, until their goods are settled; it is done on the page of the order."""

from __future__ import annotations

from console.pages import pages
from pages import Page, Visit
from pages.visitor import next_page, path


@pages.get("/console/parcels")
def show_parcels(visit: Visit) -> Page:
    found = visit.visitor.get(path("shipments", limit=50, cursor=visit.request.query.get("cursor", "")))
    following = next_page("/console/parcels", found["next_cursor"])
    return Page("parcels.html", {"parcels": found["items"], "next": following})
