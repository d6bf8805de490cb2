"""An outage of a peer that is bounded by the orders that it affects, not by time."""

from __future__ import annotations

import threading
from collections import Counter

from infra.local.faults import FaultProxy
from infra.local.reverse_proxy import Served

# What asks products on the way to an order, whose answer is 202.
ASKING = (("POST", "/api/checkouts"), ("POST", "/api/orders/quoted"))


class Outage:
    """Begins after `after` accepted orders and ends after `enough` refused requests, so that it needs no sleep."""

    def __init__(self, peer: FaultProxy, rate: float, *, after: int, enough: int) -> None:
        self._peer, self._rate = peer, rate
        self._after, self._enough = after, enough
        self._lock = threading.Lock()
        self.answers: Counter[int] = Counter()
        self.during: Counter[int] = Counter()
        self.state = "ahead"

    def see(self, served: Served) -> None:
        """Counts a response on the way to an order, and begins or ends the outage. Ignores other requests."""
        if (served.method, served.path) not in ASKING:
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
