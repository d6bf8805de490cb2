"""Consumes the events of products, inventory, orders and users. All naturally idempotent: see the use cases."""

from __future__ import annotations

from carts import usecases
from carts.wiring import ports
from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.guests import is_guest
from mercato.money import Money

consumer = Consumer("carts")
handler = consumer.handler


class PriceChanged(Reads):
    product_id: str
    new_price: Money


class Discontinued(Reads):
    product_id: str


class LowStock(Reads):
    product_id: str
    available: int


class Restocked(Reads):
    product_id: str


class OrderedLine(Reads):
    product_id: str


class OrderedCart(Reads):
    id: str
    version: int


class UserClosed(Reads):
    user_id: str


class OrderCreated(Reads):
    customer_id: str
    lines: list[OrderedLine]
    cart: OrderedCart | None = None


@consumer.on("product.price_changed")
def follow_price(event: Event, product: PriceChanged) -> None:
    usecases.follow_price(product.product_id, product.new_price, event.sequence, ports().carts)


@consumer.on("product.discontinued")
def follow_discontinued(event: Event, product: Discontinued) -> None:
    usecases.follow_discontinued(product.product_id, event.sequence, ports().carts)


@consumer.on("inventory.low_stock")
def follow_low_stock(event: Event, stock: LowStock) -> None:
    usecases.follow_stock(stock.product_id, stock.available, event.sequence, ports().carts)


@consumer.on("inventory.restocked")
def follow_restocked(event: Event, stock: Restocked) -> None:
    """Sets the available count to unknown until the stock is low again."""
    usecases.follow_stock(stock.product_id, None, event.sequence, ports().carts)


@consumer.on("user.closed")
def forget_customer(event: Event, closed: UserClosed) -> None:
    """Naturally idempotent: erasing an erased cart changes nothing."""
    usecases.forget_customer(closed.user_id, ports().carts, utc_now())


@consumer.on("order.created")
def follow_order(event: Event, order: OrderCreated) -> None:
    product_ids = [line.product_id for line in order.lines]
    own = order.customer_id if is_guest(order.customer_id) else usecases.cart_of(order.customer_id)
    is_theirs = order.cart is not None and order.cart.id == own
    version = order.cart.version if order.cart and is_theirs else None
    usecases.follow_order(order.customer_id, product_ids, event.time, version, ports().carts, utc_now())
