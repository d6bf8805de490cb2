"""What came of one request: its events as a tree, each below the event that caused it, with the saga's steps.

The journal has events only. The calls between services, and consumers whose work publishes nothing, are in the logs:
`mercato trace` reads those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import NotFound
from ops.journal.store import Entry
from ops.sagas.executions import Execution


class RequestNotFound(NotFound):
    """No event in the journal has this correlation id."""


class NodeKind(StrEnum):
    EVENT = "event"
    MAIL = "mail"
    SAGA = "saga"
    STEP = "step"


@dataclass(frozen=True)
class Node:
    """One line of the tree. `depth` is 0 for what the request itself caused. `parent` is the `key` of its cause.

    `after_ms` counts from the first event of the request, `duration_ms` is a saga's or a step's own.
    """

    key: str
    parent: str | None
    depth: int
    kind: NodeKind
    name: str
    source: str
    subject: str
    at: str
    after_ms: int
    duration_ms: int | None = None
    outcome: str | None = None
    tries: int | None = None
    errors: list[str] = field(default_factory=list)


_MAILS = ("notification.sent", "notification.failed")


def tell(entries: Sequence[Entry], find_saga: Callable[[str], Execution | None]) -> list[Node]:
    """The nodes in the order of the tree: each before what it caused, and what has one cause by time."""
    by_id = {entry.event_id: entry for entry in entries}
    caused: defaultdict[str | None, list[Entry]] = defaultdict(list)
    for entry in sorted(by_id.values(), key=lambda entry: (entry.at, entry.event_id)):
        caused[_cause(entry, by_id)].append(entry)
    began = min((entry.at for entry in entries), default="")

    def walk(cause: str | None, depth: int) -> Iterator[Node]:
        for entry in caused[cause]:
            kind = NodeKind.MAIL if entry.type in _MAILS else NodeKind.EVENT
            key = entry.event_id
            after = _ms(began, entry.at)
            yield Node(key, cause, depth, kind, entry.type, entry.source, entry.subject, entry.at, after)
            for saga in _sagas(entry, find_saga):
                yield from _steps(saga, key, depth + 1, began)
            yield from walk(key, depth + 1)

    return list(walk(None, 0))


def _cause(entry: Entry, known: dict[str, Entry]) -> str | None:
    """The event that caused it; None where the request did, where it is not known, and in a circle of wrong ids."""
    seen, cause = {entry.event_id}, entry.causation_id
    if cause is None or cause not in known:
        return None
    above: str | None = cause
    while above is not None and above in known:
        if above in seen:
            return None
        seen.add(above)
        above = known[above].causation_id
    return cause


_STARTS = {"order.created": "{}", "order.cancellation_requested": "{}.cancellation"}


def _sagas(entry: Entry, find_saga: Callable[[str], Execution | None]) -> Iterator[Execution]:
    if entry.type in _STARTS and (saga := find_saga(_STARTS[entry.type].format(entry.subject))):
        yield saga


def _steps(saga: Execution, parent: str, depth: int, began: str) -> Iterator[Node]:
    lasted = _ms(saga.started_at, saga.stopped_at) if saga.stopped_at else None
    about = ("mercato.orders", saga.name)
    after = _ms(began, saga.started_at)
    outcome = saga.ending.value if saga.ending else saga.status
    yield Node(saga.name, parent, depth, NodeKind.SAGA, "order saga", *about, saga.started_at, after, lasted, outcome)
    for number, step in enumerate(saga.steps, 1):
        if not step.tries:
            continue  # a state that calls nothing
        yield Node(
            key=f"{saga.name}/{number}",
            parent=saga.name,
            depth=depth + 1,
            kind=NodeKind.STEP,
            name=step.state,
            source="mercato.orders",
            subject=saga.name,
            at=step.entered_at,
            after_ms=_ms(began, step.entered_at),
            duration_ms=step.duration_ms,
            outcome=step.outcome.value,
            tries=step.tries,
            errors=[failure.error for failure in step.failures],
        )


def _ms(begin: str, end: str) -> int:
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() * 1000)
