"""What shipping tells the world."""

from __future__ import annotations

from typing import Any, ClassVar

from mercato.events import EventModel

_EXAMPLE: dict[str, Any] = {
    "shipment_id": "5f1c1c9e-8d0c-5a43-a0c6-4f0f3f7f9d10",
    "order_id": "8a6e0804-2bd0-5672-b79d-d97027f9071a",
    "customer_id": "0199f6c2-5b1e-7cc0-8d5a-2f6f3c9a1b70",
}


class ShipmentCreated(EventModel):
    TYPE: ClassVar[str] = "shipment.created"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    shipment_id: str
    order_id: str
    customer_id: str


class ShipmentDispatched(EventModel):
    TYPE: ClassVar[str] = "shipment.dispatched"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE | {"carrier": "sandbox", "tracking_number": "SBX204816326401"}

    shipment_id: str
    order_id: str
    customer_id: str
    carrier: str
    tracking_number: str


class ShipmentInTransit(EventModel):
    TYPE: ClassVar[str] = "shipment.in_transit"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    shipment_id: str
    order_id: str
    customer_id: str


class ShipmentDelivered(EventModel):
    TYPE: ClassVar[str] = "shipment.delivered"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    shipment_id: str
    order_id: str
    customer_id: str


class ShipmentFailed(EventModel):
    """The carrier has given the parcel up; it may arrive all the same. `dispatched`: the goods have left."""

    TYPE: ClassVar[str] = "shipment.failed"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE | {"reason": "lost", "dispatched": True}

    shipment_id: str
    order_id: str
    customer_id: str
    reason: str
    dispatched: bool


PUBLISHES: tuple[type[EventModel], ...] = (
    ShipmentCreated,
    ShipmentDispatched,
    ShipmentInTransit,
    ShipmentDelivered,
    ShipmentFailed,
)
