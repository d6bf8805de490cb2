"""HTTP of the orders service."""

from __future__ import annotations

from dataclasses import replace

from mercato.clock import utc_now
from mercato.errors import Forbidden
from mercato.guests import guest_of
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    PUBLIC,
    WATCH,
    Accepted,
    App,
    Body,
    Created,
    IdempotencyKey,
    InvalidRequest,
    NoContent,
    Response,
    replayed,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.ids import derived_id, fingerprint
from orders import guests, usecases
from orders.day_sums import MOST_DAYS, DaysOutOfRange
from orders.numbers import parse_number
from orders.order import Action, Address, Order, Request, ReturnStatus
from orders.returns import OPERATORS, Terms
from orders.views import (
    CancelOrder,
    DaysQuery,
    DaysView,
    GuestOrderView,
    HistoryQuery,
    HistoryView,
    OpenReturnView,
    OrderedView,
    OrderPage,
    OrdersOfAddress,
    OrdersQuery,
    OrderView,
    PayAgain,
    PlaceForGuest,
    PlaceOrder,
    PlaceQuoted,
    ReceiveReturn,
    RefuseReturn,
    ReturnGoods,
    ReturnPage,
    ReturnsQuery,
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
    """Prices and places an order in one step, with delivery and tax. POST /api/orders/quoted shows the total first."""
    placement = order.as_placement()
    placed = usecases.place_order(
        placement, caller.user_id, key, prices=ports().quotes, orders=ports().orders, now=utc_now()
    )
    address = ports().orders.find_address(placed.order.id) if placed.replayed else placement.shipping_address
    answer = Accepted(_order_view(placed.order, address), location=f"/api/orders/{placed.order.id}")
    return replayed(answer) if placed.replayed else answer


@app.post("/api/orders/quoted", role=CUSTOMER)
def place_quoted(order: PlaceQuoted, caller: Caller) -> Accepted[OrderView]:
    """Places the order that a checkout's quote states: its goods, delivery, taxes and total, to its address."""
    wish = usecases.QuotedWish(
        order.quote,
        order.payment_token,
        caller.user_id,
        waits_for_buyer=order.waits_for_buyer,
        language=order.language,
    )
    placed = usecases.place_quoted(wish, quotes=ports().quotes, orders=ports().orders, now=utc_now())
    address = ports().orders.find_address(placed.order.id)
    answer = Accepted(_order_view(placed.order, address), location=f"/api/orders/{placed.order.id}")
    return replayed(answer) if placed.replayed else answer


@app.post("/api/orders/guests", role=PUBLIC)
def place_for_guest(order: PlaceForGuest) -> Accepted[GuestOrderView]:
    """Places the order of a guest's quote. Only who has the token of its link, or the mailed one, can open it."""
    wish = usecases.QuotedWish(
        order.quote,
        order.payment_token,
        guest_of(order.cart_id),
        order.cart_id,
        waits_for_buyer=order.waits_for_buyer,
        language=order.language,
    )
    placed = guests.place_for_guest(wish, quotes=ports().quotes, orders=ports().orders, now=utc_now())
    found, done = placed.done.order, placed.done
    view = GuestOrderView(order=_order_view(found, ports().orders.find_address(found.id)), token=placed.token)
    answer = Accepted(view, location=f"/api/orders/guests/{placed.token}")
    return replayed(answer) if done.replayed else answer


@app.get("/api/orders/guests/{token}", role=PUBLIC, capability="token", limit=WATCH)
def show_guest_order(token: str) -> OrderView:
    """The order that the link opens, as long as no account has claimed it."""
    order = guests.find_by_link(token, ports().orders)
    action = usecases.find_action(order, orders=ports().orders, now=utc_now())
    return _order_view(order, ports().orders.find_address(order.id), action, is_buyer=True)


@app.post("/api/orders/guests/{token}/cancel", role=PUBLIC, capability="token")
def cancel_guest_order(token: str, wish: CancelOrder, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]:
    order = guests.find_by_link(token, ports().orders)
    with guests.by_link():
        return _cancel(_guests("cancel", order, wish, caller, key), wish, f"/api/orders/guests/{token}")


@app.post("/api/orders/guests/{token}/payments", role=PUBLIC, capability="token")
def pay_again_as_guest(token: str, wish: PayAgain, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]:
    """Answers what the order waits for: another card, or that the buyer has confirmed the payment at the bank."""
    order = guests.find_by_link(token, ports().orders)
    with guests.by_link():
        return _pay(_guests("pay", order, wish, caller, key), wish, f"/api/orders/guests/{token}")


@app.post("/api/orders/guests/{token}/returns", role=PUBLIC, capability="token")
def return_guest_goods(token: str, wish: ReturnGoods, caller: Caller, key: IdempotencyKey) -> Created[ReturnView]:
    if wish.reason in OPERATORS:
        raise Forbidden("Only an admin can say that a parcel was lost or came back undelivered.")
    order = guests.find_by_link(token, ports().orders)
    with guests.by_link():
        return _return(
            _guests("return", order, wish, caller, key), wish, ports().return_terms, f"/api/orders/guests/{token}"
        )


@app.post("/api/orders/guests/{token}/returns/{return_id}/cancel", role=PUBLIC, capability="token")
def cancel_guest_return(token: str, return_id: str, caller: Caller, key: IdempotencyKey) -> Response[ReturnView]:
    order = guests.find_by_link(token, ports().orders)
    command = _guests(f"cancel {return_id}", order, None, caller, key)
    with guests.by_link():
        return _return_view(return_id, usecases.cancel_return(command, return_id, ports().orders, utc_now()))


@app.post("/api/orders/{order_id}/cancel", role=CUSTOMER)
def cancel_order(order_id: str, wish: CancelOrder, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]:
    return _cancel(_command("cancel", order_id, wish, caller, key), wish, f"/api/orders/{order_id}")


def _cancel(command: usecases.Command, wish: CancelOrder, location: str) -> Accepted[OrderView]:
    done = usecases.cancel_order(command, wish.reason, ports().orders, utc_now())
    answer = Accepted(_order_view(done.order, ports().orders.find_address(command.order_id)), location=location)
    return replayed(answer) if done.replayed else answer


@app.post("/api/orders/{order_id}/payments", role=CUSTOMER)
def pay_again(order_id: str, wish: PayAgain, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]:
    """Answers what the order waits for: another card, or that the buyer has confirmed the payment at the bank. Only
    its buyer may do so.
    """
    command = replace(_command("pay", order_id, wish, caller, key), customer_id=caller.user_id)
    return _pay(command, wish, f"/api/orders/{order_id}")


def _pay(command: usecases.Command, wish: PayAgain, location: str) -> Accepted[OrderView]:
    done = usecases.pay_again(command, wish.payment_token, ports().orders, utc_now())
    answer = Accepted(_order_view(done.order, ports().orders.find_address(command.order_id)), location=location)
    return replayed(answer) if done.replayed else answer


@app.post("/api/orders/{order_id}/returns", role=CUSTOMER)
def return_goods(order_id: str, wish: ReturnGoods, caller: Caller, key: IdempotencyKey) -> Created[ReturnView]:
    """Requests the return of delivered goods: they are refunded once they are received. A request by an admin is
    approved at once.

    Only admins may give `undelivered` or `lost`, which settle the goods of a parcel and refund them at once. Lost goods
    are not restocked.
    """
    if wish.reason in OPERATORS and not caller.is_admin:
        raise Forbidden("Only an admin can say that a parcel was lost or came back undelivered.")
    terms = replace(ports().return_terms, by_staff=caller.is_admin)
    command = _command("return", order_id, wish, caller, key)
    return _return(command, wish, terms, f"/api/orders/{order_id}")


def _return(command: usecases.Command, wish: ReturnGoods, terms: Terms, location: str) -> Created[ReturnView]:
    done = usecases.return_goods(command, wish.as_lines(), wish.reason, terms, ports().orders, utc_now())
    answer = Created(ReturnView.of(done.order.returns[-1]), location=location)
    return replayed(answer) if done.replayed else answer


@app.post("/api/orders/{order_id}/returns/{return_id}/cancel", role=CUSTOMER)
def cancel_return(order_id: str, return_id: str, caller: Caller, key: IdempotencyKey) -> Response[ReturnView]:
    """Until the goods are received. An admin cancels a return whose goods do not come."""
    command = _command(f"cancel {return_id}", order_id, None, caller, key)
    return _return_view(return_id, usecases.cancel_return(command, return_id, ports().orders, utc_now()))


@app.post("/api/orders/{order_id}/returns/{return_id}/approve", role=ADMIN)
def approve_return(order_id: str, return_id: str, caller: Caller, key: IdempotencyKey) -> Response[ReturnView]:
    command = _command(f"approve {return_id}", order_id, None, caller, key)
    return _return_view(return_id, usecases.approve_return(command, return_id, ports().orders, utc_now()))


@app.post("/api/orders/{order_id}/returns/{return_id}/refuse", role=ADMIN)
def refuse_return(
    order_id: str, return_id: str, refusal: RefuseReturn, caller: Caller, key: IdempotencyKey
) -> Response[ReturnView]:
    command = _command(f"refuse {return_id}", order_id, refusal, caller, key)
    done = usecases.refuse_return(command, return_id, refusal.refusal, ports().orders, utc_now())
    return _return_view(return_id, done)


@app.post("/api/orders/{order_id}/returns/{return_id}/receive", role=ADMIN)
def receive_return(
    order_id: str, return_id: str, receipt: ReceiveReturn, caller: Caller, key: IdempotencyKey
) -> Response[ReturnView]:
    """Records what came of an approved return, and refunds it. A return is received once."""
    command = _command(f"receive {return_id}", order_id, receipt, caller, key)
    done = usecases.receive_return(command, return_id, receipt.as_lines(), ports().orders, utc_now())
    return _return_view(return_id, done)


@app.get("/api/orders", role=(CUSTOMER, PEER), limit=WATCH)
def list_orders(query: OrdersQuery, caller: Caller) -> OrderPage:
    if not caller.user_id:
        raise InvalidRequest("A peer asks on behalf of a user: X-User-Id.")
    items, cursor = ports().orders.list_of(caller.user_id, status=query.status, limit=query.limit, cursor=query.cursor)
    return OrderPage(items=[SummaryView.of(summary) for summary in items], next_cursor=cursor)


@app.post("/api/orders/lookup", role=PEER)
def look_up_orders(asked: OrdersOfAddress) -> OrderedView:
    """Whether an order was placed with the e-mail address since a moment, by a guest or by the account that has it."""
    return OrderedView(ordered=guests.has_ordered_since(asked.email, asked.since, orders=ports().orders))


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


@app.get("/api/ops/orders/returns", role=ADMIN, limit=WATCH)
def list_returns(query: ReturnsQuery) -> ReturnPage:
    """Lists the returns of all customers that wait for staff, those that have waited the longest first."""
    items, cursor = ports().orders.list_returns(ReturnStatus(query.state), limit=query.limit, cursor=query.cursor)
    return ReturnPage(items=[OpenReturnView.of(found) for found in items], next_cursor=cursor)


@app.get("/api/ops/orders/days", role=ADMIN, limit=WATCH)
def list_days(query: DaysQuery) -> DaysView:
    """Sums of all orders by day and currency. An order is counted once its saga has confirmed or cancelled it, or waits
    for an operator.
    """
    if not 0 <= (query.last_day - query.first_day).days < MOST_DAYS:
        raise DaysOutOfRange("`to` is at `from` or after it, and at most 365 days later.")
    return DaysView.of(ports().day_sums.between(query.first_day, query.last_day))


@app.get("/api/orders/{order_id}", role=(CUSTOMER, PEER), limit=WATCH)
def get_order(order_id: str, caller: Caller) -> OrderView:
    """Shows an order. `payment.action`, which is what its buyer does at the bank, is shown to the buyer alone."""
    order = usecases.find_order(order_id, orders=ports().orders, customer_id=_whose(caller))
    is_buyer = caller.user_id == order.customer_id
    action = usecases.find_action(order, orders=ports().orders, now=utc_now()) if is_buyer else None
    return _order_view(order, ports().orders.find_address(order_id), action, is_buyer=is_buyer)


@app.put("/api/orders/{order_id}/links/{digest}", role=PEER)
def give_link(order_id: str, digest: str) -> NoContent:
    """Lets the token with this SHA-256 digest open the order of a guest, while it waits for its buyer. Idempotent."""
    guests.give_link(order_id, digest, orders=ports().orders, now=utc_now())
    return NoContent()


@app.get("/api/orders/{order_id}/history", role=CUSTOMER, limit=WATCH)
def get_history(order_id: str, query: HistoryQuery, caller: Caller) -> HistoryView:
    history = usecases.find_history(
        order_id, query.as_of, query.version, orders=ports().orders, customer_id=_whose(caller)
    )
    address = ports().orders.find_address(order_id)
    return HistoryView.of(history, address, query.as_of, ports().return_terms, tells_staff=caller.is_admin)


def _order_view(
    order: Order, address: Address | None, action: Action | None = None, *, is_buyer: bool = False
) -> OrderView:
    return OrderView.of(order, address, ports().return_terms, action, is_buyer=is_buyer)


def _return_view(return_id: str, done: usecases.Done) -> Response[ReturnView]:
    made = done.order.find_return(return_id)
    if made is None:
        raise LookupError(f"order {done.order.id} lost its return {return_id}")
    answer = Response(ReturnView.of(made))
    return replayed(answer) if done.replayed else answer


def _command(action: str, order_id: str, wish: Body | None, caller: Caller, key: str) -> usecases.Command:
    return usecases.Command(order_id, _whose(caller), _request(action, order_id, wish, caller.user_id, key))


def _guests(action: str, order: Order, wish: Body | None, caller: Caller, key: str) -> usecases.Command:
    """A command by the link of a guest's order. It is refused if an account claims the order in between."""
    return usecases.Command(order.id, order.customer_id, _request(action, order.id, wish, caller.user_id, key))


def _request(action: str, order_id: str, wish: Body | None, user_id: str, key: str) -> Request:
    request_id = derived_id(user_id, action, order_id, key)
    return Request(id=request_id, fingerprint=fingerprint(wish.model_dump(mode="json") if wish else None))


def _whose(caller: Caller) -> str | None:
    """None for an admin, and for a peer that asks for itself: they see every order."""
    return None if caller.is_admin or (caller.is_peer and not caller.user_id) else caller.user_id


handler = app.handler
