"""The addresses that get no mails any more, and their release."""

from __future__ import annotations

from console.pages import pages
from pages import Page, Redirect, Visit
from pages.visitor import next_page, path

_NOTICES = {"released": "Mails go to the address again. If they bounce once more, it is stopped once more."}


@pages.get("/console/mails")
def show_stops(visit: Visit) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    found = visit.visitor.get(path("notifications", "stops", limit=50, cursor=visit.request.query.get("cursor", "")))
    return Page("stops.html", {"stops": found["items"], "next": next_page("/console/mails", found["next_cursor"])})


@pages.post("/console/mails/{stop_id}/release", again=lambda visit, stop_id: show_stops(visit))
def release(visit: Visit, stop_id: str) -> Redirect:
    visit.visitor.send("DELETE", path("notifications", "stops", stop_id))
    return Redirect("/console/mails?said=released")
