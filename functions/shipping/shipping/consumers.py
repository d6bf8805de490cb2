"""Consumes the events of orders and payments. Naturally idempotent: a known fact changes nothing."""

from __future__ import annotations

from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from shipping import usecases
from shipping.domain import Address, AlreadyDispatched, Contents, Line
from shipping.wiring import ports

consumer = Consumer("shipping")


class OrderLine(Reads):
    product_id: str
    sku: str
    name: str
    quantity: int


class ShippingAddress(Reads):
    name: str
    line1: str
    line2: str | None = None
    city: str
    postcode: str
    country: str
    company: str | None = None
    region: str | None = None
    phone: str | None = None


class Delivery(Reads):
    """The service that the buyer chose. An order of an earlier release states no weight."""

    service: str
    weight_grams: int | None = None


class OrderConfirmed(Reads):
    order_id: str
    customer_id: str
    lines: list[OrderLine]
    shipping_address: ShippingAddress
    delivery: Delivery | None = None
    number: str | None = None


class PaymentCompleted(Reads):
    order_id: str
    customer_id: str


class OrderCancelled(Reads):
    order_id: str
    customer_id: str


class OrderAnonymised(Reads):
    order_id: str
    customer_id: str


class OrderClaimed(Reads):
    order_id: str
    customer_id: str


class ReturnedLine(Reads):
    quantity: int


class ReturnReceived(Reads):
    order_id: str
    customer_id: str
    return_id: str
    lines: list[ReturnedLine]


@consumer.on("order.confirmed")
def create_shipment(_: Event, data: OrderConfirmed) -> None:
    lines = tuple(Line(**line.model_dump()) for line in data.lines)
    address = Address(**data.shipping_address.model_dump())
    service, weight_grams = (data.delivery.service, data.delivery.weight_grams) if data.delivery else (None, None)
    contents = Contents(lines, address, service, weight_grams, data.number)
    usecases.confirm_order(data.order_id, data.customer_id, contents, ports(), utc_now())


@consumer.on("payment.completed")
def note_payment(_: Event, data: PaymentCompleted) -> None:
    usecases.mark_paid(data.order_id, data.customer_id, ports(), utc_now())


@consumer.on("order.return_received", "order.return_accepted")
def note_return(_: Event, data: ReturnReceived) -> None:
    """order.return_accepted is what older releases published."""
    units = sum(line.quantity for line in data.lines)
    usecases.record_return(
        data.order_id, data.customer_id, data.return_id, units, shipments=ports().shipments, now=utc_now()
    )


@consumer.on("order.cancelled")
def cancel_shipment(_: Event, data: OrderCancelled) -> None:
    try:
        usecases.stop_shipment(data.order_id, data.customer_id, ports(), utc_now())
    except AlreadyDispatched as error:
        usecases.alert_cancelled_parcel_left(usecases.shipment_id_of(data.order_id), data.order_id, error.detail)


@consumer.on("order.claimed")
def hand_over(_: Event, data: OrderClaimed) -> None:
    usecases.claim_shipment(data.order_id, data.customer_id, shipments=ports().shipments, now=utc_now())


@consumer.on("order.anonymised")
def anonymise_shipment(_: Event, data: OrderAnonymised) -> None:
    usecases.anonymise_shipment(data.order_id, data.customer_id, shipments=ports().shipments, now=utc_now())


handler = consumer.handler
