"""Dead letters: by queue and reason, each as it is, a dry run, and the way back."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from pydantic import Field

from console.pages import pages
from pages import Form, InvalidForm, Page, Redirect, Visit
from pages.app import values_of
from pages.view import counted
from pages.visitor import part, path, together


class Redrive(Form):
    """`ids` are the letters that are chosen; without one, all that match `type` and `reason`. A dry run sends none."""

    ids: list[str] = []
    type: str = ""
    reason: str = ""
    max: Annotated[int, Field(ge=1, le=1000)] = 50
    note: Annotated[str, Field(max_length=500)] = ""
    step: Literal["dry", "send"] = "dry"


@pages.get("/console/letters")
def show_queues(visit: Visit) -> Page:
    return Page("queues.html", {"queues": visit.visitor.get(path("ops", "dlq"))})


@pages.get("/console/letters/{queue}")
def show_letters(visit: Visit, queue: str) -> Page:
    sent = visit.request.query.get("sent", "")
    if sent.isascii() and sent.isdecimal():
        rest = " More of them wait: send again to go on." if visit.request.query.get("more") else ""
        visit.notice = f"Sent back: {counted(int(sent[:9]), 'letter')}.{rest}"
    return _page(visit, queue)


def _page(visit: Visit, queue: str, dry_run: Any = None, max_sent: int = 50) -> Page:
    asked = {name: visit.request.query.get(name, visit.values.get(name, ""))[:100] for name in ("type", "reason")}
    ask = visit.visitor.get
    letters, history = together(
        lambda: ask(path("ops", "dlq", queue, "messages", **asked, limit=50, with_body="true")),
        lambda: part(lambda: ask(path("ops", "dlq", queue, "redrives"))["items"]),
    )
    return Page(
        "dead_letters.html",
        {
            "queue": queue,
            "letters": letters,
            "asked": asked,
            "history": history,
            "dry_run": dry_run,
            "chosen": values_of(visit, "ids"),
            "max": max_sent,
        },
    )


@pages.post("/console/letters/{queue}/redrive", form=Redrive, again=show_letters)
def redrive(visit: Visit, queue: str, form: Redrive) -> Page | Redirect:
    """First a dry run, which shows the letters; then the same choice is sent, with a note of why."""
    wanted: dict[str, Any] = {"queue": queue, "max": form.max, "dry_run": form.step == "dry"}
    wanted |= {"ids": form.ids} if form.ids else {}
    wanted |= {name: value for name, value in (("type", form.type), ("reason", form.reason)) if value}
    if form.step == "send":
        if len(form.note) < 3:
            raise InvalidForm({"note": "Please say why they can be handled now."})
        wanted["note"] = form.note
    done = visit.visitor.send("POST", path("ops", "dlq", "redrive"), wanted).body
    if form.step == "send":
        asked = {"type": form.type, "reason": form.reason} if not form.ids else {}
        told = {"sent": done["redriven"], "more": "true" if done["next_cursor"] else "", **asked}
        query = urlencode({name: value for name, value in told.items() if value != ""})
        return Redirect(f"/console/letters/{quote(queue, safe='')}?{query}")
    visit.values = {"type": form.type, "reason": form.reason, "note": form.note}
    return _page(visit, queue, done, form.max)
