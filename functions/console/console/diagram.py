"""An order's saga as a U-turn: its steps go down on the left, and what undoes them goes up on the right.

The places are computed here, as numbers; the template draws them. Which states there are, and which follows which,
comes from the state machine itself, so that a new step is drawn without a change here.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mercato.dataclass import dataclass

_ROW, _TOP, _LEFT, _RIGHT, _WIDTH = 64, 16, 16, 396, 250
_SHAPES = {"done": ("●", "ok"), "caught": ("▲", "bad"), "failed": ("▲", "bad"), "running": ("◌", "info")}
_WAITS = ("■", "warn")
_NOT_TAKEN = ("○", "idle")


@dataclass(frozen=True)
class Box:
    """A state, with its place. `number` says as which it was entered; 0 where it was not."""

    name: str
    x: int
    y: int
    width: int
    shape: str
    tone: str
    number: int
    tries: int


@dataclass(frozen=True)
class Line:
    """From one box to another; `is_taken` where this saga went that way."""

    x1: int
    y1: int
    x2: int
    y2: int
    is_taken: bool


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    lines: list[Line]


def u_turn(saga: Mapping[str, Any]) -> Drawing:
    """Draws the machine's tasks, and the way that the saga took among them."""
    machine = saga["machine"]
    kinds = {state["name"]: state["kind"] for state in machine["states"]}
    follows: dict[str, list[str]] = {}
    for edge in machine["edges"]:
        if edge["source"] in kinds and edge["target"] in kinds:  # `[*]` is no state: it begins and ends the machine
            follows.setdefault(edge["source"], []).append(edge["target"])
    taken = [step["state"] for step in saga["steps"] if step["kind"] == "Task"]
    forward = _way_down(machine["states"], kinds, follows, taken)
    follows = {name: list(_past_choices(name, kinds, follows, forward, taken)) for name in follows}
    undo = _way_up(forward, kinds, follows)
    steps = {step["state"]: step for step in saga["steps"]}
    places = {name: (_LEFT, _TOP + _ROW * row) for row, name in enumerate(forward)}
    last = _TOP + _ROW * (len(forward) - 1)
    places |= {name: (_RIGHT, last - _ROW * row) for row, name in enumerate(undo)}
    lowest = min((y for _, y in places.values()), default=_TOP)
    if lowest < _TOP:  # more to undo than to do: the left column hangs lower
        places = {name: (x, y + _TOP - lowest) for name, (x, y) in places.items()}
    boxes = [_box(name, place, steps.get(name), taken, saga["parked_step"]) for name, place in places.items()]
    lines = list(_lines(forward, undo, places, follows, kinds, taken))
    height = max((y for _, y in places.values()), default=0) + 44 + _TOP
    return Drawing(_RIGHT + _WIDTH + _LEFT, height, boxes, lines)


def _way_up(forward: Sequence[str], kinds: Mapping[str, str], follows: Mapping[str, list[str]]) -> list[str]:
    """The tasks that undo, from the lowest on."""
    undo: list[str] = []
    for state in reversed(forward):
        for first in _undoing(state, kinds, follows):
            for found in _chain(first, kinds, follows):
                if found not in undo and found not in forward:
                    undo.append(found)
    return sorted(undo, key=lambda one: -_depth(one, undo, follows))


def _past_choices(
    name: str,
    kinds: Mapping[str, str],
    follows: Mapping[str, list[str]],
    forward: Sequence[str],
    taken: Sequence[str],
) -> Iterable[str]:
    """What follows a state. Of a choice after a task: what it leads to by default, and the tasks of an order whose
    steps began with something that not every order needs.
    """
    default = follows[next(iter(follows))][-1]
    for one in follows[name]:
        if kinds[name] != "Task" or kinds[one] != "Choice":
            yield one
            continue
        *others, last = [other for other in follows.get(one, []) if kinds[other] == "Task"] or [one]
        yield from (other for other in others if other in taken or forward[0] != default)
        yield last


