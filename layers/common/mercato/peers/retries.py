"""When to retry: full jitter, the peer's Retry-After, and a budget that limits the additional load."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_PER_RETRY = 10  # calls per retry: at most 10 % more load
_MOST = 10 * _PER_RETRY
_FIRST, _LONGEST = 0.1, 2.0


class RetryBudget:
    """A token bucket. Each call adds a tenth of a retry; ten retries at most are saved.

    A new bucket holds a random part of a retry, `tenths` of 0 to 9. A sandbox often lives for less than ten calls: if
    each began with a whole retry, a thousand of them would double the load on a failing peer; if each began with none,
    they would never retry. So a tenth of their first calls may retry, and over all sandboxes a tenth of all calls.
    """

    def __init__(self, tenths: int | None = None) -> None:
        self._saved = random.randrange(_PER_RETRY) if tenths is None else tenths  # no secret
        self._lock = threading.Lock()

    def pay_in(self) -> None:
        with self._lock:
            self._saved = min(_MOST, self._saved + 1)

    def take(self) -> bool:
        """Returns False if the budget is spent, so that the call must not be retried."""
        with self._lock:
            if self._saved < _PER_RETRY:
                return False
            self._saved -= _PER_RETRY
            return True


def longest_pause(attempt: int) -> float:
    """The upper bound of full jitter (the lower one is 0) after the first, second, … attempt."""
    return min(_FIRST * float(2**attempt), _LONGEST)


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds from now, from `Retry-After: 3` or an HTTP date; None if it is unreadable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
