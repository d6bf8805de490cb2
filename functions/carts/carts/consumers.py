"""What the catalogue and the orders tell the carts. All three are naturally idempotent: see the use cases."""

from __future__ import annotations

from carts import usecases
from carts.shop import carts
from mercato.clock import utc_now
from mercato.consumer import Consumer
from mercato.events import Event, Reads
from mercato.money import Money

consumer = Consumer("carts")
handler = consumer.handler


class PriceChanged(Reads):
    product_id: str
    new_price: Money


class Discontinued(Reads):
    product_id: str


class OrderedLine(Reads):
    product_id: str


class UserClosed(Reads):
    user_id: str


class OrderCreated(Reads):
    customer_id: str
    lines: list[OrderedLine]


@consumer.on("product.price_changed")
def follow_price(event: Event, product: PriceChanged) -> None:
    usecases.follow_price(product.product_id, product.new_price, int(event.sequence), carts(), utc_now())


@consumer.on("product.discontinued")
def follow_discontinued(event: Event, product: Discontinued) -> None:
    usecases.follow_discontinued(product.product_id, int(event.sequence), carts(), utc_now())


@consumer.on("user.closed")
def forget_customer(event: Event, closed: UserClosed) -> None:
    """Naturally idempotent: what is gone stays gone."""
    usecases.forget_customer(closed.user_id, carts())


@consumer.on("order.created")
def follow_order(event: Event, order: OrderCreated) -> None:
    product_ids = [line.product_id for line in order.lines]
    usecases.follow_order(order.customer_id, product_ids, event.time, carts(), utc_now())
