"""Carts over HTTP."""

import secrets
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from carts import usecases
from carts.domain import MAX_QUANTITY, Cart, Latest, Line, notices
from carts.wiring import ports
from mercato.clock import utc_now
from mercato.errors import Unauthenticated
from mercato.guests import is_guest
from mercato.http import CUSTOMER, PEER, PUBLIC, WATCH, App, Body, Created, IdempotencyKey, NoContent, View
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once
from mercato.money import Money
from mercato.text import Exact

app = App("carts", health=table_and_queue)
handler = app.handler


class Quantity(Body):
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


class Merge(Body):
    guest_cart_id: Annotated[str, Exact(), Field(min_length=1, max_length=200)]


class LineView(View):
    """`available` is the count in the stock's last event; null above the low-stock threshold. `shortfall` is how many
    more the cart asks for than are available. `line_total` is capped at the largest amount; a notice names the sum.
    """

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    was_price: Money | None
    line_total: Money
    available: int | None
    shortfall: int

    @classmethod
    def of(cls, line: Line, latest: Latest) -> Self:
        return cls(
            product_id=line.product_id,
            name=line.name,
            quantity=line.quantity,
            unit_price=line.unit_price,
            was_price=line.was_price,
            line_total=line.total,
            available=latest.available,
            shortfall=max(0, line.quantity - latest.available) if latest.available is not None else 0,
        )


class NoticeView(View):
    """A reason why the cart cannot be ordered as it is. `product_id` is null if it concerns the whole cart."""

    type: str
    detail: str
    product_id: str | None


class CartView(View):
    """`version` increases with each change. An order that names it is created once. `total` is capped at the largest
    amount; a notice names the sum.
    """

    cart_id: str
    version: int
    lines: list[LineView]
    total: Money
    notices: list[NoticeView]

    @classmethod
    def of(cls, cart: Cart) -> Self:
        return cls(
            cart_id=cart.cart_id,
            version=cart.version,
            lines=[LineView.of(line, cart.known(line.product_id)) for line in cart.lines],
            total=cart.total(ports().settings.currency),
            notices=[NoticeView(**vars(notice)) for notice in notices(cart)],
        )


@app.get("/api/carts/mine", role=(CUSTOMER, PEER), limit=WATCH)
def show_cart(caller: Caller) -> CartView:
    """Shows the caller's own cart, without lines if there is none. A peer may ask on behalf of a guest, whose cart it
    sees under the guest's id.
    """
    if not caller.user_id:
        raise Unauthenticated("A peer asks on behalf of a user: X-User-Id.")
    if caller.is_peer and is_guest(caller.user_id):
        return CartView.of(usecases.look_at_guests(caller.user_id, ports().carts, utc_now()))
    return CartView.of(usecases.load_customers(caller.user_id, "mine", ports().carts, utc_now()))


@app.put("/api/carts/{cart_id}/items/{product_id}", role=CUSTOMER)
def put_item(cart_id: str, product_id: str, wanted: Quantity, caller: Caller) -> CartView:
    now = utc_now()
    cart = usecases.load_customers(caller.user_id, cart_id, ports().carts, now)
    return CartView.of(usecases.put_item(cart, product_id, wanted.quantity, ports().carts, ports().catalogue, now))


@app.post("/api/carts/{cart_id}/items/{product_id}", role=CUSTOMER)
def add_item(cart_id: str, product_id: str, more: Quantity, caller: Caller, key: IdempotencyKey) -> Created[CartView]:
    """Adds units to what the cart holds, so that two additions at once are both counted. At most 10,000 in all."""
    now = utc_now()
    asked = Keyed.read("POST /api/carts/{cart_id}/items/{product_id}", caller, key, more, cart_id, product_id)
    cart = usecases.load_customers(caller.user_id, cart_id, ports().carts, now)
    return _add(cart, product_id, more, asked, now)


def _add(cart: Cart, product_id: str, more: Quantity, asked: Keyed, now: datetime) -> Created[CartView]:
    def add() -> Created[CartView]:
        addition = usecases.Addition(more.quantity, asked.id)
        after = usecases.add_item(cart, product_id, addition, ports().carts, ports().catalogue, now)
        address = "mine" if cart.customer_id else f"guests/{cart.cart_id}"
        return Created(CartView.of(after), f"/api/carts/{address}")

    return answer_once(asked, ports().table, now, add)


@app.delete("/api/carts/{cart_id}/items/{product_id}", role=CUSTOMER)
def remove_item(cart_id: str, product_id: str, caller: Caller) -> CartView:
    now = utc_now()
    cart = usecases.load_customers(caller.user_id, cart_id, ports().carts, now)
    return CartView.of(usecases.remove_item(cart, product_id, ports().carts, now))


@app.post("/api/carts/merge", role=CUSTOMER)
def merge_carts(merge: Merge, caller: Caller) -> CartView:
    now = utc_now()
    cart = usecases.load_customers(caller.user_id, "mine", ports().carts, now)
    return CartView.of(usecases.merge_carts(merge.guest_cart_id, cart, ports().carts, now))


@app.post("/api/carts/guests", role=PUBLIC)
def open_guest_cart() -> Created[CartView]:
    cart = ports().carts.open_guest_cart(usecases.guest_cart_id(secrets.token_hex(24)), utc_now())
    return Created(CartView.of(cart), f"/api/carts/guests/{cart.cart_id}")


@app.get("/api/carts/guests/{cart_id}", role=PUBLIC, capability="cart_id", limit=WATCH)
def show_guest_cart(cart_id: str) -> CartView:
    return CartView.of(usecases.load_guests(cart_id, ports().carts, utc_now()))


@app.put("/api/carts/guests/{cart_id}/watch", role=PEER, capability="cart_id")
def watch_guest_cart(cart_id: str) -> NoContent:
    """Has the cart published once it is idle: its guest wants to be reminded of it. Idempotent."""
    usecases.watch_guests(cart_id, ports().carts, utc_now())
    return NoContent()


@app.put("/api/carts/guests/{cart_id}/items/{product_id}", role=PUBLIC, capability="cart_id")
def put_guest_item(cart_id: str, product_id: str, wanted: Quantity) -> CartView:
    now = utc_now()
    cart = usecases.load_guests(cart_id, ports().carts, now)
    return CartView.of(usecases.put_item(cart, product_id, wanted.quantity, ports().carts, ports().catalogue, now))


@app.post("/api/carts/guests/{cart_id}/items/{product_id}", role=PUBLIC, capability="cart_id")
def add_guest_item(
    cart_id: str, product_id: str, more: Quantity, caller: Caller, key: IdempotencyKey
) -> Created[CartView]:
    """Adds units to what the cart holds. A key belongs to its cart."""
    now = utc_now()
    route = f"POST /api/carts/guests/{cart_id}/items/{{product_id}}"
    asked = Keyed.read(route, caller, key, more, product_id)
    return _add(usecases.load_guests(cart_id, ports().carts, now), product_id, more, asked, now)


@app.delete("/api/carts/guests/{cart_id}/items/{product_id}", role=PUBLIC, capability="cart_id")
def remove_guest_item(cart_id: str, product_id: str) -> CartView:
    now = utc_now()
    cart = usecases.load_guests(cart_id, ports().carts, now)
    return CartView.of(usecases.remove_item(cart, product_id, ports().carts, now))
