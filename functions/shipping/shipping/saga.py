"""The saga's step on the shipment. Safe when repeated, concurrent or late: the shipment's record decides."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mercato import clock
from mercato.invocation.tasks import Tasks
from shipping import usecases
from shipping.wiring import ports

tasks = Tasks("shipping")
handler = tasks.handler

Id = Annotated[str, Field(min_length=1, max_length=64)]


class StopShipment(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    order_id: Id
    customer_id: Id


class Done(BaseModel):
    shipment_id: str


@tasks.task("StopShipment")
def stop_shipment(step: StopShipment) -> Done:
    """Idempotent: a cancelled shipment stays cancelled, also after a later payment or confirmation."""
    shipment = usecases.stop_shipment(step.order_id, step.customer_id, ports(), clock.utc_now())
    return Done(shipment_id=shipment.shipment_id)
