"""What a sandbox knows of a circuit, and the right to make a call that it gives out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from mercato.breaker.state import State, Status


class View:
    """Never changed, only replaced: who holds one knows what was known. `is_healthy` is all that a call looks at."""

    __slots__ = ("is_healthy", "is_read", "state")

    def __init__(self, state: State, *, is_read: bool, must_read: bool) -> None:
        self.state = state
        self.is_read = is_read
        self.is_healthy = state.st == Status.CLOSED and not state.sus and (is_read or not must_read)


class Kind(Enum):
    """Why a call was admitted, and so what its outcome is good for."""

    COUNTED = auto()
    VOTE = auto()
    PROBE = auto()
    PROBE_ALONE = auto()
    UNCOUNTED = auto()


@dataclass(frozen=True, slots=True)
class Ticket:
    """`started` is monotonic."""

    kind: Kind
    view: View
    started: float
