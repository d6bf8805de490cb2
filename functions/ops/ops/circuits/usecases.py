"""Lists and sets circuits for operators. A change applies to all sandboxes at their next refresh."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mercato.breaker import State, Status
from mercato.breaker.change import Change, Result
from mercato.breaker.errors import StoreFault
from mercato.breaker.state import SET_BY_OPERATORS
from mercato.breaker.store import Reading
from mercato.breaker.transitions import force
from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.errors import NotFound, TransientError
from mercato.store.attributes import Item

# The circuit may change between the read and the write.
_ATTEMPTS = 5


class CircuitAction(StrEnum):
    """`force_close` closes the circuit now and lets it open by itself again; `auto` ends an operator's setting."""

    FORCE_OPEN = "force_open"
    FORCE_CLOSE = "force_close"
    AUTO = "auto"
    DISABLE = "disable"
    METRICS_ONLY = "metrics_only"


_LEADS_TO = {
    CircuitAction.FORCE_OPEN: Status.FORCED_OPEN,
    CircuitAction.FORCE_CLOSE: Status.CLOSED,
    CircuitAction.AUTO: Status.CLOSED,
    CircuitAction.DISABLE: Status.DISABLED,
    CircuitAction.METRICS_ONLY: Status.METRICS_ONLY,
}


class UnknownCircuit(NotFound):
    """No circuit has this name."""


class Store(Protocol):
    def names(self) -> Iterator[tuple[str, str]]: ...
    def read(self, names: Collection[str], entries: Collection[str] = ()) -> Reading: ...
    def change(self, name: str, change: Change, now: int) -> Result: ...
    def audit_of(self, name: str, limit: int = 20) -> list[Item]: ...


@dataclass(frozen=True)
class Circuit:
    """`about` is the operator's setting; `audit` the operators' changes, newest first."""

    name: str
    about: str
    state: State
    audit: list[Item]


@dataclass(frozen=True)
class Command:
    """An operator's request to set a circuit."""

    name: str
    action: CircuitAction
    reason: str
    operator: str
    request_id: str
    at: datetime


def list_circuits(store: Store) -> list[Circuit]:
    try:
        known = dict(store.names())
        states = store.read(list(known)).states if known else {}
    except StoreFault as fault:
        raise TransientError(str(fault)) from fault
    return [Circuit(name, known[name], states[name], []) for name in sorted(known)]


def get_circuit(name: str, store: Store) -> Circuit:
    try:
        reading = store.read([name], [name])
        if name not in reading.entries:
            raise UnknownCircuit(f"There is no circuit {name}; GET /api/ops/circuits lists them.")
        return Circuit(name, reading.entries[name], reading.states[name], store.audit_of(name))
    except StoreFault as fault:
        raise TransientError(str(fault)) from fault


def set_circuit(command: Command, store: Store) -> Circuit:
    """Writes the change and its audit record in one transaction. `auto` changes nothing without an operator's
    setting.
    """
    name, action, now = command.name, command.action, int(command.at.timestamp() * 1000)
    state = get_circuit(name, store).state
    audit = {
        "at": rfc3339(command.at),
        "request_id": command.request_id,
        "operator": command.operator,
        "action": action.value,
        "reason": command.reason,
    }
    for _ in range(_ATTEMPTS):
        if action is CircuitAction.AUTO and state.st not in SET_BY_OPERATORS:
            break
        result = _change(name, force(name, state, _LEADS_TO[action], now, audit), now, store)
        if result.won:
            break
        state = result.state
    else:
        raise TransientError(f"circuit {name} changes too often")
    return get_circuit(name, store)


def _change(name: str, change: Change, now: int, store: Store) -> Result:
    try:
        return store.change(name, change, now)
    except StoreFault as fault:
        raise TransientError(str(fault)) from fault
