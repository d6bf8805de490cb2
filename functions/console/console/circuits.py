"""Circuit breakers: their states, and an operator's hand on them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from console.pages import pages
from pages import Form, Page, Redirect, Visit
from pages.visitor import path

ACTIONS = (
    ("force_open", "Open it: no call is made"),
    ("force_close", "Close it: all calls are made"),
    ("auto", "Release it: it decides by itself"),
)


class SetCircuit(Form):
    action: Literal["force_open", "force_close", "auto"]
    reason: Annotated[str, Field(min_length=3, max_length=500)]


@pages.get("/console/circuits")
def show_circuits(visit: Visit) -> Page:
    return Page("circuits.html", {"circuits": visit.visitor.get(path("ops", "circuits"))["items"]})


@pages.get("/console/circuits/{name}")
def show_circuit(visit: Visit, name: str) -> Page:
    return Page("circuit.html", {"circuit": visit.visitor.get(path("ops", "circuits", name)), "actions": list(ACTIONS)})


@pages.post("/console/circuits/{name}", form=SetCircuit, again=show_circuit)
def set_circuit(visit: Visit, name: str, form: SetCircuit) -> Redirect:
    visit.visitor.send("POST", path("ops", "circuits", name), {"action": form.action, "reason": form.reason})
    return Redirect(f"/console/circuits/{name}")
