"""Consumes the events of products and orders."""

from __future__ import annotations

from inventory import usecases
from inventory.domain import Returned
from inventory.wiring import ports
from mercato import clock
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer

consumer = Consumer("inventory")
handler = consumer.handler


class ProductCreated(Reads):
    product_id: str


class OrderShipped(Reads):
    order_id: str


class ReturnedLine(Reads):
    product_id: str
    quantity: int


class ReturnAccepted(Reads):
    return_id: str
    lines: list[ReturnedLine]
    reason: str = ""


@consumer.on("product.created")
def open_stock(_event: Event, data: ProductCreated) -> None:
    """Idempotent: an existing stock item stays unchanged."""
    usecases.open_stock(data.product_id, ports().store)


@consumer.on("order.shipped")
def commit_shipped(_event: Event, data: OrderShipped) -> None:
    """Idempotent: the reservation's record says which of its chunks have shipped."""
    usecases.commit_shipped(data.order_id, ports().store, clock.utc_now())


class ReceivedLine(Reads):
    product_id: str
    restock: int
    write_off: int


class ReturnReceived(Reads):
    return_id: str
    lines: list[ReceivedLine]


@consumer.on("order.return_received")
def receive_return(event: Event, data: ReturnReceived) -> None:
    """Puts units back in stock, and writes off what cannot be sold again. Idempotent: each adjustment's id is derived
    from the return.
    """
    lines = [Returned(line.product_id, line.restock, line.write_off) for line in data.lines]
    usecases.take_back(data.return_id, lines, event.type, ports().store, clock.utc_now())


@consumer.on("order.return_accepted")
def take_back(event: Event, data: ReturnAccepted) -> None:
    """Puts returned goods back in stock, as older releases published them. Idempotent like `receive_return`.

    Does nothing for goods that were lost on their way back.
    """
    if data.reason == "lost":
        return
    lines = [Returned(line.product_id, line.quantity) for line in data.lines]
    usecases.take_back(data.return_id, lines, event.type, ports().store, clock.utc_now())
