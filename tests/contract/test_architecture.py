"""The tables and pictures of docs/architecture.md and README.md say what templates, policy and saga say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from infra.contract import events
from infra.mesh import policy
from tests.kit.template import ROOT

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
README = (ROOT / "README.md").read_text()
STATES = json.loads((ROOT / "functions/orders/order_saga.asl.json").read_text())["States"]
END = "[*]"
PAGES_AND_PROBE = {"storefront", "console", "ops"}  # named below the table, since they call nearly all
PEERS = {service: set(found.callers) - PAGES_AND_PROBE for service, found in policy.read().services.items()}


def words(cell: str) -> set[str]:
    return {word for word in re.split(r"[,&\s]+", cell) if word not in ("", "–")}


def consumed() -> dict[str, set[str]]:
    """The publishers of the events that each service of the table consumes."""
    publishers = {publication.model.TYPE: publication.service for publication in events.publications()}
    found: dict[str, set[str]] = {service: set() for service in PEERS}
    for event_type, services in events.listeners().items():
        for service in PEERS.keys() & services:
            found[service].add(publishers[event_type])
    return found


def test_the_table_of_services_has_the_callers_and_the_publishers_of_each() -> None:
    table = ARCHITECTURE.partition("| called by peers | consumes events of |\n|---|---|---|---|\n")[2]
    rows = [row.strip("|").split("|") for row in table.partition("\n\n")[0].splitlines()]
    told = {service.strip(): (words(callers), words(publishers)) for service, _, callers, publishers in rows}

    assert told == {service: (PEERS[service], publishers) for service, publishers in consumed().items()}


def test_the_readme_s_picture_has_each_call_of_a_peer() -> None:
    told = {
        (caller, callee)
        for callers, callees in re.findall(r"^ +(.+) -\. signed call \.-> (.+)$", README, re.MULTILINE)
        for caller in words(callers)
        for callee in words(callees)
    }

    assert told == {(caller, callee) for callee, callers in PEERS.items() for caller in callers - {"gateway"}}


def next_states(name: str) -> Iterator[str]:
    state = STATES[name]
    if state["Type"] in ("Succeed", "Fail"):
        yield END
    for way in (state, *state.get("Choices", []), *state.get("Catch", [])):
        yield from (way[key] for key in ("Next", "Default") if key in way)


def reached(name: str, drawn: set[str]) -> set[str]:
    """The drawn states that follow a state, directly or by states that the picture leaves out."""
    found, seen, ahead = set(), set(), list(next_states(name))
    while ahead:
        state = ahead.pop()
        if state in drawn:
            found.add(state)
        elif state not in seen:
            seen.add(state)
            ahead += next_states(state)
    return found


def test_the_picture_of_the_saga_has_each_way_of_the_workflow() -> None:
    """Only the ways from AwaitOperator are summed up: an operator may retry or skip any undo."""
    picture = ARCHITECTURE.partition("## An order\n\n```mermaid\nstateDiagram-v2\n")[2].partition("```")[0]
    arrows = set(re.findall(r"^  (\S+) --> ([\w*\[\]]+)", picture, re.MULTILINE))
    drawn = {name for arrow in arrows for name in arrow}

    assert {name for name, state in STATES.items() if state["Type"] == "Task"} - drawn == {"MarkNeedsAttention"}
    of_the_machine = {(name, after) for name in drawn - {END} for after in reached(name, drawn)}
    begins = {(END, after) for after in reached("IsCancelled", drawn)}
    assert {arrow for arrow in arrows if arrow[0] != "AwaitOperator"} == {
        arrow for arrow in of_the_machine | begins if arrow[0] != "AwaitOperator"
    }
    assert {arrow for arrow in arrows if arrow[0] == "AwaitOperator"} <= of_the_machine
