"""The errors of a breaker, and those of a circuit store to the breaker."""

from __future__ import annotations

from mercato.errors import TransientError


class CircuitOpen(TransientError):
    """The call was not made, since its dependency is down. `retry_after`: seconds, `opened_at`: epoch ms."""

    def __init__(self, name: str, retry_after: float, opened_at: int) -> None:
        super().__init__(f"circuit {name} is open; try again in {retry_after:.1f} s")
        self.name = name
        self.retry_after = retry_after
        self.opened_at = opened_at


class StoreFault(Exception):
    """The store of circuits gave no answer in time. Callers of a breaker never see it."""
