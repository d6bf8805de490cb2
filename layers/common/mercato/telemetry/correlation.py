"""One id from the HTTP request to the last e-mail, in context variables that are set and cleared per unit of work."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field, replace

from mercato.dataclass import dataclass
from mercato.telemetry import trace_context

_VALID_VERSION = re.compile(r"[a-z][a-z-]{0,30}")
_VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{7,63}")


@dataclass(frozen=True)
class Correlation:
    """The current unit of work and its origin.

    `traceparent` is W3C Trace Context with our own span id, for outgoing calls; `parent_id` is the caller's span.
    `causation_id` is the id of the event or command that caused the work. `actor` is who acts, as `<kind>:<name>`:
    `customer:<user id>`, `admin:<user id>`, `peer:<user id>`, `saga:<step>` or `event:<type>`; empty for other work.
    `mesh_version` pins the calls to peers to a version, if the mesh is on and knows it; empty for the usual weights.
    """

    correlation_id: str
    traceparent: str
    causation_id: str | None = None
    parent_id: str | None = None
    tracestate: str = ""
    actor: str = ""
    mesh_version: str = ""
    began: float = field(default_factory=time.monotonic, compare=False)

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        return self.traceparent[36:52]

    def as_dict(self) -> dict[str, str | int]:
        """The fields of a log line: the ids that connect lines to a tree, and the elapsed time."""
        ids = {
            "correlation_id": self.correlation_id,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "causation_id": self.causation_id,
        }
        elapsed = round((time.monotonic() - self.began) * 1000)
        return {name: value for name, value in ids.items() if value} | {"elapsed_ms": elapsed}


_current: ContextVar[Correlation | None] = ContextVar("mercato_correlation", default=None)


def next_hop(traceparent: str) -> str:
    """The same trace with a new parent id, for an outgoing call; a new trace if it is invalid."""
    parent = trace_context.read_traceparent(traceparent)
    if parent is None:
        return trace_context.write_traceparent(trace_context.new_trace_id(), trace_context.new_span_id(), sampled=True)
    span_id = trace_context.new_span_id()
    return trace_context.write_traceparent(parent.trace_id, span_id, sampled=parent.sampled, random=parent.random)


def accept(
    correlation_id: str | None,
    traceparent: str | None = None,
    causation_id: str | None = None,
    tracestate: str | None = None,
) -> Correlation:
    """Validates the ids of a request. Replaces missing or invalid ids."""
    valid = correlation_id is not None and _VALID_ID.fullmatch(correlation_id)
    parent = trace_context.read_traceparent(traceparent)
    return Correlation(
        correlation_id=correlation_id if valid and correlation_id else str(uuid.uuid4()),
        traceparent=next_hop(traceparent or ""),
        causation_id=causation_id,
        parent_id=parent.span_id if parent else None,
        # The state is only valid for a trace that is continued.
        tracestate=trace_context.read_tracestate(tracestate) if parent else "",
    )


def current() -> Correlation:
    """The correlation of the current work. Outside any work it is a new one each time."""
    return _current.get() or accept(None)


@contextmanager
def bound(correlation: Correlation) -> Iterator[Correlation]:
    token = _current.set(correlation)
    try:
        yield correlation
    finally:
        _current.reset(token)


@contextmanager
def acting(actor: str, mesh_version: str = "") -> Iterator[Correlation]:
    """The work under way goes on in the name of this actor. An invalid `mesh_version` is left out."""
    version = mesh_version if _VALID_VERSION.fullmatch(mesh_version) else ""
    with bound(replace(current(), actor=actor, mesh_version=version)) as work:
        yield work


def caused_by(event_id: str) -> Correlation:
    return replace(current(), causation_id=event_id)
