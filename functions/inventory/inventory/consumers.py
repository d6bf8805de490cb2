"""What inventory does when others announce something."""

from __future__ import annotations

from inventory import usecases
from inventory.domain import Line
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
    """Idempotent: a stock item that exists stays as it is."""
    usecases.open_stock(data.product_id, ports().store)


@consumer.on("order.shipped")
def commit_shipped(_event: Event, data: OrderShipped) -> None:
    """Idempotent: the reservation's own state says which of its chunks have left."""
    usecases.commit_shipped(data.order_id, ports().store, clock.utc_now())


@consumer.on("order.return_accepted")
def take_back(_event: Event, data: ReturnAccepted) -> None:
    """Idempotent: each adjustment's id follows from the return, and one that was made is not made again.

    What was lost on its way does not come back.
    """
    if data.reason == "lost":
        return
    lines = [Line(line.product_id, line.quantity) for line in data.lines]
    usecases.take_back(data.return_id, lines, ports().store, clock.utc_now())
