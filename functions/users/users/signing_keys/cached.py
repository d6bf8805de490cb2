"""A cached value. The stale value is used while its source is unavailable."""

from __future__ import annotations

import time
from collections.abc import Callable

from mercato.errors import TransientError
from mercato.telemetry.logs import log


class Cached[T]:
    """Calls `fetch` when the value is older than `fresh_for` seconds."""

    def __init__(self, fetch: Callable[[], T], fresh_for: float, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._fresh_for = fresh_for
        self._now = now
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        if self._kept is not None and self._now() < self._kept[0]:
            return self._kept[1]
        try:
            value = self._fetch()
        except TransientError as error:
            if self._kept is None:
                raise
            log.warning("using an older value", extra={"reason": str(error)})
            value = self._kept[1]
        self._kept = (self._now() + self._fresh_for, value)
        return value
