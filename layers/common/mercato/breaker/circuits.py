"""All breakers of one sandbox: they share a store, one read, and the knowledge that the store is away."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mercato import metrics
from mercato.breaker.change import Change, Result
from mercato.breaker.errors import StoreFault
from mercato.breaker.state import State
from mercato.breaker.store import Reading, Store
from mercato.breaker.timing import Clock, Timer
from mercato.logs import log

if TYPE_CHECKING:
    from mercato.breaker.breaker import Breaker

_FIRST_BACKOFF, _MAX_BACKOFF = 1.0, 30.0


class Circuits:
    """The store as a breaker sees it: None where there is no answer. After a fault it is left alone for a while, so
    that no call pays for it again.
    """

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._store = store
        self._members: dict[str, Breaker] = {}
        self._enlisted: set[str] = set()
        self._faults = 0
        self._leave_alone = Timer(self.clock)
        self._lock = threading.Lock()

    def join(self, breaker: Breaker) -> None:
        with self._lock:
            known = self._members.get(breaker.name)
            if known is not None:
                raise ValueError(f"circuit {breaker.name} has a breaker in this sandbox already: share it")
            self._members[breaker.name] = breaker

    def change(self, name: str, change: Change) -> Result | None:
        if not self._may_ask():
            return None
        try:
            result = self._store.change(name, change, self.clock.now_ms())
        except StoreFault as fault:
            self._degrade(fault)
            return None
        self._recover()
        return result

    def refresh_due(self) -> None:
        """When the answer is computed: what is still untold is told, and if any view is due all are read, at once."""
        members = list(self._members.values())
        for member in members:
            member.flush()
        if any(member.is_due() for member in members):
            self.refresh()

    def refresh(self) -> bool:
        """False where the store gave no answer: every breaker keeps the view that it has."""
        members = dict(self._members)
        seen = {name: member.view for name, member in members.items()}
        reading = self._read(members)
        if reading is None:
            return False
        for name, state in reading.states.items():
            members[name].adopt(state, seen[name])
        return True

    def adopt(self, states: Mapping[str, State]) -> None:
        """States that came along with a read which the function made anyway; see store.py for the keys."""
        for name, state in states.items():
            self._members[name].adopt(state)

    def _read(self, members: Mapping[str, Breaker]) -> Reading | None:
        if not members or not self._may_ask():
            return None
        new = set(members) - self._enlisted
        try:
            reading = self._store.read(list(members), new)
            for name in sorted(new):
                about = members[name].policy.describe()
                if reading.entries.get(name) != about:
                    self._store.enlist(name, about)
        except StoreFault as fault:
            self._degrade(fault)
            return None
        self._enlisted |= new
        self._recover()
        return reading

    def _may_ask(self) -> bool:
        return self._faults == 0 or self._leave_alone.is_over()

    def _degrade(self, fault: StoreFault) -> None:
        with self._lock:
            self._faults += 1
            backoff = min(_FIRST_BACKOFF * 2 ** min(self._faults - 1, 10), _MAX_BACKOFF)
            self._leave_alone.start(self.clock.jittered(backoff * 0.75, 1 / 3))
            is_first = self._faults == 1
        if is_first:
            metrics.count("StoreDegraded", service="breaker")
            log.warning("the store of circuits is away; each sandbox is on its own", extra={"reason": str(fault)})

    def _recover(self) -> None:
        if self._faults == 0:
            return
        with self._lock:
            self._faults = 0
        metrics.count("StoreRecovered", service="breaker")
        log.info("the store of circuits is back")
