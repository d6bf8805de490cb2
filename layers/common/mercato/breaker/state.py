"""A circuit as the store keeps it: one item. All times are epoch milliseconds; a missing attribute is 0, or closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any

from mercato.dataclass import dataclass


class Status(StrEnum):
    """The first three are automatic. Only an operator sets or ends the others."""

    CLOSED = "C"
    OPEN = "O"
    HALF_OPEN = "H"
    FORCED_OPEN = "F"
    METRICS_ONLY = "M"
    DISABLED = "D"


SET_BY_OPERATORS = frozenset({Status.FORCED_OPEN, Status.METRICS_ONLY, Status.DISABLED})


@dataclass(frozen=True)
class State:
    """`gen` increases with every transition and every granted probe, and fences them."""

    st: str = Status.CLOSED
    gen: int = 0
    opened_at: int = 0
    retry_at: int = 0
    n_open: int = 0  # openings since the circuit was last closed
    probe: str = ""
    lease_until: int = 0
    ok: int = 0
    bucket: int = 0  # the window in which f and s were counted
    f: int = 0
    s: int = 0
    sus: int = 0  # the suspicion that votes are for; 0 without one
    sus_until: int = 0
    cc: int = 0
    cf: int = 0
    cs: int = 0
    voters: int = 0
    cool_until: int = 0
    changed_at: int = 0

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> State:
        return cls(**{name: item[name] for name in _NAMES if name in item})


_NAMES = tuple(field.name for field in fields(State))
CLOSED = State()
