"""What an operator does with a parked saga."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mercato.errors import TransientError
from ops.domain import Action, Parked, Resumption, SagaNotParked


class Sagas(Protocol):
    def find(self, order_id: str) -> Parked | None: ...

    def claim(self, parked: Parked, resumption: Resumption) -> None: ...

    def give_back(self, parked: Parked, resumption: Resumption) -> None: ...

    def close(self, parked: Parked, resumption: Resumption) -> None: ...


class Resumer(Protocol):
    def resume(self, task_token: str, action: Action) -> None: ...


def resume_saga(
    order_id: str,
    action: Action,
    reason: str,
    *,
    operator: str,
    request_id: str,
    now: datetime,
    sagas: Sagas,
    executions: Resumer,
) -> Resumption:
    """Claim and audit first, then send: of two operators one is let through, and nothing is sent without a record."""
    parked = sagas.find(order_id)
    if parked is None:
        raise SagaNotParked("This saga is not parked.")
    resumption = Resumption(order_id, parked.step, action, reason, operator, request_id, now)
    sagas.claim(parked, resumption)
    try:
        executions.resume(parked.task_token, action)
    except SagaNotParked:
        sagas.close(parked, resumption)
        raise
    except TransientError:
        sagas.give_back(parked, resumption)
        raise
    sagas.close(parked, resumption)
    return resumption
