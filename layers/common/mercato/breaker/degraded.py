"""Degraded mode, while the store is unavailable: a sandbox counts its own failures, and probes one call at a time.

None of it is stored. Once the store answers again, its state replaces this one.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from mercato.breaker.policy import Policy
from mercato.breaker.state import State, Status
from mercato.breaker.timing import Clock, Timer
from mercato.breaker.view import Ticket


def opened(state: State, policy: Policy, clock: Clock, wait: float | None) -> State:
    now, openings = clock.now_ms(), state.n_open + 1
    delay = max(clock.jittered(policy.backoff_ms(openings) / 1000, 0.2), min(wait or 0.0, policy.max_reset))
    return replace(
        state,
        st=Status.OPEN,
        opened_at=state.opened_at or now,
        retry_at=now + int(delay * 1000),
        n_open=openings,
        ok=0,
        lease_until=0,
    )


def probed_well(state: State, policy: Policy) -> State:
    if state.ok + 1 < policy.successes:
        return replace(state, st=Status.HALF_OPEN, ok=state.ok + 1, lease_until=0)
    return replace(state, st=Status.CLOSED, ok=0, n_open=0, opened_at=0, retry_at=0, lease_until=0)


class Slot:
    """Permission for one probe. A probe that never ends loses it when its lease expires."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._lease = min(policy.call_timeout + 1, policy.lease)
        self._until = Timer(clock)
        self._held: Ticket | None = None
        self._lock = threading.Lock()

    def take(self, ticket: Ticket) -> bool:
        with self._lock:
            if self._held is not None and not self._until.is_over():
                return False
            self._held = ticket
            self._until.start(self._lease)
            return True

    def give_back(self, ticket: Ticket) -> bool:
        """Returns False if the slot was granted again in between."""
        with self._lock:
            if self._held is not ticket:
                return False
            self._held = None
            return True
