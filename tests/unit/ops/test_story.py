"""The events of a request as a tree, with the steps of the sagas that they started."""

from __future__ import annotations

import random

import pytest

from ops.journal.store import Entry
from ops.journal.story import Node, NodeKind, tell
from ops.sagas.executions import Execution
from ops.sagas.steps import Failure, Outcome, Step


def at(second: int) -> str:
    return f"2026-11-22T12:00:{second:02}.000Z"


def entry(name: str, cause: str | None, second: int, event_type: str = "x.done", subject: str = "s") -> Entry:
    return Entry(name, event_type, "mercato.x", subject, 1, at(second), at(second), "req-12345678", cause, {})


def saga(name: str) -> Execution:
    return Execution(
        name=name,
        arn="arn",
        status="failed",
        started_at=at(1),
        stopped_at=at(9),
        error="OutOfStock",
        detail=None,
        redrive_count=0,
        definition={},
        steps=[
            Step("Which", "Choice", at(1), at(1), 0, 0, Outcome.DONE),
            Step("Reserve", "Task", at(1), at(4), 2, 0, Outcome.CAUGHT, [Failure(at(4), "OutOfStock", "no")]),
            Step("Undo", "Task", at(4), None, 1),
        ],
    )


def shape(nodes: list[Node]) -> list[tuple[int, str]]:
    return [(node.depth, node.key) for node in nodes]


@pytest.mark.parametrize("seed", range(5))
def test_each_event_stands_below_its_cause_and_by_time(seed: int) -> None:
    entries = [entry("a", None, 0), entry("b", "a", 1), entry("c", "b", 5), entry("d", "a", 3), entry("e", "gone", 2)]
    random.Random(seed).shuffle(entries)
    nodes = tell([*entries, entries[0]], lambda _: None)
    assert shape(nodes) == [(0, "a"), (1, "b"), (2, "c"), (1, "d"), (0, "e")]
    assert [node.parent for node in nodes] == [None, "a", "b", "a", None]
    assert [node.after_ms for node in nodes] == [0, 1000, 5000, 3000, 2000]


def test_causes_in_a_circle_end_no_walk_and_lose_no_event() -> None:
    nodes = tell([entry("a", "b", 0), entry("b", "a", 1), entry("c", "c", 2), entry("d", "a", 3)], lambda _: None)
    assert {node.key for node in nodes} == {"a", "b", "c", "d"}


def test_a_saga_and_its_steps_stand_below_the_event_that_started_it() -> None:
    entries = [entry("a", None, 0, "order.created", "order-1"), entry("b", "a", 2)]
    nodes = tell(entries, lambda name: saga(name) if name == "order-1" else None)
    assert shape(nodes) == [(0, "a"), (1, "order-1"), (2, "order-1/2"), (2, "order-1/3"), (1, "b")]
    whole, reserve, undo = nodes[1:4]
    assert (whole.kind, whole.duration_ms, whole.outcome) == (NodeKind.SAGA, 8000, "out_of_stock")
    assert (reserve.name, reserve.tries, reserve.errors) == ("Reserve", 2, ["OutOfStock"])
    assert (reserve.after_ms, reserve.duration_ms, reserve.outcome) == (1000, 3000, "caught")
    assert (undo.kind, undo.duration_ms, undo.outcome) == (NodeKind.STEP, None, "running")


def test_a_cancellation_has_a_saga_of_its_own() -> None:
    asked: list[str] = []
    tell([entry("a", None, 0, "order.cancellation_requested", "order-1")], lambda name: asked.append(name))
    assert asked == ["order-1.cancellation"]


def test_nothing_is_an_empty_tree() -> None:
    assert tell([], lambda _: None) == []
