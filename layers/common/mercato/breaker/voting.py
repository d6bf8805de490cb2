"""Voting among all sandboxes: a burst of failures raises a suspicion, and the following outcomes decide it.

Only outcomes of calls that were admitted under the suspicion are votes. The failure that raised it is none, since
failures would be overrepresented: this keeps a dependency that fails one time in ten in use.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercato.breaker import transitions
from mercato.breaker.guarded_store import GuardedStore
from mercato.breaker.outcomes import OutcomeBuffer, Tally
from mercato.breaker.policy import Outcome, Policy
from mercato.breaker.state import State, Status
from mercato.breaker.view import View
from mercato.dataclass import dataclass


@dataclass(frozen=True)
class Seen:
    """The store's state. `since` is the sandbox's view at the time of the read, if it matters."""

    state: State
    since: View | None = None


@dataclass(frozen=True)
class Trip:
    """The votes have decided, on this state, that the circuit opens."""

    state: State


@dataclass(frozen=True)
class Unreachable:
    """The store gave no answer."""


type Finding = Seen | Trip | Unreachable


class Voting:
    """One breaker's part in the voting. The breaker acts on each finding before the next step is taken."""

    def __init__(self, name: str, policy: Policy, store: GuardedStore) -> None:
        self._name = name
        self._policy = policy
        self._store = store
        self._outcomes = OutcomeBuffer(store.clock)

    def note(self, view: View, outcome: Outcome, *, is_vote: bool) -> Iterator[Finding]:
        """Counts every outcome of a vote, otherwise only failures, and none during the cool-down."""
        if is_vote:
            self._outcomes.add(outcome, view.state.sus)
        elif outcome is Outcome.SUCCESS or self._store.clock.now_ms() < view.state.cool_until:
            return
        else:
            self._outcomes.add(outcome, 0)
        yield from self.report(view)

    def report(self, view: View) -> Iterator[Finding]:
        """Reports the outcomes to the store, once there are enough of them."""
        if view.state.st != Status.CLOSED:
            return
        tally = self._outcomes.take()
        if tally is not None:
            yield from (self._vote if tally.sus else self._report_failures)(view, tally)

    def forget(self) -> None:
        self._outcomes.clear()

    def _report_failures(self, view: View, tally: Tally) -> Iterator[Finding]:
        policy, now = self._policy, self._store.clock.now_ms()
        bucket = now // int(policy.window * 1000)
        result = self._store.change(self._name, transitions.count_failures(tally.failures, tally.slow, bucket))
        if result and not result.won and result.state.st == Status.CLOSED and result.state.bucket < bucket:
            result = self._store.change(self._name, transitions.begin_window(tally.failures, tally.slow, bucket))
        if result is None:
            yield Unreachable()
            return
        state = result.state
        yield Seen(state, view)
        is_asking = state.sus and now < state.sus_until
        is_calm = state.st == Status.CLOSED and not is_asking and now >= state.cool_until
        if is_calm and max(state.f, state.s) >= policy.min_failures:
            asked = self._store.change(self._name, transitions.suspect(state, policy, now))
            if asked:
                yield Seen(asked.state)

    def _vote(self, view: View, tally: Tally) -> Iterator[Finding]:
        change = transitions.vote(tally.sus, tally.calls, tally.failures, tally.slow, tally.voters)
        result = self._store.change(self._name, change)
        if result is None:
            yield Unreachable()
            return
        yield Seen(result.state, view)
        if result.won:
            yield from self._decide(result.state)

    def _decide(self, state: State) -> Iterator[Finding]:
        policy, now = self._policy, self._store.clock.now_ms()
        is_decided = state.cc >= policy.votes and state.voters >= policy.voters
        if not is_decided and now < state.sus_until:
            return
        is_guilty = state.cf >= policy.failure_rate * state.cc or state.cs >= policy.slow_rate * state.cc
        if is_decided and is_guilty:
            # On the state that was decided, not on a newer view of this sandbox.
            yield Trip(state)
            return
        acquitted = self._store.change(self._name, transitions.acquit(state, policy, now))
        if acquitted:
            yield Seen(acquitted.state)
