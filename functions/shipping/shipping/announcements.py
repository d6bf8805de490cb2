"""Which stop of a shipment the world is told of, and how."""

from __future__ import annotations

from mercato.events import EventModel
from shipping.domain import Shipment, Status
from shipping.events import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentInTransit,
)


def announce(shipment: Shipment, status: Status) -> EventModel | None:
    """None for what concerns nobody else: booked, and cancelled, which the order has announced itself."""
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
                **ids, carrier=shipment.carrier or "", tracking_number=shipment.tracking_number or ""
            )
        case Status.IN_TRANSIT:
            return ShipmentInTransit(**ids)
        case Status.DELIVERED:
            return ShipmentDelivered(**ids)
        case Status.FAILED:
            return ShipmentFailed(**ids, reason=shipment.failure or "", dispatched=shipment.has_left)
        case Status.BOOKED | Status.CANCELLED:
            return None
