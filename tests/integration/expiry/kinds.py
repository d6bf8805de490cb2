"""Every kind of item with a time to live: how a test makes one, and which reads and writes of it follow.

`make` writes the items at a moment. `use` reads and writes them at a later one, and returns every result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from carts import usecases as carts
from carts.domain import Cart, CartNotFound, Offer
from carts.store import Carts
from checkout.domain import CheckoutChanged, Session
from checkout.domain import Line as CheckoutLine
from checkout.store import Checkouts
from mercato.errors import AccountClosed, IdempotencyKeyReused
from mercato.events import Event, inbox
from mercato.guests import guest_of
from mercato.http import Created, Response, View
from mercato.http.auth import Caller, Role
from mercato.http.idempotency import Keyed, answer_once
from mercato.http.rate_limit import WINDOW, CountTable
from mercato.ids import derived_id
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.dynamo import Table
from mercato.store.event_store import EventStore
from mercato.store.snapshots import Codec, Snapshots
from notifications.guest_carts import Consent, GuestCarts, LeftLine
from notifications.stops import Reason, Stop, StopNotFound, Stops
from notifications.store import NotificationStore
from notifications.wishes.domain import Asked
from notifications.wishes.guest_store import GuestWishStore
from notifications.wishes.store import WishStore
from ops.health.probe import Probe
from ops.health.store import ProbeStore
from ops.journal.store import Journal, Position
from orders.domain import CartAlreadyOrdered, place
from orders.order import Action, Address, OrderedCart
from orders.order import Line as OrderLine
from orders.store import OrderStore, Wait
from payments.store import PaymentStore
from products.store import Products
from promotions.store import Guesses
from users.one_time_store import OneTimeStore
from users.one_time_token import OneTimeToken, Purpose
from users.passwords.attempt_store import AttemptStore
from users.passwords.attempts import TooManyAttempts, begin
from users.sessions.domain import InvalidRefreshToken, NotNewest, RefreshToken, repeat_successor
from users.sessions.store import SessionStore


@dataclass(frozen=True)
class Kind:
    """`writers` are the functions that write the `ttl`, as module:name."""

    name: str
    table: str
    writers: tuple[str, ...]
    make: Callable[[Table, datetime], object]
    use: Callable[[Table, datetime], object]


class Thing(View):
    name: str


# For these, expired and absent items have the same effect, for the reason that is given.
EXEMPT = {
    "mercato.events.dead_letters:_count": "it outlives the message whose tries it counts, whose id never comes again",
    "ops.scans:Scans.keep": "the scan that reads it is over, by its own clock, a day before",
    "mercato.store.ended_access:end": "the tokens that it refuses have expired long before it does",
    "mercato.events.outbox:record": "its key is an entity's version, which never comes again",
    "notifications.progress:Progress.note": "it outlives the last delivery of the events that it overtakes",
    "notifications.wishes.guest_store:count_mail": "its key is a day, which is over when it expires",
    "notifications.store:NotificationStore.close_account": "the message that it ends has expired long before it does",
    "notifications.store:_item": "what a guest was told outlives the last delivery of the event that told it",
    "notifications.wishes.store:WishStore.follow_stock": "it outlives the last delivery of the event that reads it",
    "notifications.wishes.store:WishStore.tell": "it outlives the last delivery of the event that reads it",
    "mercato.breaker.store:_update": "a circuit whose wait is over lets the next call through, as a closed one does",
}


def _inbox(table: Table, now: datetime) -> object:
    effect = dynamo.put({"pk": "effect", "sk": "of the event"})
    return inbox.is_done(table, "event-1", now), inbox.once(table, "event-1", [effect], now)


def _ask(table: Table, now: datetime, name: str = "lamp") -> Response[Any]:
    asked = Keyed.read("POST /x", Caller(user_id="ada", role=Role.CUSTOMER), "k-1", Thing(name=name))
    return answer_once(asked, table, now, lambda: Created(Thing(name=name), "/x/1"))


def _ask_again(table: Table, now: datetime) -> object:
    try:
        return _ask(table, now, "vase").headers
    except IdempotencyKeyReused as refused:
        return refused.slug()


def _count(table: Table, now: datetime) -> object:
    return CountTable(table.name).take("user:ada", int(now.timestamp()) // WINDOW, 1, allowed=1)


_HEARD = Event(
    specversion="1.0",
    id="event-1",
    source="mercato.orders",
    type="order.created",
    time=datetime(2026, 11, 22, 12, tzinfo=UTC),
    subject="order-1",
    data={},
    correlationid="req-12345678",
)


def _read_journal(table: Table, now: datetime) -> object:
    journal = Journal(table)
    told = [entry.recorded_at for entry in journal.of_request("req-12345678", now)]
    told += [entry.recorded_at for entry in journal.read_newest(limit=9, now=now)[0]]
    told += [entry.recorded_at for entry in journal.read_after(Position(), limit=9, now=now)[0]]
    journal.record(_HEARD, now)
    return told, [entry.recorded_at for entry in journal.read_after(Position(), limit=9, now=now)[0]]


def _guest_wishes(table: Table) -> tuple[GuestWishStore, WishStore]:
    wishes = WishStore(table, NotificationStore(table))
    return GuestWishStore(table, wishes), wishes


def _ask_as_guest(table: Table, now: datetime, wish_id: str = "wish-1") -> Asked:
    asked = Asked(wish_id, "ada@example.com", "mug", "Mug", None)
    _guest_wishes(table)[0].ask(asked, now)
    return asked


def _look_for_asked(table: Table, now: datetime) -> object:
    guests, _ = _guest_wishes(table)
    return guests.find("wish-1", now), guests.claim_mail("wish-1", "claim-1", now)


def _wish_as_guest(table: Table, now: datetime, wish_id: str = "wish-1") -> None:
    _guest_wishes(table)[0].confirm(_ask_as_guest(table, now, wish_id), is_sold_out=True, now=now)


def _wish_again(table: Table, now: datetime) -> object:
    _, wishes = _guest_wishes(table)
    found = [wish.user_id for wish in wishes.iterate("mug", now)]
    _wish_as_guest(table, now, "wish-2")
    return found, [wish.user_id for wish in wishes.iterate("mug", now)]


def _consent(now: datetime) -> Consent:
    return Consent("guest:1", "ada@example.com", None, now)


def _want_reminder(table: Table, now: datetime) -> bool:
    return GuestCarts(table).note(_consent(now), now)


def _refuse_reminders(table: Table, now: datetime) -> None:
    _want_reminder(table, now)
    GuestCarts(table).refuse("guest:1", now)
    GuestCarts(table).drop("guest:1")


def _stop(table: Table, now: datetime) -> object:
    Stops(table).stop(Stop("ada@example.com", Reason.BOUNCE, "NoEmail", now))
    return None


def _stops(table: Table, now: datetime) -> object:
    stops = Stops(table)
    found = stops.find("ada@example.com", now), stops.list_page(limit=9, cursor=None, now=now)[0]
    try:
        stops.release(hashlib.sha256(b"ada@example.com").hexdigest(), now)
    except StopNotFound as missing:
        return found, missing.slug()
    return found, "released"


def _snapshots(table: Table) -> Snapshots[list[int]]:
    return Snapshots(table, "thing", Codec(1, list, list), 5)


def _snapshot(table: Table, now: datetime) -> object:
    loaded = _snapshots(table).load(EventStore(table, "thing"), "a", lambda state, event: [*(state or []), 1])
    return loaded, _snapshots(table).save("a", 5, [1, 2], now)


def _report(table: Table, now: datetime) -> object:
    products = Products(table)
    before = products.get_report("report-1", now)
    products.save_report("report-1", {"created": 2}, now)
    return before, products.get_report("report-1", now)


def _rows(table: Table, now: datetime) -> object:
    Products(table).save_rows("report-1", [{"line": 2, "fields": ["A"]}], now)
    return Products(table).get_rows("report-1", now)


def _rows_again(table: Table, now: datetime) -> object:
    return Products(table).get_rows("report-1", now)


def _list_import(table: Table, now: datetime) -> object:
    Products(table).begin_report("report-1", "u-1", now)
    return None


def _imports(table: Table, now: datetime) -> object:
    return Products(table).list_reports(10, None, now)


def _webhook(table: Table, now: datetime) -> object:
    return PaymentStore(table).is_webhook_done("event-1", now)


def _probe(table: Table, now: datetime) -> None:
    ProbeStore(table).save(Probe("carts", "carts-1", "healthy", "", 5, now))


def _fail_to_log_in(table: Table, now: datetime) -> object:
    """Fails to log in. Returns the counted attempts and the delay after them."""
    attempts = AttemptStore(table)
    before = attempts.read("ada@example.com", "203.0.113.0", now)
    for _ in range(6):
        try:
            begin("ada@example.com", "203.0.113.0", now, attempts)
        except TooManyAttempts as refused:
            return before, refused.detail
    return before, ""


def _log_in(table: Table, now: datetime) -> None:
    attempts = AttemptStore(table)
    attempts.succeed("ada@example.com", "203.0.113.0", begin("ada@example.com", "203.0.113.0", now, attempts), now)


_TOKEN = RefreshToken.make()


def _open_session(table: Table, now: datetime) -> None:
    SessionStore(table).open(_TOKEN, "ada", 0, now + timedelta(days=30))


def _refresh(table: Table, now: datetime) -> object:
    try:
        return SessionStore(table).rotate(_TOKEN, "salt", now).digest
    except NotNewest as refused:
        if refused.family is None:
            return InvalidRefreshToken
        with suppress(InvalidRefreshToken):
            return repeat_successor(refused.family, _TOKEN, now)
        return InvalidRefreshToken


_MAILED = OneTimeToken.make(derived_id("ada"))


def _issue(table: Table, now: datetime) -> None:
    tokens = OneTimeStore(table)
    assert tokens.issue(_MAILED, Purpose.RESET_PASSWORD, "event-1", now, now)
    tokens.mark_sent(_MAILED, Purpose.RESET_PASSWORD, now)


def _issue_again(table: Table, now: datetime) -> object:
    tokens = OneTimeStore(table)
    was_good = tokens.is_good(_MAILED, Purpose.RESET_PASSWORD, now)
    return was_good, tokens.issue(OneTimeToken.make(derived_id("ada")), Purpose.RESET_PASSWORD, "event-1", now, now)


_PRICE = Money(amount=100, currency="GBP")


class _Sells:
    def find(self, product_id: str) -> Offer:
        return Offer(product_id, product_id, _PRICE, 1, is_sold=True)


def _put(table: Table, now: datetime, cart: Cart | None = None, *, product: str = "mug") -> Cart:
    store = Carts(table)
    found = cart or carts.load_customers("ada", "mine", store, now)
    return carts.put_item(found, product, 2, store, _Sells(), now)


_CHECKOUT = Session(id="chk-1", customer_id="ada", lines=(CheckoutLine(product_id="mug", quantity=1),))


def _check_out(table: Table, now: datetime) -> None:
    Checkouts(table).add(_CHECKOUT, now)


def _choose_delivery(table: Table, now: datetime) -> Any:
    """What is found of the checkout, and whether its next version can be written."""
    found = Checkouts(table).find(_CHECKOUT.id, now)
    try:
        Checkouts(table).save(replace(_CHECKOUT, version=2, service="express"), now)
    except CheckoutChanged:
        return found, False
    return found, True


def _guess(table: Table, now: datetime) -> bool:
    return Guesses(table).count({"account:ada": 1}, 1, now)


def _add(table: Table, now: datetime, quantity: int = 2) -> object:
    store = Carts(table)
    mine = carts.load_customers("ada", "mine", store, now)
    return _seen(carts.add_item(mine, "mug", carts.Addition(quantity, "request-1"), store, _Sells(), now))


def _add_again(table: Table, now: datetime) -> object:
    return _add(table, now, 3)


def _guest(table: Table, now: datetime, name: str = "guest-1") -> Cart:
    return Carts(table).open_guest_cart(name, now)


def _find_of_guest(table: Table, now: datetime) -> object:
    return Carts(table).find_of_guest(guest_of("guest-1"), now)


def _seen(cart: Cart) -> object:
    return [(line.product_id, line.quantity, line.unit_price.amount) for line in cart.lines]


def _merge(table: Table, now: datetime) -> object:
    _put(table, now, _guest(table, now, "guest-2"), product="lamp")
    _put(table, now, carts.load_guests("guest-2", Carts(table), now))
    mine = carts.load_customers("ada", "mine", Carts(table), now)
    return _seen(mine), _seen(carts.merge_carts("guest-2", mine, Carts(table), now))


def _close(table: Table, now: datetime) -> None:
    carts.forget_customer("ada", Carts(table), now)


def _put_twice(table: Table, now: datetime) -> object:
    try:
        return _seen(_put(table, now)), _seen(_put(table, now, product="lamp"))
    except AccountClosed:
        return "closed"


def _open_again(table: Table, now: datetime) -> object:
    with suppress(CartNotFound):
        return _seen(_put(table, now, carts.load_guests("guest-1", Carts(table), now), product="lamp"))
    _guest(table, now)
    return _seen(carts.load_guests("guest-1", Carts(table), now))


def _place(table: Table, now: datetime, order_id: str = "order-1") -> None:
    lines = (OrderLine(product_id="mug", sku="MUG", name="Mug", quantity=1, unit_price=_PRICE),)
    cart = OrderedCart(id="cart-1", version=7)
    address = Address(name="Ada", line1="1 St", city="London", postcode="N1", country="GB")
    OrderStore(table).place(order_id, place(order_id, "ada", lines, "tok_ok", "print", cart), address, now)


def _place_again(table: Table, now: datetime) -> object:
    try:
        _place(table, now, "order-2")
    except CartAlreadyOrdered as refused:
        return refused.detail
    return None


def _wait(table: Table, now: datetime, place: str = "2") -> None:
    OrderStore(table).keep_wait("order-1", Wait(f"token-{place}", place, 1, Action(url="/bank/1")), now)


def _wait_again(table: Table, now: datetime) -> object:
    """A late retry of an earlier wait replaces an expired one, which no saga waits on any more."""
    found = OrderStore(table).find_wait("order-1", now)
    _wait(table, now, "1")
    kept = OrderStore(table).find_wait("order-1", now)
    return found and found.task_token, kept and kept.task_token


KINDS = (
    Kind("inbox marker", "OrdersTable", ("mercato.events.inbox:marker",), _inbox, _inbox),
    Kind("answer to a key", "OrdersTable", ("mercato.http.idempotency:_record",), _ask, _ask_again),
    Kind("count of requests", "RateLimitsTable", ("mercato.http.rate_limit:CountTable.take",), _count, _count),
    Kind("snapshot", "OrdersTable", ("mercato.store.snapshots:Snapshots.save",), _snapshot, _snapshot),
    Kind("stopped address", "NotificationsTable", ("notifications.stops:Stops.stop",), _stop, _stops),
    Kind(
        "guest's question",
        "NotificationsTable",
        ("notifications.wishes.guest_store:GuestWishStore.ask",),
        _ask_as_guest,
        _look_for_asked,
    ),
    Kind(
        "guest's wish for a reminder",
        "NotificationsTable",
        ("notifications.guest_carts:GuestCarts.note",),
        _want_reminder,
        lambda table, now: GuestCarts(table).find("guest:1", now),
    ),
    Kind(
        "what a reminder told",
        "NotificationsTable",
        ("notifications.guest_carts:GuestCarts.tell",),
        lambda table, now: table.transact(GuestCarts(table).tell(_consent(now), 1, [LeftLine("mug", "Mug", 1)], now)),
        lambda table, now: (GuestCarts(table).find_told("guest:1", now), _want_reminder(table, now)),
    ),
    Kind(
        "address without reminders",
        "NotificationsTable",
        ("notifications.guest_carts:GuestCarts.refuse",),
        _refuse_reminders,
        _want_reminder,
    ),
    Kind(
        "guest's wish",
        "NotificationsTable",
        ("notifications.wishes.store:_item", "notifications.wishes.guest_store:GuestWishStore.confirm"),
        _wish_as_guest,
        _wish_again,
    ),
    Kind("report of an import", "ProductsTable", ("products.store:Products.save_report",), _report, _report),
    Kind("refused rows", "ProductsTable", ("products.store:Products.save_rows",), _rows, _rows_again),
    Kind("import in the list", "ProductsTable", ("products.store:_listed",), _list_import, _imports),
    Kind(
        "webhook's mark",
        "PaymentsTable",
        ("payments.store:PaymentStore.mark_webhook_done",),
        lambda table, now: PaymentStore(table).mark_webhook_done("event-1", now),
        _webhook,
    ),
    Kind(
        "probe",
        "OpsTable",
        ("ops.health.store:ProbeStore.save",),
        _probe,
        lambda table, now: ProbeStore(table).last(now),
    ),
    Kind(
        "event in the journal",
        "JournalTable",
        ("ops.journal.store:Journal.record", "ops.journal.store:_item"),
        lambda table, now: Journal(table).record(_HEARD, now),
        _read_journal,
    ),
    Kind(
        "failed log-ins",
        "UsersTable",
        ("users.passwords.attempt_store:AttemptStore.count",),
        _fail_to_log_in,
        _fail_to_log_in,
    ),
    Kind(
        "known network", "UsersTable", ("users.passwords.attempt_store:AttemptStore.succeed",), _log_in, _fail_to_log_in
    ),
    Kind("session", "UsersTable", ("users.sessions.store:SessionStore.open",), _open_session, _refresh),
    Kind("one-time token", "UsersTable", ("users.one_time_store:OneTimeStore.issue",), _issue, _issue_again),
    Kind("customer's cart", "CartsTable", ("carts.store:_touch", "carts.store:_line_item"), _put, _merge),
    Kind(
        "guest's cart",
        "CartsTable",
        ("carts.store:Carts.open_guest_cart", "carts.store:Carts._renew"),
        _guest,
        _open_again,
    ),
    Kind("guest's id", "CartsTable", ("carts.store:Carts._note_guest",), _guest, _find_of_guest),
    Kind("checkout", "CheckoutTable", ("checkout.store:_item",), _check_out, _choose_delivery),
    Kind("guesses of codes", "PromotionsTable", ("promotions.store:Guesses.count",), _guess, _guess),
    Kind("mark of an addition", "CartsTable", ("carts.store:_added_mark",), _add, _add_again),
    Kind("closed account's cart", "CartsTable", ("carts.store:Carts.close",), _close, _put_twice),
    Kind("ordered cart", "OrdersTable", ("orders.store:_cart_mark",), _place, _place_again),
    Kind("wait for a buyer", "OrdersTable", ("orders.store:OrderStore.keep_wait",), _wait, _wait_again),
)
