"""What the shop has told the customer, and whether it may write mails."""

from __future__ import annotations

from pages import Form, Page, Redirect, Visit
from pages.visitor import part, path
from storefront.pages import pages


class Preferences(Form):
    email: str = ""


@pages.get("/notices")
def show_notices(visit: Visit) -> Page:
    cursor = visit.request.query.get("cursor", "")
    preferences = part(lambda: visit.visitor.get(path("notifications", "preferences")))
    notices = visit.visitor.get(path("notifications", limit=20, cursor=cursor))
    return Page("notices.html", {"notices": notices, "preferences": preferences})


@pages.post("/notices/preferences", form=Preferences)
def change_preferences(visit: Visit, form: Preferences) -> Redirect:
    visit.visitor.send("PUT", path("notifications", "preferences"), {"email": form.email == "on"})
    return Redirect("/notices")


@pages.post("/notices/{notification_id}/read")
def mark_read(visit: Visit, notification_id: str) -> Redirect:
    visit.visitor.send("POST", path("notifications", notification_id, "read"))
    return Redirect("/notices")
