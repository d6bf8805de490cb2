"""When to try again: full jitter, what the other side asked for, and a budget that keeps a storm from growing."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_PER_RETRY = 10  # calls that pay for one retry: 10 % more load is the most
_MOST = 10 * _PER_RETRY
_FIRST, _LONGEST = 0.1, 2.0


class RetryBudget:
    """A token bucket. Each call pays in a tenth of a retry; ten at most are saved up.

    A new one holds a random part of a retry, `tenths` of 0 to 9. A sandbox often lives for less than ten calls: had
    each a whole retry to begin with, a thousand of them would double the load on a peer that is in trouble; had each
    none, they would never retry. So a tenth of their first calls may, and over a fleet a tenth of all calls.
    """

    def __init__(self, tenths: int | None = None) -> None:
        self._saved = random.randrange(_PER_RETRY) if tenths is None else tenths  # no secret
        self._lock = threading.Lock()

    def pay_in(self) -> None:
        with self._lock:
            self._saved = min(_MOST, self._saved + 1)

    def take(self) -> bool:
        """False where the budget is spent, and the call must not be repeated."""
        with self._lock:
            if self._saved < _PER_RETRY:
                return False
            self._saved -= _PER_RETRY
            return True


def longest_pause(attempt: int) -> float:
    """The upper end of full jitter (its lower one is 0) after the first, second, … attempt."""
    return min(_FIRST * float(2**attempt), _LONGEST)


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds from now, of `Retry-After: 3` or an HTTP date; None where it says nothing readable."""
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
