"""How often a password may be tried, and how a stranger is kept from shutting the owner out.

Failures are counted by account and, apart from that, by account and network once somebody has logged in from there.
A stranger's guesses are all counted in one place, however many addresses they come from, and make strangers wait; the
owner's usual networks have counts of their own. An owner in a new place waits with the strangers, for 15 minutes at
most, or resets the password by e-mail. An address without an account is counted like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mercato.errors import TooManyRequests
from mercato.store.retry import retry_on_conflict

FREE = 5
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)
NETWORK_KNOWN_FOR = timedelta(days=30)

_TRIES = 8


class TooManyAttempts(TooManyRequests):
    """Too many wrong passwords were tried for this address, whether or not it has an account."""

    def __init__(self, wait: timedelta) -> None:
        seconds = max(1, -(-wait // timedelta(seconds=1)))
        super().__init__(
            f"Too many attempts with a wrong password. Please try again in {seconds} seconds, or reset the password.",
            retry_after=seconds,
        )


@dataclass(frozen=True)
class Count:
    """Failures so far. `is_network` where it is the owner's usual network's own count."""

    failures: int = 0
    blocked_until: datetime | None = None
    is_network: bool = False


class Counted(Exception):
    """Another attempt was counted at the same moment."""


class Attempts(Protocol):
    def read(self, email: str, network: str, now: datetime) -> Count: ...
    def count(self, email: str, network: str, before: Count, blocked_until: datetime | None, now: datetime) -> None: ...
    def succeed(self, email: str, network: str, before: Count, now: datetime) -> None: ...


def wait_after(failures: int) -> timedelta:
    """None for the first five; then a second, doubling up to a quarter of an hour."""
    if failures < FREE:
        return timedelta(0)
    return min(FIRST_WAIT * (1 << min(failures - FREE, 20)), LONGEST_WAIT)


def begin(email: str, network: str, now: datetime, attempts: Attempts) -> Count:
    """Count the attempt as failed before the password is looked at: a thousand at once are counted like a thousand in
    a row. Raises TooManyAttempts.
    """

    def count(before: Count) -> Count:
        if before.blocked_until is not None and now < before.blocked_until:
            raise TooManyAttempts(before.blocked_until - now)
        wait = wait_after(before.failures + 1)
        attempts.count(email, network, before, now + wait if wait else None, now)
        return before

    return retry_on_conflict(
        lambda: attempts.read(email, network, now),
        count,
        conflict=Counted,
        attempts=_TRIES,
        exhausted="many attempts to log in to one account at once",
    )
