"""What a circuit tells the world. Subject: the circuit; sequence: its generation."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from mercato.events.model import EventModel


class CircuitOpened(EventModel):
    """Calls to a dependency are refused from now on, by its failures (`tripped`) or by an operator (`forced`)."""

    TYPE: ClassVar[str] = "circuit.opened"
    EXAMPLE: ClassVar[dict[str, Any]] = {"circuit": "peer-products", "cause": "tripped", "retry_after_ms": 30000}

    circuit: str
    cause: Literal["tripped", "forced"]
    retry_after_ms: int | None


class CircuitClosed(EventModel):
    """Calls go through again: probes succeeded (`recovered`), or an operator decided so (`forced`)."""

    TYPE: ClassVar[str] = "circuit.closed"
    EXAMPLE: ClassVar[dict[str, Any]] = {"circuit": "peer-products", "cause": "recovered", "open_for_ms": 30412}

    circuit: str
    cause: Literal["recovered", "forced"]
    open_for_ms: int


PUBLISHES: tuple[type[EventModel], ...] = (CircuitOpened, CircuitClosed)
