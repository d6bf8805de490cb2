"""The events that shipping publishes, and the stop of a shipment that each one reports."""

from typing import Any, ClassVar

from mercato.events import EventModel
from shipping.domain import Shipment, Status

_EXAMPLE: dict[str, Any] = {
    "shipment_id": "5f1c1c9e-8d0c-5a43-a0c6-4f0f3f7f9d10",
    "order_id": "8a6e0804-2bd0-5672-b79d-d97027f9071a",
    "customer_id": "0199f6c2-5b1e-7cc0-8d5a-2f6f3c9a1b70",
}


class ShipmentCreated(EventModel):
    """The order of the parcel is confirmed. The carrier gets the parcel once the order is paid."""

    TYPE: ClassVar[str] = "shipment.created"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    shipment_id: str
    order_id: str
    customer_id: str


class ShipmentDispatched(EventModel):
    """The carrier has taken the parcel. `tracking_url` is its page about the parcel, if there is one."""

    TYPE: ClassVar[str] = "shipment.dispatched"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE | {
        "carrier": "USPS",
        "tracking_number": "9400100000000000000001",
        "tracking_url": "https://track.example/9400100000000000000001",
    }

    shipment_id: str
    order_id: str
    customer_id: str
    carrier: str
    tracking_number: str
    tracking_url: str | None = None


class ShipmentInTransit(EventModel):
    """The carrier has scanned the parcel on its way."""

    TYPE: ClassVar[str] = "shipment.in_transit"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    shipment_id: str
    order_id: str
    customer_id: str


class ShipmentDelivered(EventModel):
    """The parcel has arrived."""

    TYPE: ClassVar[str] = "shipment.delivered"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    shipment_id: str
    order_id: str
    customer_id: str


class ShipmentFailed(EventModel):
    """The carrier has given up the parcel, though it may still arrive. `dispatched`: the goods have left."""

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


def announce(shipment: Shipment, status: Status) -> EventModel | None:
    """The event for a stop of a shipment. None for booked, which concerns no other service, and for cancelled, which
    orders publishes.
    """
    ids = {
        "shipment_id": shipment.shipment_id,
        "order_id": shipment.order_id,
        "customer_id": shipment.customer_id,
    }
    match status:
        case Status.PENDING:
            return ShipmentCreated(**ids)
        case Status.DISPATCHED:
            return ShipmentDispatched(
                **ids,
                carrier=shipment.carrier or "",
                tracking_number=shipment.tracking_number or "",
                tracking_url=shipment.tracking_url,
            )
        case Status.IN_TRANSIT:
            return ShipmentInTransit(**ids)
        case Status.DELIVERED:
            return ShipmentDelivered(**ids)
        case Status.FAILED:
            return ShipmentFailed(**ids, reason=shipment.failure or "", dispatched=shipment.has_left)
        case Status.BOOKED | Status.CANCELLED:
            return None
