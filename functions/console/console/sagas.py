"""Sagas: those that wait for an operator first, and each as it went, with the ways on."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from console.diagram import u_turn
from console.pages import pages
from pages import Form, Page, Redirect, Visit
from pages.visitor import next_page, part, path

_WAITS_FOR_BUYER = "AwaitBuyer"  # the state of the saga
_STATUSES = ("parked", "running", "succeeded", "failed", "all")


class Resume(Form):
    action: Literal["retry", "skip"]
    step: str = ""
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class Redrive(Form):
    reason: Annotated[str, Field(min_length=3, max_length=500)]


def message_of(cause: str) -> str:
    """What the function said that failed, without the traceback that Step Functions' cause has around it."""
    try:
        found = json.loads(cause)
    except ValueError:
        return cause
    return str(found["errorMessage"]) if isinstance(found, dict) and "errorMessage" in found else cause


@pages.get("/console/sagas")
def show_sagas(visit: Visit) -> Page:
    status = visit.request.query.get("status", "parked")
    status = status if status in _STATUSES else "parked"
    cursor = visit.request.query.get("cursor", "")
    found = visit.visitor.get(path("ops", "sagas", status=status, limit=50, cursor=cursor))
    return Page(
        "sagas.html",
        {
            "sagas": [one | {"cause": message_of(one["cause"])} if "cause" in one else one for one in found["items"]],
            "status": status,
            "statuses": list(_STATUSES),
            "next": next_page("/console/sagas", found["next_cursor"], status=status),
        },
    )


@pages.get("/console/sagas/{saga}")
def show_saga(visit: Visit, saga: str) -> Page:
    found = visit.visitor.get(path("ops", "sagas", saga))
    steps = found["steps"]
    waits = found["status"] == "running" and bool(steps) and steps[-1]["state"] == _WAITS_FOR_BUYER
    order = part(lambda: visit.visitor.get(path("orders", found["order_id"]))).value or {}
    values = {"waits": waits, "payment": order.get("payment") if waits else None, "number": order.get("number")}
    return Page("saga.html", {"saga": found, "drawing": u_turn(found), **values})


@pages.post("/console/sagas/{saga}/resume", form=Resume, again=show_saga)
def resume(visit: Visit, saga: str, form: Resume) -> Redirect:
    body = {"action": form.action, "reason": form.reason} | ({"step": form.step} if form.step else {})
    visit.visitor.send("POST", path("ops", "sagas", saga, "resume"), body)
    return Redirect(f"/console/sagas/{saga}")


@pages.post("/console/sagas/{saga}/redrive", form=Redrive, again=show_saga)
def redrive(visit: Visit, saga: str, form: Redrive) -> Redirect:
    visit.visitor.send("POST", path("ops", "sagas", saga, "redrive"), {"reason": form.reason})
    return Redirect(f"/console/sagas/{saga}")
