"""What a breaker raises, and what a store of circuits raises to it."""

from __future__ import annotations

from mercato.errors import TransientError


class CircuitOpen(TransientError):
    """The call was not made: its dependency is known to be down. `retry_after`: seconds, `opened_at`: epoch ms."""

    def __init__(self, name: str, retry_after: float, opened_at: int) -> None:
        super().__init__(f"circuit {name} is open; try again in {retry_after:.1f} s")
        self.name = name
        self.retry_after = retry_after
        self.opened_at = opened_at


class StoreFault(Exception):
    """The store of circuits gave no answer, or not in time. It never reaches who makes a call."""
