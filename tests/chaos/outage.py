"""A peer that is down for a while: its function is switched off, as an operator would, by a concurrency of 0."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from infra.local.front import Served


class Outage:
    """Begins when `after` orders were accepted, ends when `enough` were refused for it: no sleeping, no guessing."""

    def __init__(self, functions: Any, name: str, *, after: int, enough: int) -> None:
        self._functions, self._name = functions, name
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
                self._switch_off()
            elif self.state == "under way" and self.during[503] >= self._enough:
                self.end()

    def _switch_off(self) -> None:
        self._functions.put_function_concurrency(FunctionName=self._name, ReservedConcurrentExecutions=0)
        self.state = "under way"

    def end(self) -> None:
        self._functions.delete_function_concurrency(FunctionName=self._name)
        self.state = "over"
