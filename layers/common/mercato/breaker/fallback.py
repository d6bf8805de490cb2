"""The answer while a circuit is open: the last good one, if it is not too old, or a default."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from mercato.breaker.errors import CircuitOpen
from mercato.breaker.timing import Clock


class LastGood[T]:
    """The last good answer per key, for `max_age` seconds. Drops the oldest beyond `size` keys."""

    def __init__(self, max_age: float, size: int = 1000, clock: Clock | None = None) -> None:
        self._max_age = max_age
        self._size = size
        self._clock = clock or Clock()
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: str, answer: T) -> T:
        with self._lock:
            self._known[key] = (self._clock.wall() + self._max_age, answer)
            self._known.move_to_end(key)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return answer

    def or_else(self, key: str, default: T) -> Callable[[CircuitOpen], T]:
        """A fallback for Breaker.call."""

        def recall(_: CircuitOpen) -> T:
            expires, answer = self._known.get(key, (0.0, default))
            return answer if self._clock.wall() < expires else default

        return recall
