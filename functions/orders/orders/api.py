"""HTTP of the orders service."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato.auth import Caller
from mercato.clock import utc_now
from mercato.config import load
from mercato.dynamo import Table
from mercato.health import table_and_queue
from mercato.http import CUSTOMER, PEER, Accepted, App, IdempotencyKey, InvalidRequest, Response
from mercato.peers import peer
from orders import usecases
from orders.catalogue import Catalogue
from orders.store import OrderStore
from orders.views import HistoryQuery, HistoryView, OrderPage, OrdersQuery, OrderView, PlaceOrder, SummaryView

app = App("orders", health=table_and_queue)


@dataclass(frozen=True)
class Settings:
    table_name: str


@functools.cache
def orders() -> OrderStore:
    return OrderStore(Table(load(Settings).table_name))


@functools.cache
def catalogue() -> Catalogue:
    return Catalogue(peer("products"))


@app.post("/api/orders", role=CUSTOMER)
def place_order(order: PlaceOrder, caller: Caller, key: IdempotencyKey) -> Response[OrderView]:
    placement = order.as_placement()
    placed = usecases.place_order(placement, caller.user_id, key, prices=catalogue(), orders=orders(), now=utc_now())
    address = orders().find_address(placed.order.id) if placed.replayed else placement.shipping_address
    answer = Accepted(OrderView.of(placed.order, address), location=f"/api/orders/{placed.order.id}")
    if placed.replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@app.get("/api/orders", role=(CUSTOMER, PEER))
def list_orders(query: OrdersQuery, caller: Caller) -> OrderPage:
    if not caller.user_id:
        raise InvalidRequest("A peer asks on behalf of a user: X-User-Id.")
    items, cursor = orders().list_of(caller.user_id, status=query.status, limit=query.limit, cursor=query.cursor)
    return OrderPage(items=[SummaryView.of(summary) for summary in items], next_cursor=cursor)


@app.get("/api/orders/{order_id}", role=CUSTOMER)
def get_order(order_id: str, caller: Caller) -> OrderView:
    order = usecases.find_order(order_id, orders=orders(), customer_id=_whose(caller))
    return OrderView.of(order, orders().find_address(order_id))


@app.get("/api/orders/{order_id}/history", role=CUSTOMER)
def get_history(order_id: str, query: HistoryQuery, caller: Caller) -> HistoryView:
    order, history = usecases.find_history(order_id, query.as_of, orders=orders(), customer_id=_whose(caller))
    return HistoryView.of(order, orders().find_address(order_id), history, query.as_of)


def _whose(caller: Caller) -> str | None:
    return None if caller.is_admin else caller.user_id


handler = app.handler
