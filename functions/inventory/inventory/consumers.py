"""What inventory does when others announce something."""

from __future__ import annotations

from inventory import usecases
from inventory.settings import store
from mercato import clock
from mercato.consumer import Consumer
from mercato.events import Event, Reads

consumer = Consumer("inventory")
handler = consumer.handler


class ProductCreated(Reads):
    product_id: str


class OrderShipped(Reads):
    order_id: str


@consumer.on("product.created")
def open_stock(_event: Event, data: ProductCreated) -> None:
    """Idempotent: a stock item that exists stays as it is."""
    usecases.open_stock(data.product_id, store())


@consumer.on("order.shipped")
def commit_shipped(_event: Event, data: OrderShipped) -> None:
    """Idempotent: the reservation's own state says which of its chunks have left."""
    usecases.commit_shipped(data.order_id, store(), clock.utc_now())
