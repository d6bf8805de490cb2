"""The saga's steps on the stock. Each may run twice, at once, or late: the reservation's record decides."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from inventory import usecases
from inventory.domain import Line
from inventory.wiring import ports
from mercato import clock
from mercato.invocation.tasks import Tasks

tasks = Tasks("inventory")
handler = tasks.handler


class TaskInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    order_id: Annotated[str, Field(min_length=1, max_length=64)]


class OrderedLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    product_id: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1)]


class ReserveInventory(TaskInput):
    lines: Annotated[list[OrderedLine], Field(min_length=1, max_length=500)]


class ReleaseInventory(TaskInput):
    reason: str


class Done(BaseModel):
    order_id: str


@tasks.task("ReserveInventory")
def reserve_inventory(step: ReserveInventory) -> Done:
    """Idempotent: the record is written once per order; a second run finds it and goes on, or answers as the first."""
    lines = [Line(line.product_id, line.quantity) for line in step.lines]
    usecases.reserve(step.order_id, lines, ports().store, clock.utc_now())
    return Done(order_id=step.order_id)


@tasks.task("KeepReservation")
def keep_reservation(step: TaskInput) -> Done:
    """Idempotent: a reservation that is kept stays so. One that has expired fails for good."""
    usecases.keep(step.order_id, ports().store, clock.utc_now())
    return Done(order_id=step.order_id)


@tasks.task("ReleaseInventory")
def release_inventory(step: ReleaseInventory) -> Done:
    """Idempotent: released is where every release ends, and no reserve leads out of it."""
    usecases.release(step.order_id, step.reason, ports().store, clock.utc_now())
    return Done(order_id=step.order_id)
