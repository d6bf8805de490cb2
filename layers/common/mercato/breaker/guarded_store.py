"""The store behind a guard: after a fault it is not called for a while, so that no call waits for it again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mercato.breaker.change import Change, Result
from mercato.breaker.errors import StoreFault
from mercato.breaker.store import Store
from mercato.breaker.timing import Clock, Timer
from mercato.telemetry import metrics
from mercato.telemetry.logs import log

_FIRST_BACKOFF, _MAX_BACKOFF = 1.0, 30.0  # seconds


class GuardedStore:
    """Shared by all breakers of a sandbox. Every method returns None if the store gave no answer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.clock = clock
        self._store = store
        self._faults = 0
        self._backoff = Timer(clock)
        self._lock = threading.Lock()

    def change(self, name: str, change: Change) -> Result | None:
        return self.ask(lambda store: store.change(name, change, self.clock.now_ms()))

    def ask[T](self, question: Callable[[Store], T]) -> T | None:
        if self._faults and not self._backoff.is_over():
            return None
        try:
            answer = question(self._store)
        except StoreFault as fault:
            self._degrade(fault)
            return None
        self._recover()
        return answer

    def _degrade(self, fault: StoreFault) -> None:
        with self._lock:
            self._faults += 1
            backoff = min(_FIRST_BACKOFF * 2 ** min(self._faults - 1, 10), _MAX_BACKOFF)
            self._backoff.start(self.clock.jittered(backoff * 0.75, 1 / 3))
            is_first = self._faults == 1
        if is_first:
            metrics.count("StoreDegraded", service="breaker")
            log.warning("the circuits' store is unavailable; each sandbox decides alone", extra={"reason": str(fault)})

    def _recover(self) -> None:
        if self._faults == 0:
            return
        with self._lock:
            self._faults = 0
        metrics.count("StoreRecovered", service="breaker")
        log.info("the circuits' store is available again")
