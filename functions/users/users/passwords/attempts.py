"""Limits the attempts at a password, without letting a stranger lock out the owner.

Failures are counted per account, and separately per account and network after a log-in from that network. All guesses
of strangers share one count, whatever their addresses, and make strangers wait. The owner's usual networks have their
own counts. An owner in a new place waits with the strangers, for at most 15 minutes, or resets the password by e-mail.
An address without an account is counted in the same way.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from mercato.clock import wait_in_words
from mercato.dataclass import dataclass
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
            "Too many attempts with a wrong password. "
            f"Please try again in {wait_in_words(seconds)}, or reset the password.",
            retry_after=seconds,
        )


@dataclass(frozen=True)
class Count:
    """Failures so far. `is_network`: the count of one of the owner's usual networks."""

    failures: int = 0
    blocked_until: datetime | None = None
    is_network: bool = False


class Counted(Exception):
    """Another attempt was counted concurrently."""


class Attempts(Protocol):
    def read(self, email: str, network: str, now: datetime) -> Count: ...
    def count(self, email: str, network: str, before: Count, blocked_until: datetime | None, now: datetime) -> None: ...
    def succeed(self, email: str, network: str, before: Count, now: datetime) -> None: ...


def wait_after(failures: int) -> timedelta:
    """None for the first five failures, then one second, doubling up to a quarter of an hour."""
    if failures < FREE:
        return timedelta(0)
    return min(FIRST_WAIT * (1 << min(failures - FREE, 20)), LONGEST_WAIT)


def begin(email: str, network: str, now: datetime, attempts: Attempts) -> Count:
    """Counts the attempt as failed before the password is checked, so that concurrent attempts are all counted. Raises
    TooManyAttempts.
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
