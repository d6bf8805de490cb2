"""HTTP of the orders service."""

from __future__ import annotations

from mercato.clock import utc_now
from mercato.errors import Forbidden
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    WATCH,
    Accepted,
    App,
    Body,
    Created,
    IdempotencyKey,
    InvalidRequest,
    replayed,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.ids import derived_id, fingerprint
from orders import usecases
from orders.day_sums import MOST_DAYS, DaysOutOfRange
from orders.numbers import parse_number
from orders.order import Request
from orders.returns import OPERATORS
from orders.views import (
    CancelOrder,
    DaysQuery,
    DaysView,
    HistoryQuery,
    HistoryView,
    OrderPage,
    OrdersQuery,
    OrderView,
    PlaceOrder,
    PlaceQuoted,
    ReturnGoods,
    ReturnView,
    StaffOrderView,
    StaffPage,
    StaffQuery,
    SummaryView,
)
from orders.wiring import ports

app = App("orders", health=table_and_queue)


@app.post("/api/orders", role=CUSTOMER)
def place_order(order: PlaceOrder, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]:
    placement = order.as_placement()
    placed = usecases.place_order(
        placement, caller.user_id, key, prices=ports().catalogue, orders=ports().orders, now=utc_now()
    )
    address = ports().orders.find_address(placed.order.id) if placed.replayed else placement.shipping_address
    answer = Accepted(OrderView.of(placed.order, address), location=f"/api/orders/{placed.order.id}")
    return replayed(answer) if placed.replayed else answer


@app.post("/api/orders/quoted", role=CUSTOMER)
def place_quoted(order: PlaceQuoted, caller: Caller) -> Accepted[OrderView]:
    """Places the order that a checkout's quote states: its goods, delivery, taxes and total, to its address."""
    placed = usecases.place_quoted(
        order.quote, order.payment_token, caller.user_id, quotes=ports().quotes, orders=ports().orders, now=utc_now()
    )
    address = ports().orders.find_address(placed.order.id)
    answer = Accepted(OrderView.of(placed.order, address), location=f"/api/orders/{placed.order.id}")
    return replayed(answer) if placed.replayed else answer


@app.post("/api/orders/{order_id}/cancel", role=CUSTOMER)
def cancel_order(order_id: str, wish: CancelOrder, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]:
    command = _command("cancel", order_id, wish, caller, key)
    done = usecases.cancel_order(command, wish.reason, ports().orders, utc_now())
    answer = Accepted(
        OrderView.of(done.order, ports().orders.find_address(order_id)), location=f"/api/orders/{order_id}"
    )
    return replayed(answer) if done.replayed else answer


@app.post("/api/orders/{order_id}/returns", role=CUSTOMER)
def return_goods(order_id: str, wish: ReturnGoods, caller: Caller, key: IdempotencyKey) -> Created[ReturnView]:
    """Returns lines of an order. Only admins may give `undelivered` or `lost`. Lost goods are not restocked."""
    if wish.reason in OPERATORS and not caller.is_admin:
        raise Forbidden("Only an admin can say that a parcel was lost or came back undelivered.")
    command = _command("return", order_id, wish, caller, key)
    done = usecases.return_goods(command, wish.as_lines(), wish.reason, ports().orders, utc_now())
    answer = Created(ReturnView.of(done.order.returns[-1]), location=f"/api/orders/{order_id}")
    return replayed(answer) if done.replayed else answer


@app.get("/api/orders", role=(CUSTOMER, PEER), limit=WATCH)
def list_orders(query: OrdersQuery, caller: Caller) -> OrderPage:
    if not caller.user_id:
        raise InvalidRequest("A peer asks on behalf of a user: X-User-Id.")
    items, cursor = ports().orders.list_of(caller.user_id, status=query.status, limit=query.limit, cursor=query.cursor)
    return OrderPage(items=[SummaryView.of(summary) for summary in items], next_cursor=cursor)


@app.get("/api/ops/orders", role=ADMIN, limit=WATCH)
def list_orders_for_staff(query: StaffQuery) -> StaffPage:
    """Lists the orders of all customers. An e-mail address without an account finds none: orders keep no address."""
    customer_id = query.customer_id
    number = parse_number(query.number) if query.number else None
    if query.email is not None:
        found = ports().customers.find_id(query.email)
        if found is None or customer_id not in (None, found):
            return StaffPage(items=[], next_cursor=None)
        customer_id = found
    items, cursor = ports().orders.list_for_staff(
        query.wanted(customer_id, number), limit=query.limit, cursor=query.cursor
    )
    return StaffPage(items=[StaffOrderView.of(summary) for summary in items], next_cursor=cursor)


@app.get("/api/ops/orders/days", role=ADMIN, limit=WATCH)
def list_days(query: DaysQuery) -> DaysView:
    """Sums of all orders by day and currency. An order is counted once its saga has confirmed or cancelled it, or waits
    for an operator.
    """
    if not 0 <= (query.last_day - query.first_day).days < MOST_DAYS:
        raise DaysOutOfRange("`to` is at `from` or after it, and at most 365 days later.")
    return DaysView.of(ports().day_sums.between(query.first_day, query.last_day))


@app.get("/api/orders/{order_id}", role=CUSTOMER, limit=WATCH)
def get_order(order_id: str, caller: Caller) -> OrderView:
    order = usecases.find_order(order_id, orders=ports().orders, customer_id=_whose(caller))
    return OrderView.of(order, ports().orders.find_address(order_id))


@app.get("/api/orders/{order_id}/history", role=CUSTOMER, limit=WATCH)
def get_history(order_id: str, query: HistoryQuery, caller: Caller) -> HistoryView:
    history = usecases.find_history(
        order_id, query.as_of, query.version, orders=ports().orders, customer_id=_whose(caller)
    )
    address = ports().orders.find_address(order_id)
    return HistoryView.of(history, address, query.as_of, tells_staff=caller.is_admin)


def _command(action: str, order_id: str, wish: Body, caller: Caller, key: str) -> usecases.Command:
    request_id = derived_id(caller.user_id, action, order_id, key)
    request = Request(id=request_id, fingerprint=fingerprint(wish.model_dump(mode="json")))
    return usecases.Command(order_id, _whose(caller), request)


def _whose(caller: Caller) -> str | None:
    return None if caller.is_admin else caller.user_id


handler = app.handler
