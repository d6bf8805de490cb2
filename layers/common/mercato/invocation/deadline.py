"""The time left for the current work, so that calls end before Lambda ends the function."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mercato.invocation import hooks

RESERVE = 0.5  # seconds for the function's own response after its last call

_ends_at: ContextVar[float | None] = ContextVar("mercato_deadline", default=None)


@contextmanager
def of_invocation(context: Any) -> Iterator[None]:
    """Binds the deadline of a Lambda context; a context without one (a test's) means no deadline. At its end, runs the
    hooks that were registered for the end of the invocation.
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
    """Binds a deadline before the invocation's own, for a part of the work that may fail by timeout."""
    ends_at, ours = _ends_at.get(), time.monotonic() + seconds
    token = _ends_at.set(ours if ends_at is None else min(ends_at, ours))
    try:
        yield
    finally:
        _ends_at.reset(token)


def left() -> float:
    """Seconds until the deadline; infinite without one."""
    ends_at = _ends_at.get()
    return math.inf if ends_at is None else ends_at - time.monotonic()


def within(at_most: float, reserve: float = RESERVE) -> float:
    """The seconds that a call may take: `at_most`, or less if the invocation ends sooner. At least 50 ms."""
    return max(0.05, min(at_most, left() - reserve))