def _way_down(
    states: Sequence[Mapping[str, str]],
    kinds: Mapping[str, str],
    follows: Mapping[str, list[str]],
    taken: Sequence[str],
) -> list[str]:
    """The tasks from the first state on. Of a choice's ways the one that the saga took, else the default. If that leads
    back, the other one follows.
    """
    forward: list[str] = []
    others: list[str] = []
    name = first = states[0]["name"] if states else ""
    while name:
        if kinds[name] == "Task":
            forward.append(name)
        ahead = [one for one in follows.get(name, []) if kinds[one] in ("Task", "Choice", "Succeed")]
        if kinds[name] == "Choice" and ahead:
            ahead = [ahead[-1], *ahead[:-1]]
            # Where the first task was one that not every order has, its like are drawn before they are taken.
            optional = ahead[1:] if forward and forward[0] != follows[first][-1] else []
            seen = [*taken, *(one for one in optional if ahead[0] in follows.get(one, []))]
            ahead.sort(
                key=functools.partial(_rank, default=ahead[0], is_first=name == first, follows=follows, taken=seen)
            )
            others = ahead[1:] + others
        name = ahead[0] if ahead else ""
        if name in forward:
            name = next((one for one in others if one not in forward), "")
    return forward


def _rank(one: str, *, default: str, is_first: bool, follows: Mapping[str, list[str]], taken: Sequence[str]) -> int:
    """The place of a choice's way: first one that was taken and leads to the default, then one that was taken. The
    first choice begins an undo too, which is no way down.
    """
    if one not in taken:
        return 2
    return 0 if default in follows.get(one, []) else 2 if is_first else 1


def _undoing(state: str, kinds: Mapping[str, str], follows: Mapping[str, list[str]]) -> Iterable[str]:
    """The tasks that a failure of `state` leads to: past the states that only note the failure."""
    for caught in follows.get(state, []):
        if kinds[caught] == "Pass":
            yield from (one for one in follows.get(caught, []) if kinds[one] == "Task")


def _chain(first: str, kinds: Mapping[str, str], follows: Mapping[str, list[str]]) -> list[str]:
    found: list[str] = []
    waiting = [first]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += [one for one in follows.get(name, []) if kinds[one] == "Task"]
    return found


def _depth(name: str, among: Sequence[str], follows: Mapping[str, list[str]]) -> int:
    """How many steps of undoing follow this one at most."""
    return max((1 + _depth(one, among, follows) for one in follows.get(name, []) if one in among), default=0)


def _box(
    name: str, place: tuple[int, int], step: Mapping[str, Any] | None, taken: Sequence[str], parked: str | None
) -> Box:
    shape, tone = _NOT_TAKEN
    if step is not None:
        shape, tone = _SHAPES.get(step["outcome"], _NOT_TAKEN)
    if name == parked:
        shape, tone = _WAITS
    number = taken.index(name) + 1 if name in taken else 0
    return Box(name, *place, _WIDTH, shape, tone, number, step["tries"] if step else 0)


def _lines(
    forward: Sequence[str],
    undo: Sequence[str],
    places: Mapping[str, tuple[int, int]],
    follows: Mapping[str, list[str]],
    kinds: Mapping[str, str],
    taken: Sequence[str],
) -> Iterable[Line]:
    pairs = set(itertools.pairwise(taken))
    for one, other in itertools.pairwise(forward):
        (x, y), (_, below) = places[one], places[other]
        yield Line(x + 24, y + 44, x + 24, below, (one, other) in pairs)
    for one in undo:
        for other in follows.get(one, []):
            if other in undo:
                (x, y), (_, above) = places[one], places[other]
                yield Line(x + 24, y, x + 24, above + 44, (one, other) in pairs)
    for one in forward:
        for other in dict.fromkeys(_undoing(one, kinds, follows)):
            if other in places:
                (x, y), (right, there) = places[one], places[other]
                yield Line(x + _WIDTH, y + 22, right, there + 22, (one, other) in pairs)
