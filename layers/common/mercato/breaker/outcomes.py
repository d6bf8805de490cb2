"""The outcomes that one sandbox has counted and not reported yet."""

from __future__ import annotations

import threading
from dataclasses import replace

from mercato.breaker.policy import Outcome, Policy
from mercato.breaker.timing import Clock, Timer
from mercato.dataclass import dataclass

# Seconds between a sandbox's writes to a circuit; outcomes in between are summed.
REPORT_EVERY = 0.25


class Streak:
    """A failure older than `max_stale` starts a new streak. Not thread-safe: callers hold the breaker's lock."""

    __slots__ = ("_last", "_origins", "_policy", "length")

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._last = Timer(clock)
        self._origins: set[str] = set()
        self.length = 0

    def grow(self, origin: str) -> bool:
        """Returns True if the streak is long enough and has enough origins."""
        if self.length and self._last.is_over():
            self.clear()
        self._last.start(self._policy.max_stale)
        self.length += 1
        if len(self._origins) < self._policy.origins:
            self._origins.add(origin)
        return self.length >= self._policy.failures and len(self._origins) >= self._policy.origins

    def clear(self) -> None:
        self.length = 0
        self._origins.clear()


@dataclass(frozen=True)
class Tally:
    """`sus` is the suspicion that the votes are for; 0 for failures without a suspicion."""

    sus: int = 0
    calls: int = 0
    failures: int = 0
    slow: int = 0
    voters: int = 0


class OutcomeBuffer:
    """Sums outcomes for the store, and releases them at most every REPORT_EVERY seconds."""

    __slots__ = ("_lock", "_tally", "_voted_for", "_wait")

    def __init__(self, clock: Clock) -> None:
        self._lock = threading.Lock()
        self._wait = Timer(clock)
        self._voted_for = 0
        self._tally = Tally()

    def add(self, outcome: Outcome, sus: int) -> None:
        with self._lock:
            kept = self._tally if self._tally.sus == sus else Tally(sus)
            failures, slow = outcome is Outcome.FAILURE, outcome is Outcome.SLOW
            self._tally = Tally(sus, kept.calls + 1, kept.failures + failures, kept.slow + slow)

    def take(self) -> Tally | None:
        """The outcomes to report now."""
        if not self._tally.calls:
            return None
        with self._lock:
            if not self._tally.calls or not self._wait.is_over():
                return None
            self._wait.start(REPORT_EVERY)
            found, self._tally = self._tally, Tally()
            if found.sus and found.sus != self._voted_for:
                self._voted_for = found.sus
                return replace(found, voters=1)
            return found

    def clear(self) -> None:
        with self._lock:
            self._tally = Tally()
