"""The saga's steps on the order. Idempotent: a repeated step yields no new fact."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from pydantic import BaseModel, Field

from mercato.clock import utc_now
from mercato.invocation.tasks import Tasks
from mercato.telemetry import metrics
from orders import domain, usecases
from orders.facts import Fact
from orders.failures import explain, with_names
from orders.order import Order, Status
from orders.wiring import ports

tasks = Tasks("orders")
_IN_TIME = 30  # seconds


class StepError(BaseModel):
    """An error as Step Functions passes it on. `Cause` is the Lambda's error document, or a text."""

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")

    def message(self) -> str:
        try:
            found = json.loads(self.cause)
        except ValueError:
            return ""
        return str(found.get("errorMessage", "")) if isinstance(found, dict) else ""


class ConfirmOrder(BaseModel):
    order_id: str
    payment_id: str


class CancelOrder(BaseModel):
    order_id: str
    error: StepError
    step: str = ""


class MarkNeedsAttention(BaseModel):
    order_id: str
    step: str
    error: StepError


class OrderState(BaseModel):
    order_id: str
    status: str


@tasks.task("ConfirmOrder")
def confirm_order(task: ConfirmOrder) -> OrderState:
    return _decide(task.order_id, lambda o: domain.confirm(o, task.payment_id), "OrdersConfirmed")


@tasks.task("CancelOrder")
def cancel_order(task: CancelOrder) -> OrderState:
    failure = explain(task.step, task.error.error, task.error.message())
    return _decide(
        task.order_id,
        lambda o: domain.cancel(o, failure.reason, with_names(failure.detail, o.lines)),
        "OrdersCancelled",
        reason=failure.reason,
    )


@tasks.task("MarkNeedsAttention")
def mark_needs_attention(task: MarkNeedsAttention) -> OrderState:
    return _change(task.order_id, lambda o: domain.mark_needs_attention(o, task.step, task.error.error))


def _decide(order_id: str, decide: Callable[[Order], list[Fact]], outcome: str, **dimensions: str) -> OrderState:
    """Changes the order, and counts its first decision for the objective that it comes in time (infra/watch.yaml)."""
    placed_at: list[datetime] = []

    def noting(order: Order) -> list[Fact]:
        facts = decide(order)
        placed_at[:] = [order.placed_at] if facts and order.status is Status.PENDING else []
        return facts

    state = _change(order_id, noting)
    for placed in placed_at:
        seconds = (utc_now() - placed).total_seconds()
        metrics.observe_seconds("OrderDecisionSeconds", seconds)
        metrics.count("OrdersDecided")
        metrics.count("OrdersDecidedLate", int(seconds > _IN_TIME))
        metrics.count(outcome, 1, **dimensions)
        metrics.flush()
    return state


def _change(order_id: str, decide: Callable[[Order], list[Fact]]) -> OrderState:
    order = usecases.change_order(order_id, decide, orders=ports().orders, now=utc_now())
    return OrderState(order_id=order.id, status=order.status)


handler = tasks.handler
