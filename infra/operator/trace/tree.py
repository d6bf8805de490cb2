"""Builds a tree from log lines: calls, the events that they caused, and the events' consumers.

Three kinds of links make the tree. A span's `parent_id` is the span that called it (HTTP, a saga step) or published
the event that it handles. A `causation_id` names that event, so its consumers are below it. A peer call has its own
span (`call_id`), which the peer's request names as its parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from infra.operator.trace.lines import Line


class Kind(StrEnum):
    REQUEST = "request"
    CALL = "call"
    EVENT = "event"
    CONSUMER = "consumer"
    STEP = "step"
    MAIL = "e-mail"
    WORK = "work"


@dataclass
class Node:
    """One unit of work and its effects. `ok` is False if the work failed or will be retried."""

    kind: Kind
    what: str
    function: str
    at: datetime
    ids: dict[str, str]
    result: str = ""
    ok: bool = True
    duration_ms: int | None = None
    notes: list[str] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "what": self.what,
            "function": self.function,
            "at": self.at.isoformat(timespec="milliseconds"),
            "duration_ms": self.duration_ms,
            "ok": self.ok,
            "result": self.result,
            **self.ids,
            "notes": self.notes,
            "children": [child.as_dict() for child in self.children],
        }

    def walk(self) -> Iterable[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


# The outcome in a span's log line: message → (kind, whether it succeeded). A span has at most one of these.
_OUTCOMES = {
    "request": (Kind.REQUEST, True),
    "event consumed": (Kind.CONSUMER, True),
    "event will be retried": (Kind.CONSUMER, False),
    "event failed": (Kind.CONSUMER, False),
    "event moved to the dead-letter queue": (Kind.CONSUMER, False),
    "saga step done": (Kind.STEP, True),
    "saga step refused": (Kind.STEP, False),
    "saga step will be retried": (Kind.STEP, False),
    "saga step failed": (Kind.STEP, False),
}
_PUBLISHED, _CALLED, _MAILED = "event published", "peer called", "e-mail sent"


def trees_of(lines: Sequence[Line]) -> list[Node]:
    """Returns the trees ordered by time. Usually there is one, whose root is the first request."""
    spans = _spans(lines)
    events = {line.text("event_id"): _event(line) for line in reversed(lines) if line.message == _PUBLISHED}
    calls = {line.text("call_id"): _call(line) for line in lines if line.message == _CALLED}
    nodes = {span_id: _node(span_id, members) for span_id, members in spans.items()}
    roots: list[Node] = []

    def hang(node: Node, *parents: Node | None) -> None:
        parent = next((parent for parent in parents if parent is not None), None)
        (parent.children if parent is not None else roots).append(node)

    for event_node in events.values():
        hang(event_node, nodes.get(event_node.ids["span_id"]))
    for call_node in calls.values():
        hang(call_node, nodes.get(call_node.ids["span_id"]))
    for node in nodes.values():
        parent_id, cause = node.ids.get("parent_id", ""), node.ids.get("causation_id", "")
        caller = calls.get(parent_id), nodes.get(parent_id)
        # A saga step has the event that started its saga, but the span that runs the step is the closer parent.
        hang(node, *((*caller, events.get(cause)) if node.kind is Kind.STEP else (events.get(cause), *caller)))
    for node in [*nodes.values(), *events.values(), *calls.values()]:
        node.children.sort(key=lambda child: child.at)
    return sorted(roots, key=lambda root: root.at)


def _spans(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Groups the lines by unit of work. The relay logs with the span id of the event that it publishes."""
    spans: dict[str, list[Line]] = {}
    for line in lines:
        if line.message != _PUBLISHED:
            spans.setdefault(line.text("span_id"), []).append(line)
    return spans


def _node(span_id: str, lines: Sequence[Line]) -> Node:
    outcome = next((line for line in lines if line.message in _OUTCOMES), lines[-1])
    kind, ok = _OUTCOMES.get(outcome.message, (Kind.WORK, True))
    elapsed = max(int(line.fields.get("elapsed_ms", 0)) for line in lines)
    node = Node(
        kind,
        _what(kind, outcome),
        outcome.function,
        lines[-1].at - timedelta(milliseconds=elapsed),
        _ids(outcome, "trace_id", "parent_id", "causation_id") | {"span_id": span_id},
        ok=ok,
        duration_ms=elapsed,
    )
    if kind is Kind.REQUEST:
        node.result, node.ok = outcome.text("status"), int(outcome.fields.get("status", 0)) < 500
    elif not ok:
        node.result = _failure(outcome)
    for line in lines:
        if line.message == _MAILED:
            node.children.append(_mail(line))
        elif line is not outcome and line.message != _CALLED:
            node.notes.append(_note(line))
    return node


def _what(kind: Kind, line: Line) -> str:
    match kind:
        case Kind.REQUEST:
            return f"{line.text('method')} {line.text('path')}"
        case Kind.CONSUMER:
            return f"{line.text('service')} consumes {line.text('event_type') or 'an event'}"
        case Kind.STEP:
            return line.text("task")
        case _:
            return line.message


def _failure(line: Line) -> str:
    texts = [line.message, line.text("reason"), line.text("detail"), line.text("exception_name")]
    return ": ".join(text for text in texts if text)


def _note(line: Line) -> str:
    texts = [line.message, *(line.text(name) for name in ("problem", "peer", "part", "reason", "exception_name"))]
    return f"{line.text('level').lower()}: {' · '.join(text for text in texts if text)}"


def _event(line: Line) -> Node:
    what = f"{line.text('event_type')} {line.text('subject')}".rstrip()
    return Node(Kind.EVENT, what, line.function, line.at, _ids(line, "trace_id", "span_id", "event_id"))


def _call(line: Line) -> Node:
    status = line.fields.get("status")
    took = int(line.fields.get("call_ms", 0))
    return Node(
        Kind.CALL,
        f"{line.text('peer')}: {line.text('method')} {line.text('path')}",
        line.function,
        line.at - timedelta(milliseconds=took),
        _ids(line, "trace_id", "span_id", "call_id"),
        result=line.text("status") or line.text("reason"),
        ok=isinstance(status, int) and status < 500,
        duration_ms=took,
    )


def _mail(line: Line) -> Node:
    what = f"{line.text('kind')} to user {line.text('user_id')}"
    return Node(Kind.MAIL, what, line.function, line.at, _ids(line, "trace_id", "span_id"))


def _ids(line: Line, *names: str) -> dict[str, str]:
    return {name: line.text(name) for name in names if line.text(name)}
