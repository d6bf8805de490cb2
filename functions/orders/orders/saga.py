"""The saga's steps on the order. Idempotent: a repeated step yields no new fact."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mercato.clock import utc_now
from mercato.invocation.tasks import Tasks
from mercato.telemetry import metrics
from orders import domain, usecases
from orders.facts import Fact
from orders.failures import explain, with_names
from orders.order import Action, Awaited, Order, Status
from orders.store import Wait
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


class AttemptedPayment(BaseModel):
    """What payments answers about an attempt that is not authorized."""

    status: Literal["action_required", "declined"]
    attempt: int
    version: int
    reason: str = ""
    detail: str = ""
    action: Action = Action()


class Reservation(BaseModel):
    expires_at: datetime | None = None


class AskBuyer(BaseModel):
    order_id: str
    payment: AttemptedPayment
    reservation: Reservation
    asked_at: str


class AwaitBuyer(BaseModel):
    """`entered_at` and `retries` tell the newest call of the state from a late one."""

    model_config = ConfigDict(hide_input_in_errors=True)

    order_id: str
    payment: AttemptedPayment
    task_token: str
    entered_at: str
    retries: int


class TimeLeft(BaseModel):
    seconds: int


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


@tasks.task("AskBuyer")
def ask_buyer(task: AskBuyer) -> TimeLeft:
    """Idempotent by the time at which the saga entered the state."""
    payment, now = task.payment, utc_now()
    # A reservation without an expiry is kept: the order has been confirmed, and the decision refuses it.
    expires_at = task.reservation.expires_at or now
    awaited = Awaited(
        attempt=payment.attempt,
        state=payment.status,
        reason=payment.reason,
        detail=payment.detail,
        until=expires_at - domain.TO_KEEP,
        version=payment.version,
        asked_at=task.asked_at,
    )
    return TimeLeft(seconds=usecases.ask_buyer(task.order_id, awaited, orders=ports().orders, now=now))


@tasks.task("AwaitBuyer")
def await_buyer(task: AwaitBuyer) -> None:
    """Idempotent: the newest token is kept, and a saga takes one answer."""
    place = f"{task.entered_at}#{task.retries:04}"
    wait = Wait(task.task_token, place, task.payment.attempt, task.payment.action)
    usecases.await_buyer(task.order_id, wait, orders=ports().orders, sagas=ports().sagas, now=utc_now())


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
        # An order that has waited for its buyer is as late as the buyer was.
        is_first = order.status is Status.PENDING and not order.has_waited
        placed_at[:] = [order.placed_at] if facts and is_first else []
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
