"""A circuit breaker whose state all sandboxes share. A healthy call reads and writes nothing."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping

from mercato.breaker import alone, transitions
from mercato.breaker.errors import CircuitOpen
from mercato.breaker.evidence import Streak
from mercato.breaker.fleet import Away, Finding, Fleet, Seen, Trip
from mercato.breaker.policy import Outcome, Policy
from mercato.breaker.reach import Reach
from mercato.breaker.state import CLOSED, State, Status
from mercato.breaker.timing import Timer
from mercato.breaker.view import Kind, Ticket, View
from mercato.invocation import deadline
from mercato.telemetry import metrics
from mercato.telemetry.logs import log

_MOST_DENIALS = 3  # a refused sandbox doubles its wait so often


class Breaker:
    """One per dependency and sandbox, made by Circuits. `refresh` reads the states of all circuits at once."""

    def __init__(self, name: str, policy: Policy, reach: Reach, refresh: Callable[[], object]) -> None:
        self.name = name
        self.policy = policy
        self._reach = reach
        self._refresh_all = refresh
        self._clock = reach.clock
        self._monotonic = self._clock.monotonic
        self._lock = threading.Lock()
        self._refresh, self._stale, self._recheck = Timer(self._clock), Timer(self._clock), Timer(self._clock)
        self._denials = 0
        self._slot = alone.Slot(policy, self._clock)
        self._streak = Streak(policy, self._clock)
        self._fleet = Fleet(name, policy, reach)
        self._examines = policy.slow_after is not None or policy.bad_result is not None
        self.view = View(CLOSED, is_read=False, must_read=policy.strict_first)

    def call[T](
        self, function: Callable[[], T], fallback: Callable[[CircuitOpen], T] | None = None, *, origin: str = ""
    ) -> T:
        """The function's result or exception. Where the circuit is open: what `fallback` makes of it, or CircuitOpen.

        `origin` tells whose call it is (a card, a tenant), where the policy wants failures of several.
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
        """Seconds to give the call: so that it fails, and is counted, before Lambda ends the function."""
        return deadline.within(self.policy.call_timeout, reserve)

    def admit(self) -> Ticket:
        """The right to one call, whose outcome is to be settled. Raises CircuitOpen."""
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
        """Says how the call went. Never raises, and drops what belongs to a time that is over."""
        is_bad = outcome in (Outcome.FAILURE, Outcome.SLOW)
        if is_bad and ticket.view.state.st != Status.DISABLED:
            self.count("CallsFailed" if outcome is Outcome.FAILURE else "CallsSlow")
        wait = self.policy.wait_of(error) if is_bad and error is not None else None
        match ticket.kind:
            case Kind.PROBE:
                self._settle_probe(ticket, outcome, wait)
            case Kind.PROBE_ALONE:
                if self._slot.give_back(ticket) and self.view.state.gen == ticket.view.state.gen:
                    self._conclude_alone(ticket, outcome, wait)
                else:
                    self._drop()
            case Kind.COUNTED | Kind.VOTE if outcome is not Outcome.IGNORED:
                self._count(ticket, outcome, wait, origin)

    def adopt(self, state: State, seen: View | None = None) -> None:
        """Take over what the store says, unless this sandbox has learned more since it looked, at `seen`."""
        with self._lock:
            known = self.view
            if state.gen < known.state.gen and known is not seen:
                return
            self._show(state, is_read=True)
            self._refresh.start(self._clock.jittered(self.policy.refresh, 0.2))
            self._stale.start(self.policy.max_stale)
            if state.gen != known.state.gen:
                self._streak.clear()
                self._fleet.forget()
            if state.st != Status.HALF_OPEN:
                self._denials = 0
                self._recheck.stop()

    def is_due(self) -> bool:
        return self._refresh.is_over()

    def flush(self) -> None:
        """Reports to the fleet what was held back."""
        view = self.view
        self._act(self._fleet.report(view), view, None)

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
        """A suspicion known from before a long sleep is over, whatever became of it."""
        return view.state.sus > 0 and self._clock.now_ms() < view.state.sus_until and not self._stale.is_over()

    def _ask_to_probe(self, view: View) -> Ticket:
        now, state = self._clock.now_ms(), view.state
        if (state.st == Status.OPEN and now < state.retry_at) or not self._recheck.is_over():
            raise self._rejection(state)
        result = self._reach.change(self.name, transitions.grant(uuid.uuid4().hex, self.policy, now))
        if result is None:
            return self._probe_alone(view, now)
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
        result = self._reach.change(self.name, change)
        if result is None:
            self._conclude_alone(ticket, outcome, wait)
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
            self._act(self._fleet.note(view, outcome, is_vote=ticket.kind is Kind.VOTE), view, wait)
        elif is_enough:
            self._trip(view, wait)

    def _act(self, findings: Iterable[Finding], view: View, wait: float | None) -> None:
        for finding in findings:
            match finding:
                case Seen(state, since):
                    self.adopt(state, since)
                case Trip(state):
                    self._trip(View(state, is_read=True, must_read=False), wait)
                case Away():
                    # The fleet cannot decide: this sandbox's own failures in a row do.
                    if self._streak.length >= self.policy.failures:
                        self._open_alone(view, wait)

    def _trip(self, view: View, wait: float | None) -> None:
        """Opens the circuit: for all sandboxes if the store answers, else for this one."""
        now = self._clock.now_ms()
        result = self._reach.change(self.name, transitions.trip(self.name, view.state, self.policy, now, wait))
        if result is None:
            self._open_alone(view, wait)
        else:
            self.adopt(result.state, view)
            if result.won:
                self._tell("CircuitOpened", result.state)

    def _end_streak(self, view: View) -> None:
        with self._lock:
            if view.state.gen == self.view.state.gen:
                self._streak.clear()

    def _probe_alone(self, view: View, now: int) -> Ticket:
        """The store is away: one call at a time, once it is due."""
        ticket = Ticket(Kind.PROBE_ALONE, view, self._monotonic())
        is_held_elsewhere = view.state.st == Status.HALF_OPEN and now < view.state.lease_until
        if is_held_elsewhere or not self._slot.take(ticket):
            raise self._rejection(view.state)
        return ticket

    def _conclude_alone(self, ticket: Ticket, outcome: Outcome, wait: float | None) -> None:
        if outcome is Outcome.SUCCESS:
            self._show_alone(alone.probed_well(self.view.state, self.policy))
        elif outcome is not Outcome.IGNORED:
            self._open_alone(ticket.view, wait)

    def _open_alone(self, view: View, wait: float | None) -> None:
        self._show_alone(alone.opened(view.state, self.policy, self._clock, wait))
        self._tell("CircuitOpenedAlone", self.view.state)

    def _show_alone(self, state: State) -> None:
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
