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
    max: Annotated[int, Field(ge=1, le=500)] = 50
    note: Annotated[str, Field(max_length=500)] = ""
    step: Literal["dry", "send"] = "dry"


@pages.get("/console/letters")
def show_queues(visit: Visit) -> Page:
    return Page("queues.html", {"queues": visit.visitor.get(path("ops", "dlq"))})


@pages.get("/console/letters/{queue}")
def show_letters(visit: Visit, queue: str) -> Page:
    sent = visit.request.query.get("sent", "")
    if sent.isascii() and sent.isdecimal():
        rest = " More of them may wait: send again to go on." if visit.request.query.get("more") else ""
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
            "has_more": bool(dry_run) and _has_more(dry_run),
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
    if trouble := _trouble(done, is_sent=form.step == "send"):
        raise InvalidForm({"": trouble})
    if form.step == "send":
        asked = {"type": form.type, "reason": form.reason} if not form.ids else {}
        told = {"sent": done["redriven"], "more": "true" if _has_more(done) else "", **asked}
        query = urlencode({name: value for name, value in told.items() if value != ""})
        return Redirect(f"/console/letters/{quote(queue, safe='')}?{query}")
    visit.values = {"type": form.type, "reason": form.reason, "note": form.note}
    return _page(visit, queue, done, form.max)


def _has_more(done: Any) -> bool:
    """Whether letters are left that were not looked at: it ended at the number that it may send, or at its time."""
    return bool(done["next_cursor"]) or any(not one["is_whole"] for one in done["items"])


def _trouble(done: Any, *, is_sent: bool) -> str:
    """What stopped it before the end, and what was done by then; empty if nothing did."""
    failures = [one["failure"] for one in done["items"] if one["failure"]]
    if not failures:
        return ""
    left = sum(one["left_behind"] for one in done["items"])
    twice = f", of which {counted(left, 'letter')} could not be deleted here" if left else ""
    told = f"Sent back: {counted(done['redriven'], 'letter')}{twice}. Then it stopped" if is_sent else "It stopped"
    return f"{told}: {'; '.join(failures)}. Once that is mended, send again: a letter that is sent twice does no harm."
