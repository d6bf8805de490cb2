"""A circuit breaker whose state all sandboxes share. A healthy call reads and writes nothing."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping

from mercato.breaker import degraded, transitions
from mercato.breaker.errors import CircuitOpen
from mercato.breaker.guarded_store import GuardedStore
from mercato.breaker.outcomes import Streak
from mercato.breaker.policy import Outcome, Policy
from mercato.breaker.state import CLOSED, State, Status
from mercato.breaker.timing import Timer
from mercato.breaker.view import Kind, Ticket, View
from mercato.breaker.voting import Finding, Seen, Trip, Unreachable, Voting
from mercato.invocation import deadline
from mercato.telemetry import metrics
from mercato.telemetry.logs import log

_MOST_DENIALS = 3  # how often a refused sandbox doubles its wait


class Breaker:
    """One per dependency and sandbox, made by Circuits. `refresh` reads the states of all circuits at once."""

    def __init__(self, name: str, policy: Policy, store: GuardedStore, refresh: Callable[[], object]) -> None:
        self.name = name
        self.policy = policy
        self._store = store
        self._refresh_all = refresh
        self._clock = store.clock
        self._monotonic = self._clock.monotonic
        self._lock = threading.Lock()
        self._refresh, self._stale, self._recheck = Timer(self._clock), Timer(self._clock), Timer(self._clock)
        self._denials = 0
        self._slot = degraded.Slot(policy, self._clock)
        self._streak = Streak(policy, self._clock)
        self._voting = Voting(name, policy, store)
        self._examines = policy.slow_after is not None or policy.bad_result is not None
        self.view = View(CLOSED, is_read=False, must_read=policy.strict_first)

    def call[T](
        self, function: Callable[[], T], fallback: Callable[[CircuitOpen], T] | None = None, *, origin: str = ""
    ) -> T:
        """The function's result or exception. If the circuit is open: the result of `fallback`, or CircuitOpen.

        `origin` identifies the caller (a card, a tenant), for a policy that demands failures of several.
        """
        view = self.view
        if not view.is_healthy:
            return self._call_admitted(function, fallback, origin)
        started = self._monotonic() if self._examines else 0.0
        try:
            result = function()
        except Exception as error:
            self.settle(Ticket(Kind.COUNTED, view, started), self.policy.judge(error), error, origin)
            raise
        if self._examines and (outcome := self._examine(started, result)) is not Outcome.SUCCESS:
            self.settle(Ticket(Kind.COUNTED, view, started), outcome, None, origin)
        elif self._streak.length:
            self._end_streak(view)
        return result

    def timeout(self, reserve: float = 0.5) -> float:
        """Seconds to give the call, so that it fails, and is counted, before Lambda ends the function."""
        return deadline.within(self.policy.call_timeout, reserve)

    def admit(self) -> Ticket:
        """Permission for one call, which must be settled with its outcome. Raises CircuitOpen."""
        view = self.view
        if view.state.st == Status.CLOSED and self.policy.strict_first and not view.is_read:
            self._refresh_all()
            view = self.view
        match view.state.st:
            case Status.CLOSED:
                return Ticket(Kind.VOTE if self._is_asked(view) else Kind.COUNTED, view, self._monotonic())
            case Status.METRICS_ONLY | Status.DISABLED:
                return Ticket(Kind.UNCOUNTED, view, self._monotonic())
            case Status.FORCED_OPEN:
                raise self._rejection(view.state)
        return self._ask_to_probe(view)

    def settle(self, ticket: Ticket, outcome: Outcome, error: BaseException | None = None, origin: str = "") -> None:
        """Records a call's outcome. Never raises. Drops outcomes of an earlier state."""
        is_bad = outcome in (Outcome.FAILURE, Outcome.SLOW)
        if is_bad and ticket.view.state.st != Status.DISABLED:
            self.count("CallsFailed" if outcome is Outcome.FAILURE else "CallsSlow")
        wait = self.policy.wait_of(error) if is_bad and error is not None else None
        match ticket.kind:
            case Kind.PROBE:
                self._settle_probe(ticket, outcome, wait)
            case Kind.PROBE_ALONE:
                if self._slot.give_back(ticket) and self.view.state.gen == ticket.view.state.gen:
                    self._conclude_degraded(ticket, outcome, wait)
                else:
                    self._drop()
            case Kind.COUNTED | Kind.VOTE if outcome is not Outcome.IGNORED:
                self._count(ticket, outcome, wait, origin)

    def adopt(self, state: State, seen: View | None = None) -> None:
        """Takes over the store's state, unless this sandbox has a newer view than `seen`."""
        with self._lock:
            known = self.view
            if state.gen < known.state.gen and known is not seen:
                return
            self._show(state, is_read=True)
            self._refresh.start(self._clock.jittered(self.policy.refresh, 0.2))
            self._stale.start(self.policy.max_stale)
            if state.gen != known.state.gen:
                self._streak.clear()
                self._voting.forget()
            if state.st != Status.HALF_OPEN:
                self._denials = 0
                self._recheck.stop()

    def is_due(self) -> bool:
        return self._refresh.is_over()

    def flush(self) -> None:
        """Reports buffered outcomes to the store."""
        view = self.view
        self._act(self._voting.report(view), view, None)

    def count(self, metric: str) -> None:
        metrics.count(metric, circuit=self.name)

    def _call_admitted[T](
        self, function: Callable[[], T], fallback: Callable[[CircuitOpen], T] | None, origin: str
    ) -> T:
        try:
            ticket = self.admit()
        except CircuitOpen as rejection:
            if fallback is None:
                raise
            return fallback(rejection)
        try:
            result = function()
        except BaseException as error:
            self.settle(ticket, self.policy.judge(error), error, origin)
            raise
        self.settle(ticket, self._examine(ticket.started, result), None, origin)
        return result

    def _examine(self, started: float, result: object) -> Outcome:
        policy = self.policy
        if policy.bad_result is not None and policy.bad_result(result):
            return Outcome.FAILURE
        if policy.slow_after is not None and self._monotonic() - started > policy.slow_after:
            return Outcome.SLOW
        return Outcome.SUCCESS

    def _is_asked(self, view: View) -> bool:
        """A suspicion from before a long sleep has ended, whatever its result."""
        return view.state.sus > 0 and self._clock.now_ms() < view.state.sus_until and not self._stale.is_over()

    def _ask_to_probe(self, view: View) -> Ticket:
        now, state = self._clock.now_ms(), view.state
        if (state.st == Status.OPEN and now < state.retry_at) or not self._recheck.is_over():
            raise self._rejection(state)
        result = self._store.change(self.name, transitions.grant(uuid.uuid4().hex, self.policy, now))
        if result is None:
            return self._probe_degraded(view, now)
        self.adopt(result.state, view)
        if result.won:
            return Ticket(Kind.PROBE, View(result.state, is_read=True, must_read=False), self._monotonic())
        if self.view.state.st not in (Status.OPEN, Status.HALF_OPEN):
            return self.admit()
        self.count("ProbesDenied")
        with self._lock:
            wait = self.policy.recheck * 2 ** min(self._denials, _MOST_DENIALS)
            self._denials += 1
            self._recheck.start(self._clock.jittered(wait, 0.5))
        raise self._rejection(self.view.state)

    def _settle_probe(self, ticket: Ticket, outcome: Outcome, wait: float | None) -> None:
        granted, now = ticket.view.state, self._clock.now_ms()
        if outcome is Outcome.IGNORED:
            change = transitions.release_probe(granted)
        elif outcome is Outcome.SUCCESS:
            change = transitions.pass_probe(self.name, granted, self.policy, now)
        else:
            jitter = 2 * self._clock.random() - 1
            change = transitions.fail_probe(granted, self.policy, now, jitter, wait)
        result = self._store.change(self.name, change)
        if result is None:
            self._conclude_degraded(ticket, outcome, wait)
            return
        self.adopt(result.state, ticket.view)
        if not result.won:
            self._drop()
        elif result.state.st == Status.CLOSED:
            self._tell("CircuitClosed", result.state)
        elif result.state.st == Status.OPEN:
            self._tell("CircuitReopened", result.state)
        else:
            self._recheck.stop()

    def _count(self, ticket: Ticket, outcome: Outcome, wait: float | None, origin: str) -> None:
        is_bad = outcome is not Outcome.SUCCESS
        view = self.view
        if ticket.view.state.gen != view.state.gen or view.state.st != Status.CLOSED:
            if is_bad:
                self._drop()
            return
        if not is_bad:
            self._end_streak(ticket.view)
            is_enough = False
        else:
            with self._lock:
                is_enough = self._streak.grow(origin)
        if self.policy.mode == "rate":
            self._act(self._voting.note(view, outcome, is_vote=ticket.kind is Kind.VOTE), view, wait)
        elif is_enough:
            self._trip(view, wait)

    def _act(self, findings: Iterable[Finding], view: View, wait: float | None) -> None:
        for finding in findings:
            match finding:
                case Seen(state, since):
                    self.adopt(state, since)
                case Trip(state):
                    self._trip(View(state, is_read=True, must_read=False), wait)
                case Unreachable():
                    # The votes cannot decide without the store: this sandbox's own failures in a row do.
                    if self._streak.length >= self.policy.failures:
                        self._open_degraded(view, wait)

    def _trip(self, view: View, wait: float | None) -> None:
        """Opens the circuit: for all sandboxes if the store answers, else for this one."""
        now = self._clock.now_ms()
        result = self._store.change(self.name, transitions.trip(self.name, view.state, self.policy, now, wait))
        if result is None:
            self._open_degraded(view, wait)
        else:
            self.adopt(result.state, view)
            if result.won:
                self._tell("CircuitOpened", result.state)

    def _end_streak(self, view: View) -> None:
        with self._lock:
            if view.state.gen == self.view.state.gen:
                self._streak.clear()

    def _probe_degraded(self, view: View, now: int) -> Ticket:
        """Degraded mode: one call at a time, once a probe is due."""
        ticket = Ticket(Kind.PROBE_ALONE, view, self._monotonic())
        is_held_elsewhere = view.state.st == Status.HALF_OPEN and now < view.state.lease_until
        if is_held_elsewhere or not self._slot.take(ticket):
            raise self._rejection(view.state)
        return ticket

    def _conclude_degraded(self, ticket: Ticket, outcome: Outcome, wait: float | None) -> None:
        if outcome is Outcome.SUCCESS:
            self._show_degraded(degraded.probed_well(self.view.state, self.policy))
        elif outcome is not Outcome.IGNORED:
            self._open_degraded(ticket.view, wait)

    def _open_degraded(self, view: View, wait: float | None) -> None:
        self._show_degraded(degraded.opened(view.state, self.policy, self._clock, wait))
        self._tell("CircuitOpenedAlone", self.view.state)

    def _show_degraded(self, state: State) -> None:
        with self._lock:
            self._streak.clear()
            self._show(state, is_read=self.view.is_read)

    def _show(self, state: State, *, is_read: bool) -> None:
        self.view = View(state, is_read=is_read, must_read=self.policy.strict_first)

    def _rejection(self, state: State) -> CircuitOpen:
        self.count("CallsRejected")
        left = max(0, state.retry_at - self._clock.now_ms()) / 1000 if state.st == Status.OPEN else 0.0
        wait = self.policy.reset if state.st == Status.FORCED_OPEN else max(left, self.policy.recheck)
        return CircuitOpen(self.name, wait, state.opened_at)

    def _drop(self) -> None:
        self.count("StaleResultsDropped")
        log.info("a late result of an earlier state was dropped", extra={"circuit": self.name})

    def _tell(self, metric: str, state: State) -> None:
        self.count(metric)
        about: Mapping[str, object] = {"circuit": self.name, "generation": state.gen, "openings": state.n_open}
        (log.info if metric == "CircuitClosed" else log.warning)(metric, extra=dict(about))
