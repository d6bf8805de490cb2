"""How long the work under way may still take, so that a call out ends before Lambda ends us."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mercato.invocation import hooks

RESERVE = 0.5  # seconds: what our own answer takes after the last call out

_ends_at: ContextVar[float | None] = ContextVar("mercato_deadline", default=None)


@contextmanager
def of_invocation(context: Any) -> Iterator[None]:
    """Binds the deadline of a Lambda context; a context without one (a test's) means no deadline. What was put off
    until the answer is there runs at its end.
    """
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    token = _ends_at.set(time.monotonic() + remaining() / 1000 if remaining else None)
    try:
        yield
    finally:
        try:
            hooks.run()
        finally:
            _ends_at.reset(token)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Binds a deadline that is nearer than the invocation's own, for a part that may go without an answer."""
    ends_at, ours = _ends_at.get(), time.monotonic() + seconds
    token = _ends_at.set(ours if ends_at is None else min(ends_at, ours))
    try:
        yield
    finally:
        _ends_at.reset(token)


def left() -> float:
    """Seconds until the work must be over; infinite where there is no deadline."""
    ends_at = _ends_at.get()
    return math.inf if ends_at is None else ends_at - time.monotonic()


def within(at_most: float, reserve: float = RESERVE) -> float:
    """Seconds that a call may take: `at_most`, or less where the invocation ends sooner. Never below 50 ms."""
    return max(0.05, min(at_most, left() - reserve))
