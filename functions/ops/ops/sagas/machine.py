"""A state machine as data: its states and the edges between them, read from its definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from mercato.dataclass import dataclass

START, END = "[*]", "[*]"  # what an execution comes from and ends in, as Mermaid writes it

_DEFAULT_ATTEMPTS = 3  # retries, where a retrier names no number


class EdgeKind(StrEnum):
    """Why an execution takes an edge: always, by a choice, where no choice fits, by an error, or since it ends."""

    NEXT = "next"
    CHOICE = "choice"
    DEFAULT = "default"
    CATCH = "catch"
    END = "end"


@dataclass(frozen=True)
class Edge:
    """`errors` are the names that a catch takes; no other edge has any."""

    source: str
    target: str
    kind: EdgeKind
    errors: tuple[str, ...] = ()


def edges_of(definition: Mapping[str, Any]) -> list[Edge]:
    """The edges in the definition's order, the one into the first state before all others."""
    return [Edge(START, definition["StartAt"], EdgeKind.NEXT), *_edges(definition["States"])]


def _edges(states: Mapping[str, Mapping[str, Any]]) -> Iterator[Edge]:
    for name, state in states.items():
        if "Next" in state:
            yield Edge(name, state["Next"], EdgeKind.NEXT)
        for choice in state.get("Choices", ()):
            yield Edge(name, choice["Next"], EdgeKind.CHOICE)
        if "Default" in state:
            yield Edge(name, state["Default"], EdgeKind.DEFAULT)
        for catch in state.get("Catch", ()):
            yield Edge(name, catch["Next"], EdgeKind.CATCH, tuple(catch["ErrorEquals"]))
        if state.get("End") or state["Type"] in ("Succeed", "Fail"):
            yield Edge(name, END, EdgeKind.END)


def most_tries(state: Mapping[str, Any]) -> int:
    """How often a task runs at most, if each try fails with an error that one and the same retrier takes."""
    if state["Type"] != "Task":
        return 0
    return 1 + max((retrier.get("MaxAttempts", _DEFAULT_ATTEMPTS) for retrier in state.get("Retry", ())), default=0)
