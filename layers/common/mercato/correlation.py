"""One id from the HTTP request to the last e-mail: in context variables, set and cleared per piece of work."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

_VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{7,63}")
# W3C Trace Context: version ff is forbidden, ids of only zeros are invalid.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True)
class Correlation:
    """`causation_id` is the id of the event or command that made us act; `traceparent` is W3C Trace Context."""

    correlation_id: str
    traceparent: str
    causation_id: str | None = None

    def as_dict(self) -> dict[str, str]:
        found = {"correlation_id": self.correlation_id, "traceparent": self.traceparent}
        return found | ({"causation_id": self.causation_id} if self.causation_id else {})


_current: ContextVar[Correlation | None] = ContextVar("mercato_correlation", default=None)


def new_traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def next_hop(traceparent: str) -> str:
    """The same trace with a new parent id, for the call that goes out; a new trace where it is invalid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if not match or (traceparent.startswith("00-") and match[4]):
        return new_traceparent()
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[3]}"


def accept(correlation_id: str | None, traceparent: str | None = None, causation_id: str | None = None) -> Correlation:
    """What came in from outside, validated; what is missing or invalid is made anew."""
    valid = correlation_id is not None and _VALID_ID.fullmatch(correlation_id)
    return Correlation(
        correlation_id=correlation_id if valid and correlation_id else str(uuid.uuid4()),
        traceparent=next_hop(traceparent or ""),
        causation_id=causation_id,
    )


def current() -> Correlation:
    """The correlation of the work under way. Outside any work it is a new one each time."""
    return _current.get() or accept(None)


@contextmanager
def bound(correlation: Correlation) -> Iterator[Correlation]:
    token = _current.set(correlation)
    try:
        yield correlation
    finally:
        _current.reset(token)


def caused_by(event_id: str) -> Correlation:
    return replace(current(), causation_id=event_id)
