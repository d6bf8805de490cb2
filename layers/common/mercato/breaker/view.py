"""A sandbox's view of a circuit, and the permission for a call."""

from __future__ import annotations

from enum import Enum, auto

from mercato.breaker.state import State, Status
from mercato.dataclass import dataclass


class View:
    """Immutable, so a holder knows what was known at its time. A call only reads `is_healthy`."""

    __slots__ = ("is_healthy", "is_read", "state")

    def __init__(self, state: State, *, is_read: bool, must_read: bool) -> None:
        self.state = state
        self.is_read = is_read
        self.is_healthy = state.st == Status.CLOSED and not state.sus and (is_read or not must_read)


class Kind(Enum):
    """Why a call was admitted, which decides how its outcome is used."""

    COUNTED = auto()
    VOTE = auto()
    PROBE = auto()
    PROBE_ALONE = auto()
    UNCOUNTED = auto()


@dataclass(frozen=True)
class Ticket:
    """`started` is monotonic."""

    kind: Kind
    view: View
    started: float
