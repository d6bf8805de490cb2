"""The events of circuits. Subject: the circuit; sequence: its generation."""

from typing import Any, ClassVar, Literal

from mercato.events.model import EventModel


class CircuitOpened(EventModel):
    """Calls to a dependency are refused, after failures (`tripped`) or by an operator (`forced`)."""

    TYPE: ClassVar[str] = "circuit.opened"
    EXAMPLE: ClassVar[dict[str, Any]] = {"circuit": "peer-products", "cause": "tripped", "retry_after_ms": 30000}

    circuit: str
    cause: Literal["tripped", "forced"]
    retry_after_ms: int | None


class CircuitClosed(EventModel):
    """Calls are allowed again, after successful probes (`recovered`) or by an operator (`forced`)."""

    TYPE: ClassVar[str] = "circuit.closed"
    EXAMPLE: ClassVar[dict[str, Any]] = {"circuit": "peer-products", "cause": "recovered", "open_for_ms": 30412}

    circuit: str
    cause: Literal["recovered", "forced"]
    open_for_ms: int


PUBLISHES: tuple[type[EventModel], ...] = (CircuitOpened, CircuitClosed)
