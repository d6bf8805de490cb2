"""When a circuit opens, and when it closes. Times are in seconds."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal

from mercato.dataclass import dataclass

Judge = Callable[[BaseException], bool]


class Outcome(StrEnum):
    """The result of a call. `ignored` has no meaning: the call failed before it reached the dependency."""

    SUCCESS = "success"
    FAILURE = "failure"
    SLOW = "slow"
    IGNORED = "ignored"


def retry_after_of(error: BaseException) -> float | None:
    """The wait that an error carries, such as one made from a 429."""
    found = getattr(error, "retry_after", None)
    return float(found) if isinstance(found, int | float) and found > 0 else None


@dataclass(frozen=True)
class Policy:
    """`consecutive`: failures in a row in one sandbox open the circuit; for few sandboxes that call the dependency.
    `rate`: a burst of failures in any sandboxes raises a suspicion, and the share of failures after it decides.

    An exception outside of `failing` is an answer: the dependency works. BaseException is never counted.
    """

    mode: Literal["consecutive", "rate"] = "consecutive"

    # consecutive
    failures: int = 5
    origins: int = 1  # the failures must come from this many origins (cards, tenants), see Breaker.call

    # rate
    min_failures: int = 10  # within `window`, by all sandboxes, to raise suspicion
    window: float = 10.0
    votes: int = 30  # outcomes of all sandboxes that decide
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    voters: int = 1  # different sandboxes that must have voted; 2 or more if there are several
    confirm: float = 30.0  # a suspicion without a decision ends
    cooldown: float = 15.0  # after an acquittal failures are not reported

    # recovery
    reset: float = 30.0
    max_reset: float = 300.0
    successes: int = 3
    call_timeout: float = 5.0
    lease: float = 30.0
    recheck: float = 1.0  # a sandbox that was refused a probe waits this long

    # the local view
    refresh: float = 5.0
    max_stale: float = 60.0
    strict_first: bool = False  # read the circuit before the first call of a sandbox, instead of after it

    # what counts
    slow_after: float | None = None
    failing: tuple[type[Exception], ...] | Judge = (Exception,)
    ignoring: tuple[type[Exception], ...] | Judge = ()
    bad_result: Callable[[Any], bool] | None = None
    wait_of: Callable[[BaseException], float | None] = retry_after_of

    def __post_init__(self) -> None:
        counts = (self.failures, self.origins, self.min_failures, self.votes, self.voters, self.successes)
        times = (self.window, self.confirm, self.reset, self.call_timeout, self.lease, self.recheck, self.refresh)
        if min(counts) < 1 or min(times) <= 0 or self.max_reset < self.reset:
            raise ValueError(f"counts must be at least 1, times above 0, max_reset at least reset: {self}")
        if not (0 < self.failure_rate <= 1 and 0 < self.slow_rate <= 1):
            raise ValueError(f"a rate is above 0 and at most 1: {self.failure_rate}, {self.slow_rate}")
        if self.origins > self.failures:
            raise ValueError(f"{self.failures} failures cannot have {self.origins} origins")

    def judge(self, error: BaseException) -> Outcome:
        if not isinstance(error, Exception) or _matches(self.ignoring, error):
            return Outcome.IGNORED
        return Outcome.FAILURE if _matches(self.failing, error) else Outcome.SUCCESS

    def backoff_ms(self, openings: int) -> int:
        """The duration of the n-th opening of one outage, before jitter."""
        return int(min(self.reset * 2 ** min(openings - 1, 20), self.max_reset) * 1000)

    def describe(self) -> str:
        """The policy's numbers, for an operator."""
        if self.mode == "rate":
            opens = f"{self.failure_rate:.0%} of {self.votes} calls, asked after {self.min_failures} failures in "
            opens += f"{self.window:g} s"
        else:
            opens = f"{self.failures} failures in a row"
            opens += f" of {self.origins} origins" if self.origins > 1 else ""
        return f"opens at {opens}; tries again after {self.reset:g} s; closes at {self.successes} successes"


def _matches(which: tuple[type[Exception], ...] | Judge, error: BaseException) -> bool:
    return isinstance(error, which) if isinstance(which, tuple) else which(error)
