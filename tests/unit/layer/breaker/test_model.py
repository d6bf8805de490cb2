"""The invariants of a circuit hold for every sequence of actions by sandboxes, clocks and the store."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mercato.breaker import Breaker, CircuitOpen, Outcome, Policy, State, Status
from mercato.breaker.change import Change, Result
from mercato.breaker.transitions import force
from mercato.breaker.view import Kind, Ticket
from tests.unit.layer.breaker.virtual import NAME, FaultyStore, World, fails, works

SANDBOXES = 4
SANDBOX = st.integers(0, SANDBOXES - 1)
POLICIES = {
    "consecutive": Policy(failures=3, successes=2),
    "strict": Policy(failures=2, successes=2, strict_first=True),
    "rate": Policy(mode="rate", min_failures=3, votes=4, failures=3, successes=2, window=60, confirm=120, cooldown=5),
}


@dataclass
class Watched(FaultyStore):
    """Observes every change."""

    made: list[tuple[State, State]] = field(default_factory=list)

    def __init__(self) -> None:
        super().__init__()
        self.made = []
        self.now = 0

    def change(self, name: str, change: Change, now: int) -> Result:
        before = State.of(self.items.get(name, {}))
        result = super().change(name, change, now)
        if result.won:
            self.made.append((before, result.state))
        return result


class Circuit(RuleBasedStateMachine):
    """Calls are admitted and settled separately, so results may come eras late."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: list[tuple[Breaker, Ticket]] = []
        self.checked = 0
        self.store = Watched()

    @initialize(mode=st.sampled_from(sorted(POLICIES)))
    def begin(self, mode: str) -> None:
        self.world = World(POLICIES[mode], SANDBOXES, store=self.store)

    @property
    def state(self) -> State:
        return State.of(self.store.items.get(NAME, {}))

    @rule(seconds=st.sampled_from([0.05, 0.3, 1, 3, 8, 20, 40]), asleep=st.booleans())
    def pass_time(self, seconds: float, asleep: bool) -> None:
        if asleep:
            self.world.time.asleep += seconds
        else:
            self.world.time.passed += seconds

    @rule(sandbox=SANDBOX)
    def admit(self, sandbox: int) -> None:
        breaker = self.world.breakers[sandbox]
        view, asked, before = breaker.view, self.store.asked, self.state
        try:
            ticket = breaker.admit()
        except CircuitOpen:
            waits = view.state.st == Status.OPEN and self.world.time.ms() < view.state.retry_at
            assert not waits or self.store.asked == asked, "a rejection before its time asks nobody"
            return
        if ticket.kind is Kind.PROBE:
            held = before.st == Status.HALF_OPEN and self.world.time.ms() < before.lease_until
            assert not held, "a probe was granted while another one was under way"
            assert before.st == Status.HALF_OPEN or before.retry_at <= self.world.time.ms()
        self.tickets.append((breaker, ticket))

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), outcome=st.sampled_from(sorted(Outcome)))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        breaker, ticket = self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))
        before, told = self.state, len(self.store.published)
        breaker.settle(ticket, outcome)
        if ticket.kind is Kind.PROBE:
            mine = before.st == Status.HALF_OPEN and ticket.view.state.gen == before.gen
            if not mine:
                assert (self.state, len(self.store.published)) == (before, told), "a stale result was written"

    @rule(sandbox=SANDBOX)
    def call_healthy(self, sandbox: int) -> None:
        breaker = self.world.breakers[sandbox]
        is_healthy, asked = breaker.view.is_healthy, self.store.asked
        try:
            assert breaker.call(lambda: "ok") == "ok"
        except CircuitOpen:
            assert not is_healthy
        assert not is_healthy or self.store.asked == asked, "a healthy call asked the store"

    @rule(sandbox=SANDBOX, calls=st.integers(2, 8), is_ok=st.booleans(), step=st.sampled_from([0.01, 0.3]))
    def call_often(self, sandbox: int, calls: int, is_ok: bool, step: float) -> None:
        for _ in range(calls):
            told = self.world.attempt(works if is_ok else fails, sandbox)
            assert told in ("CircuitOpen", "ok" if is_ok else "Down"), "the caller heard of something else"
            self.world.time.passed += step

    @precondition(lambda self: self.state.st == Status.OPEN)
    @rule()
    def wait_until_it_may_be_tried(self) -> None:
        self.world.time.passed += max(0, self.state.retry_at - self.world.time.ms() + 1) / 1000

    @rule(sandbox=SANDBOX)
    def refresh(self, sandbox: int) -> None:
        self.world.circuits[sandbox].refresh_due()

    @rule(fault=st.sampled_from([None, None, "refused", "silent", "throttled"]))
    def break_store(self, fault: str | None) -> None:
        self.store.fault = fault

    @rule(status=st.sampled_from([Status.FORCED_OPEN, Status.CLOSED, Status.DISABLED, Status.METRICS_ONLY]))
    def force(self, status: Status) -> None:
        if self.store.fault is None:
            now = self.world.time.ms()
            self.store.change(NAME, force(NAME, self.state, status, now, {"at": str(now)}), now)

    @precondition(lambda self: self.state.st == Status.OPEN)
    @rule()
    def close_by_hand(self) -> None:
        self.force(Status.CLOSED)

    @invariant()
    def changes_are_lawful(self) -> None:
        for before, after in self.store.made[self.checked :]:
            self.check(before, after)
        self.checked = len(self.store.made)

    def check(self, before: State, after: State) -> None:
        assert after.gen >= before.gen
        if before.st != after.st:
            assert after.gen == before.gen + 1, "a transition without a generation of its own"
        if before.st in (Status.OPEN, Status.HALF_OPEN) and after.st in (Status.OPEN, Status.HALF_OPEN):
            assert after.opened_at == before.opened_at, "an opening was moved"
        if (before.st, after.st) == (Status.HALF_OPEN, Status.HALF_OPEN) and after.ok == before.ok + 1:
            assert (after.gen, after.lease_until) == (before.gen, 0)
        if after.st == Status.OPEN and before.st != Status.OPEN:
            assert before.st in (Status.CLOSED, Status.HALF_OPEN)
            assert after.ok == 0
            assert after.retry_at >= after.changed_at + 0.8 * self.world.policy.reset * 1000
        if (before.st, after.st) == (Status.HALF_OPEN, Status.CLOSED) and not self.is_forced(after):
            assert before.ok + 1 == self.world.policy.successes

    def is_forced(self, after: State) -> bool:
        """Whether an operator made the change, which is audited."""
        return any(int(audit["at"]) == after.changed_at for audit in self.store.audits.get(NAME, []))

    @invariant()
    def the_world_is_told_in_order_and_in_turns(self) -> None:
        kinds = [event.TYPE for _, _, event in self.store.published]
        assert all(one != two for one, two in itertools.pairwise(kinds))
        assert kinds[:1] in ([], ["circuit.opened"])
        sequences = [sequence for _, sequence, _ in self.store.published]
        assert sequences == sorted(set(sequences))

    @invariant()
    def every_view_is_of_a_generation_that_was(self) -> None:
        assert all(breaker.view.state.gen <= self.state.gen for breaker in self.world.breakers)


Circuit.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestCircuit = Circuit.TestCase


def test_the_model_goes_through_every_state() -> None:
    """A model that never opens a circuit would hold, too."""
    seen: set[str] = set()

    class Seeing(Circuit):
        def teardown(self) -> None:
            seen.update(f"{before.st}{after.st}" for before, after in self.store.made)

    Seeing.TestCase.settings = settings(
        max_examples=400, stateful_step_count=60, deadline=None, derandomize=True, database=None
    )
    Seeing.TestCase().runTest()
    forced = {f"{before}{after}" for before in Status for after in "FMDC"}
    assert seen - forced == {"CO", "OH", "HH", "HO"}
    assert {"HC", "FC", "OC"} <= seen
