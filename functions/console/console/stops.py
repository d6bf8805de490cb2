"""The addresses that get no mails any more, and their release."""

from __future__ import annotations

from console.pages import pages
from pages import FormInList, Page, Redirect, Visit
from pages.visitor import next_page, path

_NOTICES = {"released": "Mails go to the address again. If they bounce once more, it is stopped once more."}


@pages.get("/console/mails")
def show_stops(visit: Visit) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    cursor = visit.values.get("cursor", visit.request.query.get("cursor", ""))
    found = visit.visitor.get(path("notifications", "stops", limit=50, cursor=cursor))
    following = next_page("/console/mails", found["next_cursor"])
    return Page("stops.html", {"stops": found["items"], "cursor": cursor, "next": following})


@pages.post("/console/mails/{stop_id}/release", form=FormInList, again=lambda visit, stop_id: show_stops(visit))
def release(visit: Visit, stop_id: str, form: FormInList) -> Redirect:
    visit.visitor.send("DELETE", path("notifications", "stops", stop_id))
    return Redirect(next_page("/console/mails", form.cursor, said="released") or "/console/mails?said=released")
