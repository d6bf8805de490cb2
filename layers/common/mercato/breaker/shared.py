"""The circuits of the running function, stored in the table that CIRCUITS_TABLE names."""

from __future__ import annotations

import functools

from mercato import config
from mercato.breaker.breaker import Breaker
from mercato.breaker.circuits import Circuits
from mercato.breaker.policy import Policy
from mercato.breaker.store import DynamoStore
from mercato.dataclass import dataclass
from mercato.invocation import deadline, hooks
from mercato.telemetry import metrics

_NEEDED = 1.5  # seconds for a read and a report in the worst case


@dataclass(frozen=True)
class Settings:
    circuits_table: str


@functools.cache
def circuits() -> Circuits:
    """At the end of each invocation they are read if due, and their metrics written."""
    found = Circuits(DynamoStore(config.load(Settings).circuits_table))
    hooks.run_each_time(_finish)
    return found


@functools.cache
def breaker_for(name: str, policy: Policy) -> Breaker:
    """The sandbox's one breaker of that name. Made at first use, since only used circuits are read."""
    return circuits().breaker(name, policy)


def reset() -> None:
    """Forgets all circuits: for tests, and after a SnapStart restore."""
    breaker_for.cache_clear()
    circuits.cache_clear()
    hooks.forget(_finish)


def _finish() -> None:
    if deadline.within(_NEEDED, reserve=0) >= _NEEDED:
        circuits().refresh_due()
    metrics.flush()
