"""The request and response bodies of circuits."""

from datetime import UTC, datetime
from typing import Self

from mercato.breaker import Status
from mercato.clock import rfc3339
from mercato.http import Body, View
from mercato.text import Reason
from ops.circuits.usecases import Circuit, CircuitAction

_WORDS = {
    Status.CLOSED: "closed",
    Status.OPEN: "open",
    Status.HALF_OPEN: "half_open",
    Status.FORCED_OPEN: "forced_open",
    Status.METRICS_ONLY: "metrics_only",
    Status.DISABLED: "disabled",
}


class SetCircuit(Body):
    action: CircuitAction
    reason: Reason


class CircuitAuditView(View):
    at: str
    action: CircuitAction
    reason: str
    operator: str
    request_id: str


class CircuitView(View):
    """`openings` since it was last closed. `is_suspected`: the sandboxes are voting on it, with `votes` so far."""

    name: str
    state: str
    about: str
    generation: int
    opened_at: str | None
    retry_at: str | None
    openings: int
    probes_passed: int
    is_suspected: bool
    votes: int
    failed_votes: int
    changed_at: str | None
    audit: list[CircuitAuditView]

    @classmethod
    def of(cls, circuit: Circuit) -> Self:
        state = circuit.state
        return cls(
            name=circuit.name,
            state=_WORDS[Status(state.st)],
            about=circuit.about,
            generation=state.gen,
            opened_at=_moment(state.opened_at),
            retry_at=_moment(state.retry_at),
            openings=state.n_open,
            probes_passed=state.ok,
            is_suspected=state.sus > 0,
            votes=state.cc,
            failed_votes=state.cf,
            changed_at=_moment(state.changed_at),
            audit=[CircuitAuditView.model_validate(record) for record in circuit.audit],
        )


class CircuitsPage(View):
    items: list[CircuitView]

    @classmethod
    def of(cls, found: list[Circuit]) -> Self:
        return cls(items=[CircuitView.of(circuit) for circuit in found])


def _moment(millis: int) -> str | None:
    return rfc3339(datetime.fromtimestamp(millis / 1000, UTC)) if millis else None
