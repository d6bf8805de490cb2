"""The saga's steps on the order. Idempotent: a repeated step yields no new fact."""

from __future__ import annotations

import json
from collections.abc import Callable

from pydantic import BaseModel, Field

from mercato.clock import utc_now
from mercato.invocation.tasks import Tasks
from orders import domain, usecases
from orders.facts import Fact
from orders.failures import explain, with_names
from orders.order import Order
from orders.wiring import ports

tasks = Tasks("orders")


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
    return _change(task.order_id, lambda o: domain.confirm(o, task.payment_id))


@tasks.task("CancelOrder")
def cancel_order(task: CancelOrder) -> OrderState:
    failure = explain(task.step, task.error.error, task.error.message())
    return _change(task.order_id, lambda o: domain.cancel(o, failure.reason, with_names(failure.detail, o.lines)))


@tasks.task("MarkNeedsAttention")
def mark_needs_attention(task: MarkNeedsAttention) -> OrderState:
    return _change(task.order_id, lambda o: domain.mark_needs_attention(o, task.step, task.error.error))


def _change(order_id: str, decide: Callable[[Order], list[Fact]]) -> OrderState:
    order = usecases.change_order(order_id, decide, orders=ports().orders, now=utc_now())
    return OrderState(order_id=order.id, status=order.status)


handler = tasks.handler
