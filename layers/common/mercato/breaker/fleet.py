"""Counting together: a burst of failures raises a suspicion, and what the fleet sees from then on decides it.

Only outcomes of calls that were admitted with the suspicion known are votes. The failure that made a sandbox look is
no vote, or failures would be overrepresented: that is what keeps a dependency that fails one time in ten in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mercato.breaker import transitions
from mercato.breaker.circuits import Circuits
from mercato.breaker.evidence import Ballot, Tally
from mercato.breaker.policy import Outcome
from mercato.breaker.state import State, Status
from mercato.breaker.view import View

if TYPE_CHECKING:
    from mercato.breaker.breaker import Breaker


class Fleet:
    """One breaker's part in the counting of all."""

    def __init__(self, breaker: Breaker, circuits: Circuits) -> None:
        self._breaker = breaker
        self._policy = breaker.policy
        self._circuits = circuits
        self._ballot = Ballot(circuits.clock)

    def note(self, view: View, outcome: Outcome, is_vote: bool, wait: float | None) -> None:
        """A vote whatever it is, and else a failure, save while the fleet is cooling down."""
        if is_vote:
            self._ballot.add(outcome, view.state.sus)
        elif outcome is Outcome.SUCCESS or self._circuits.clock.now_ms() < view.state.cool_until:
            return
        else:
            self._ballot.add(outcome, 0)
        self.report(view, wait)

    def report(self, view: View, wait: float | None = None) -> None:
        if view.state.st != Status.CLOSED:
            return
        tally = self._ballot.take()
        if tally is not None:
            (self._vote if tally.sus else self._report_failures)(view, tally, wait)

    def forget(self) -> None:
        self._ballot.clear()

    def _report_failures(self, view: View, tally: Tally, wait: float | None) -> None:
        policy, now = self._policy, self._circuits.clock.now_ms()
        bucket = now // int(policy.window * 1000)
        name = self._breaker.name
        result = self._circuits.change(name, transitions.count_failures(tally.failures, tally.slow, bucket))
        if result and not result.won and result.state.st == Status.CLOSED and result.state.bucket < bucket:
            result = self._circuits.change(name, transitions.begin_window(tally.failures, tally.slow, bucket))
        if result is None:
            self._breaker.open_alone_if_due(view, wait)
            return
        self._breaker.adopt(result.state, view)
        state = result.state
        is_asking = state.sus and now < state.sus_until
        is_calm = state.st == Status.CLOSED and not is_asking and now >= state.cool_until
        if is_calm and max(state.f, state.s) >= policy.min_failures:
            asked = self._circuits.change(name, transitions.suspect(state, policy, now))
            if asked:
                self._breaker.adopt(asked.state)

    def _vote(self, view: View, tally: Tally, wait: float | None) -> None:
        change = transitions.vote(tally.sus, tally.calls, tally.failures, tally.slow, tally.voters)
        result = self._circuits.change(self._breaker.name, change)
        if result is None:
            self._breaker.open_alone_if_due(view, wait)
            return
        self._breaker.adopt(result.state, view)
        if result.won:
            self._decide(result.state, wait)

    def _decide(self, state: State, wait: float | None) -> None:
        policy, now = self._policy, self._circuits.clock.now_ms()
        is_decided = state.cc >= policy.votes and state.voters >= policy.voters
        if not is_decided and now < state.sus_until:
            return
        is_guilty = state.cf >= policy.failure_rate * state.cc or state.cs >= policy.slow_rate * state.cc
        if is_decided and is_guilty:
            # By the state that was decided on, not by what this sandbox may have learned since.
            self._breaker.trip(View(state, is_read=True, must_read=False), wait)
            return
        acquitted = self._circuits.change(self._breaker.name, transitions.acquit(state, policy, now))
        if acquitted:
            self._breaker.adopt(acquitted.state)
