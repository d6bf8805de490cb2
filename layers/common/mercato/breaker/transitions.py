"""All transitions of a circuit. A transition is conditional on the generation that was seen, and fails otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from mercato.breaker.change import Change, Check, Value
from mercato.breaker.events import CircuitClosed, CircuitOpened
from mercato.breaker.policy import Policy
from mercato.breaker.state import State, Status

SKEW = 1000  # by which the clocks of two sandboxes may differ
_NO_COUNTS: dict[str, Value] = dict.fromkeys(("bucket", "f", "s", "sus", "sus_until", "cc", "cf", "cs", "voters"), 0)


def trip(name: str, seen: State, policy: Policy, now: int, wait: float | None = None) -> Change:
    """Closed to open. `wait` is the dependency's own demand, as in Retry-After; it can only prolong."""
    delay = _prolonged(policy.backoff_ms(1), wait, policy)
    opened: dict[str, Value] = {"st": Status.OPEN, "opened_at": now, "retry_at": now + delay, "n_open": 1}
    return Change(
        when=((Check("gen", "?=", seen.gen), Check("st", "?=", Status.CLOSED)),),
        set=_closed(seen.gen + 1, now) | opened,
        event=CircuitOpened(circuit=name, cause="tripped", retry_after_ms=delay),
    )


def grant(probe: str, policy: Policy, now: int) -> Change:
    """Permission for one call while the circuit is open, for the first sandbox once it is due or the last probe
    is over.
    """
    lease = int(min(policy.call_timeout + 1, policy.lease) * 1000) + SKEW
    return Change(
        when=(
            (Check("st", "=", Status.OPEN), Check("retry_at", "<=", now)),
            (Check("st", "=", Status.HALF_OPEN), Check("lease_until", "<=", now)),
        ),
        set={"st": Status.HALF_OPEN, "probe": probe, "lease_until": now + lease, "changed_at": now},
        add={"gen": 1},
    )


def _still(probe: str, gen: int) -> tuple[tuple[Check, ...], ...]:
    """The probe is still running: no operator and no later probe came in between."""
    return ((Check("st", "=", Status.HALF_OPEN), Check("probe", "=", probe), Check("gen", "=", gen)),)


def pass_probe(name: str, granted: State, policy: Policy, now: int) -> Change:
    """Counts a success, and frees the slot for any sandbox. The last success that is needed closes the circuit."""
    if granted.ok + 1 < policy.successes:
        return Change(_still(granted.probe, granted.gen), {"ok": granted.ok + 1, "lease_until": 0, "changed_at": now})
    return Change(
        _still(granted.probe, granted.gen),
        _closed(granted.gen + 1, now),
        event=CircuitClosed(circuit=name, cause="recovered", open_for_ms=max(0, now - granted.opened_at)),
    )


def fail_probe(granted: State, policy: Policy, now: int, jitter: float, wait: float | None = None) -> Change:
    """Open again, for longer. `jitter` is from -1 to 1, for a fifth of the time at most."""
    delay = int(policy.backoff_ms(granted.n_open + 1) * (1 + 0.2 * jitter))
    return Change(
        _still(granted.probe, granted.gen),
        {
            "st": Status.OPEN,
            "gen": granted.gen + 1,
            "n_open": granted.n_open + 1,
            "retry_at": now + _prolonged(delay, wait, policy),
            "ok": 0,
            "lease_until": 0,
            "changed_at": now,
        },
    )


def release_probe(granted: State) -> Change:
    """The probe had no outcome: it was cut off, or failed before it reached the dependency."""
    return Change(_still(granted.probe, granted.gen), {"lease_until": 0})


def count_failures(failures: int, slow: int, bucket: int) -> Change:
    """Counts in the current window, which a sandbox with a fast clock may have begun."""
    return Change(((Check("st", "?=", Status.CLOSED), Check("bucket", ">=", bucket)),), add={"f": failures, "s": slow})


def begin_window(failures: int, slow: int, bucket: int) -> Change:
    closed = Check("st", "?=", Status.CLOSED)
    return Change(
        ((closed, Check("bucket", "<", bucket)), (closed, Check("bucket", "?=", 0))),
        set={"bucket": bucket, "f": failures, "s": slow},
    )


def suspect(seen: State, policy: Policy, now: int) -> Change:
    """Starts the voting: sandboxes that know of it report every outcome. Replaces a suspicion without a decision."""
    closed = (Check("gen", "?=", seen.gen), Check("st", "?=", Status.CLOSED))
    return Change(
        when=((*closed, Check("sus", "?=", 0)), (*closed, Check("sus_until", "<=", now))),
        set={
            "gen": seen.gen + 1,
            "sus": seen.gen + 1,
            "sus_until": now + int(policy.confirm * 1000),
            "cc": 0,
            "cf": 0,
            "cs": 0,
            "voters": 0,
            "changed_at": now,
        },
    )


def vote(sus: int, calls: int, failures: int, slow: int, voters: int) -> Change:
    return Change(
        ((Check("st", "?=", Status.CLOSED), Check("sus", "=", sus)),),
        add={"cc": calls, "cf": failures, "cs": slow, "voters": voters},
    )


def acquit(seen: State, policy: Policy, now: int) -> Change:
    """The share of failures is acceptable. Failures are not counted during the cool-down."""
    return Change(
        ((Check("gen", "?=", seen.gen), Check("st", "?=", Status.CLOSED)),),
        _NO_COUNTS | {"gen": seen.gen + 1, "cool_until": now + int(policy.cooldown * 1000), "changed_at": now},
    )


def _closed(gen: int, now: int) -> dict[str, Value]:
    zeros = dict.fromkeys(("opened_at", "retry_at", "n_open", "ok", "lease_until", "cool_until"), 0)
    return _NO_COUNTS | zeros | {"st": Status.CLOSED, "gen": gen, "probe": "", "changed_at": now}


def force(name: str, seen: State, status: Status, now: int, audit: Mapping[str, Value]) -> Change:
    """An operator's change. Running calls and probes lose their generation. Published if calls stop or start again."""
    was_open, is_open = (st in (Status.OPEN, Status.HALF_OPEN, Status.FORCED_OPEN) for st in (seen.st, status))
    event: CircuitOpened | CircuitClosed | None = None
    if is_open and not was_open:
        event = CircuitOpened(circuit=name, cause="forced", retry_after_ms=None)
    elif was_open and not is_open:
        event = CircuitClosed(circuit=name, cause="forced", open_for_ms=max(0, now - seen.opened_at))
    opened_at = seen.opened_at if was_open else now
    return Change(
        ((Check("gen", "?=", seen.gen),),),
        _closed(seen.gen + 1, now) | {"st": status, "opened_at": opened_at if is_open else 0},
        event=event,
        audit=dict(audit),
    )


def _prolonged(delay: int, wait: float | None, policy: Policy) -> int:
    return max(delay, int(min(wait, policy.max_reset) * 1000)) if wait else delay
