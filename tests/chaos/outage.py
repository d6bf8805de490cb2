"""A peer that is down for a while."""

from __future__ import annotations

import threading
from collections import Counter

from infra.local.faults import FaultProxy
from infra.local.front import Served


class Outage:
    """Begins when `after` orders were accepted, ends when `enough` were refused for it: no sleeping, no guessing."""

    def __init__(self, peer: FaultProxy, rate: float, *, after: int, enough: int) -> None:
        self._peer, self._rate = peer, rate
        self._after, self._enough = after, enough
        self._lock = threading.Lock()
        self.answers: Counter[int] = Counter()
        self.during: Counter[int] = Counter()
        self.state = "ahead"

    def see(self, served: Served) -> None:
        """One answer of the shop to a customer who places an order."""
        if (served.method, served.path) != ("POST", "/api/orders"):
            return
        with self._lock:
            self.answers[served.status] += 1
            if self.state == "under way":
                self.during[served.status] += 1
            if self.state == "ahead" and self.answers[202] >= self._after:
                self._peer.cut()
                self.state = "under way"
            elif self.state == "under way" and self.during[503] >= self._enough:
                self._peer.inject(self._rate)
                self.state = "over"
