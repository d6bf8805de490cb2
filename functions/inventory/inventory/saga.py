"""The saga's steps on the stock. All are idempotent and safe when late or concurrent: the reservation's record
decides.
"""

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


class Reserved(Done):
    """`expires_at` is null for a reservation that is kept."""

    expires_at: str | None


@tasks.task("ReserveInventory")
def reserve_inventory(step: ReserveInventory) -> Reserved:
    """Idempotent: there is one record per order. A retry continues it, or returns the first outcome."""
    lines = [Line(line.product_id, line.quantity) for line in step.lines]
    reserved = usecases.reserve(step.order_id, lines, ports().store, clock.utc_now())
    return Reserved(
        order_id=step.order_id, expires_at=clock.rfc3339(reserved.expires_at) if reserved.expires_at else None
    )


@tasks.task("KeepReservation")
def keep_reservation(step: TaskInput) -> Done:
    """Idempotent: a kept reservation stays kept. Fails permanently if it has expired."""
    usecases.keep(step.order_id, ports().store, clock.utc_now())
    return Done(order_id=step.order_id)


@tasks.task("ReleaseInventory")
def release_inventory(step: ReleaseInventory) -> Done:
    """Idempotent: `released` is final, and no later reserve leaves it."""
    usecases.release(step.order_id, step.reason, ports().store, clock.utc_now())
    return Done(order_id=step.order_id)
