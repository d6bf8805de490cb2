"""Orders in DynamoDB. Only this module and the two that it names know the keys.

Facts and head: mercato.store.event_store, entity `order`; a published fact carries the outbox's `event` itself.
Summary, one row per order, written with its facts: pk=order#<id>, sk=SUMMARY, gsi1pk=CUSTOMER#<customer>,
gsi1sk=<placed at>#<id>. The entry beside it and the index gsi2: orders.staff_list. The sums by day: orders.day_sums.
Snapshots of long orders: mercato.store.snapshots.
Address, the order's only personal data, until it is erased: pk=order#<id>, sk=ADDRESS.
Contact of a guest's order, erased with the address: pk=order#<id>, sk=CONTACT; `mailed_at` once its link was mailed,
`links_given` of its links that peers gave.
Link of a guest's order: pk=LINK#<digest of the token>, sk=LINK.
Orders of guests that no account has claimed, by address: pk=GUEST#<digest of the address>, sk=ORDER#<id>. The account
that claims them, until it is closed: the same pk, sk=CLAIMANT. Its digest: pk=CUSTOMER#<customer>, sk=CLAIMS.
Closed account: pk=CUSTOMER#<customer>, sk=LEFT; `done_to` is the gsi1sk of the last order that was processed for it.
A return that waits for staff: orders.open_returns.
The order of a version of a cart: pk=CUSTOMER#<customer>, sk=CART#<cart>#<version>.
The order of a number: pk=NUMBER#<number>, sk=NUMBER. It is written with the order's first fact, and is for ever.
The saga's wait for the buyer, while it lasts: pk=order#<id>, sk=WAIT.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from mercato.clock import epoch, in_milliseconds, rfc3339
from mercato.dataclass import dataclass
from mercato.errors import AccountClosed, TransientError
from mercato.events import MAX_BYTES
from mercato.events.outbox import EventTooLarge, encode
from mercato.ids import new_id
from mercato.money import Money
from mercato.store import dynamo, expiry
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from mercato.store.event_store import NO_STREAM, EventStore
from mercato.store.item_size import AppendTooLarge
from mercato.store.retry import retry_on_conflict
from mercato.store.snapshots import EVERY, Codec, Snapshots
from mercato.store.stored_event import NewEvent, StoredEvent
from orders.domain import CartAlreadyOrdered, OrderTooLarge, with_number
from orders.events import announcement
from orders.facts import Fact, OrderAnonymised, OrderClaimed, OrderConfirmed, OrderPlaced, Recorded, apply, read_fact
from orders.links import MOST_GIVEN, LinkNotFound, TooManyLinks, address_digest
from orders.numbers import draw_number
from orders.open_returns import OpenReturn, OpenReturns, return_items, return_writes
from orders.order import Action, Address, Contact, Guest, Order, OrderedCart, PaymentStatus, ReturnStatus, Status
from orders.staff_list import StaffList, Wanted, customer_of, entry_item, entry_key, number_key, status_keys

_SERVICE = "orders"
_CART_KEPT = timedelta(days=90)  # as long as an unused cart
_WAIT_KEPT = timedelta(hours=1)  # longer than any reservation that is not kept
_SCHEMA = 1
_STATE = 8  # increase it when Order, or how a fact changes it, changes
_ATTEMPTS = 5
_MOST_NUMBERS = 5  # drawn for one order: with a billion orders, all are taken once in 10^22 times
_READ_AT_ONCE = 100
_MOST_READS = 10
# The most bytes that order.confirmed has beyond order.created: an address of 710 letters of four bytes each, and the
# trace of the confirming request. Every other event of an order, and what its consumers store of it, is smaller.
_ADDRESS = 5120
_TOO_LARGE = "The names of these products are too long for one order; please order them in several."


@dataclass(frozen=True)
class Wait:
    """The saga waits on `task_token` for an answer to an attempt. `place` grows with each new wait and retry.

    `action` is what the buyer does at the bank. It is not a fact of the order, since its secret is for the buyer only.
    """

    task_token: str = field(repr=False)
    place: str
    attempt: int
    action: Action = field(repr=False)


@dataclass(frozen=True)
class Summary:
    """An order in a list."""

    order_id: str
    customer_id: str
    status: Status
    payment_status: PaymentStatus
    reason: str | None
    total: Money
    line_count: int
    placed_at: datetime
    updated_at: datetime
    version: int
    number: str | None


@dataclass(frozen=True)
class Rebuilt:
    """`was_right`: the summary row matched the events before. `equal`: row and snapshots match them now.

    Without `events` there is no such order, but a row or snapshots existed, which is never right.
    """

    events: int
    snapshots_dropped: int
    snapshots_made: int
    was_right: bool
    equal: bool


class _NumberTaken(Exception):
    """Another order has this number."""


class OrderStore:
    """An order gets a snapshot every `snapshot_every` facts. `draw` makes order numbers."""

    def __init__(self, table: Table, snapshot_every: int = EVERY, draw: Callable[[], str] = draw_number) -> None:
        self._table = table
        self._draw = draw
        self._streams = EventStore(table, "order")
        self._snapshots = Snapshots(table, "order", Codec(_STATE, _dump, _restore), snapshot_every)
        self._snapshot_every = snapshot_every

    def load(self, order_id: str, *, up_to: int | None = None) -> Order | None:
        """The order as the fold of its facts; with `up_to`, at that version."""
        if up_to is None:
            return self._snapshots.load(self._streams, order_id, _apply)[0]
        return self._fold(order_id, up_to)

    def history(self, order_id: str) -> list[Recorded]:
        return [_recorded(stored) for stored in self._streams.read(order_id)]

    def place(
        self, order_id: str, facts: Sequence[Fact], address: Address, now: datetime, guest: Guest | None = None
    ) -> Order:
        """Writes a new order with a number of its own, its address, and the mark on the cart that it names; for a guest
        the contact and the link too. Raises ConcurrencyError if the order exists, CartAlreadyOrdered if another order
        has the mark, and AccountClosed.
        """
        return retry_on_conflict(
            self._draw,
            lambda number: self._place(order_id, with_number(facts, number), address, now, guest),
            conflict=_NumberTaken,
            attempts=_MOST_NUMBERS,
            exhausted="all drawn order numbers are taken",
        )

    def _place(
        self, order_id: str, facts: Sequence[Fact], address: Address, now: datetime, guest: Guest | None
    ) -> Order:
        kept = dynamo.put({"pk": _pk(order_id), "sk": "ADDRESS"} | address.model_dump())
        placed = next(fact for fact in facts if isinstance(fact, OrderPlaced))
        is_open = dynamo.check(f"CUSTOMER#{placed.customer_id}", "LEFT", "attribute_not_exists(pk)")
        marks = [_cart_mark(placed, placed.cart, now)] if placed.cart else []
        try:
            writes = [kept, is_open, *marks, *_number_claim(placed), *(_guest_items(order_id, guest) if guest else [])]
            return self._append(order_id, None, facts, now, writes, guest.contact if guest else None)
        except ConditionFailed as failed:
            match (failed.item or {})["sk"]:
                case "LEFT":
                    raise AccountClosed("The account is closed.") from None
                case "NUMBER":
                    raise _NumberTaken from None
            raise CartAlreadyOrdered((failed.item or {})["order_id"]) from None

    def append(self, order_id: str, before: Order, facts: Sequence[Fact], now: datetime) -> Order:
        """The order after these facts. Raises ConcurrencyError if `before` is stale."""
        erased = self._erase_address(order_id) if any(isinstance(fact, OrderAnonymised) for fact in facts) else []
        return self._append(order_id, before, facts, now, erased)

    def hand_over(self, before: Order, claimed: OrderClaimed, now: datetime) -> Order | None:
        """The order after the claim, out of the list of its address. None, and nothing written, if the account that
        claims it is closed. Raises ConcurrencyError if `before` is stale.
        """
        contact = self.find_contact(before.id)
        is_open = dynamo.check(f"CUSTOMER#{claimed.customer_id}", "LEFT", "attribute_not_exists(pk)")
        listed = [dynamo.delete(*_listed(before.id, address_digest(contact.email)))] if contact else []
        try:
            return self._append(before.id, before, [claimed], now, [is_open, *listed])
        except ConditionFailed:
            return None

    def find_contact(self, order_id: str) -> Contact | None:
        """None for an order of an account, and after the contact is erased."""
        item = self._table.get(_pk(order_id), "CONTACT")
        return Contact.model_validate(item) if item else None

    def was_mailed(self, order_id: str) -> bool:
        return "mailed_at" in (self._table.get(_pk(order_id), "CONTACT") or {})

    def mark_mailed(self, order_id: str, now: datetime) -> None:
        """Changes nothing after the contact is erased."""
        values = {":now": rfc3339(now)}
        with suppress(ConditionFailed):
            self._table.write(
                dynamo.update(_pk(order_id), "CONTACT", "SET mailed_at = :now", "attribute_exists(pk)", values=values)
            )

    def add_link(self, order_id: str, digest: str) -> None:
        self._table.write(dynamo.put(_link(order_id, digest)))

    def give_link(self, order_id: str, digest: str) -> None:
        """Adds a link that a peer gives. Idempotent. Raises TooManyLinks, and LinkNotFound for an erased contact."""
        counted = dynamo.update(
            _pk(order_id),
            "CONTACT",
            "ADD links_given :one",
            "attribute_exists(pk) AND (attribute_not_exists(links_given) OR links_given < :most)",
            values={":one": 1, ":most": MOST_GIVEN},
        )
        try:
            self._table.transact([counted, dynamo.put_new(_link(order_id, digest))])
        except ConditionFailed as failed:
            if self.find_linked(digest) == order_id:
                return
            if failed.index == 0 and failed.item:
                raise TooManyLinks from None
            raise LinkNotFound("There is no such order of a guest.") from None  # or the link is another order's

    def find_linked(self, digest: str) -> str | None:
        """The id of the order that has the link."""
        item = self._table.get(f"LINK#{digest}", "LINK")
        return str(item["order_id"]) if item else None

    def ids_of_address(self, address: str) -> Iterator[str]:
        """The orders of guests with this address that no account has claimed."""
        for item in self._table.query_all(f"GUEST#{address}", KeyRange(prefix="ORDER#")):
            yield item["order_id"]

    def was_placed_since(self, order_ids: Iterable[str], moment: datetime) -> bool:
        """Whether one of these orders was."""
        found = self._table.get_many((_pk(order_id), "SUMMARY") for order_id in order_ids)
        return any(_summary(item).placed_at >= moment for item in found)

    def ordered_since(self, customer_id: str, moment: datetime) -> bool:
        newest, _ = self.list_of(customer_id, status=None, limit=1, cursor=None)
        return any(order.placed_at >= moment for order in newest)

    def find_claimant(self, address: str) -> str | None:
        item = self._table.get(f"GUEST#{address}", "CLAIMANT")
        return str(item["customer_id"]) if item else None

    def note_claimant(self, address: str, customer_id: str) -> None:
        """One account at a time has an address. A closed one is not noted. Raises TransientError while the account that
        had the address before is open: its closing has not come here yet.
        """
        before = self.find_claimant(address)
        if before not in (None, customer_id) and not self.has_left(before):
            raise TransientError("another account has claimed this address and is not closed here yet")
        condition, values = "attribute_not_exists(pk)", {":me": customer_id}
        if before is not None:
            condition, values = "customer_id = :before", values | {":before": before}
        writes = [
            dynamo.check(f"CUSTOMER#{customer_id}", "LEFT", "attribute_not_exists(pk)"),
            dynamo.update(f"GUEST#{address}", "CLAIMANT", "SET customer_id = :me", condition, values=values),
            dynamo.put({"pk": f"CUSTOMER#{customer_id}", "sk": "CLAIMS", "address": address}),
        ]
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            if failed.index:
                raise TransientError("another account claims this address at the same time") from None

    def forget_claim(self, customer_id: str) -> None:
        """Deletes the digest of a closed account's address, by which its orders could be told from it. Idempotent."""
        noted = self._table.get(f"CUSTOMER#{customer_id}", "CLAIMS")
        if noted is None:
            return
        with suppress(ConditionFailed):  # another account has the address by now
            mine = {":me": customer_id}
            self._table.write(dynamo.delete(f"GUEST#{noted['address']}", "CLAIMANT", "customer_id = :me", values=mine))
        self._table.write(dynamo.delete(f"CUSTOMER#{customer_id}", "CLAIMS"))

    def find_address(self, order_id: str) -> Address | None:
        """None for an unknown order, and after the address is erased."""
        item = self._table.get(_pk(order_id), "ADDRESS")
        return Address.model_validate(item) if item else None

    def keep_wait(self, order_id: str, wait: Wait, now: datetime) -> None:
        """Stores what the saga waits on. A late retry of an earlier wait changes nothing."""
        kept = dynamo.put(
            {
                "pk": _pk(order_id),
                "sk": "WAIT",
                "task_token": wait.task_token,
                "place": wait.place,
                "attempt": wait.attempt,
                "action": wait.action.model_dump(),
                "ttl": epoch(now + _WAIT_KEPT),
            },
            f"{expiry.ABSENT} OR place <= :place",
            names=expiry.NAMES,
            values=expiry.at(now) | {":place": wait.place},
        )
        with suppress(ConditionFailed):
            self._table.write(kept)

    def find_wait(self, order_id: str, now: datetime) -> Wait | None:
        item = expiry.live(self._table.get(_pk(order_id), "WAIT"), now)
        if item is None:
            return None
        return Wait(item["task_token"], item["place"], item["attempt"], Action.model_validate(item["action"]))

    def note_departure(self, customer_id: str, now: datetime) -> str:
        """Records that the account is closed. Returns the place of the last processed order, "" at first."""
        noted = dynamo.update(
            f"CUSTOMER#{customer_id}",
            "LEFT",
            "SET left_at = if_not_exists(left_at, :now)",
            values={":now": rfc3339(now)},
        )
        found = self._table.write(noted, return_values="ALL_NEW")
        return str(found.get("done_to", "")) if found else ""

    def note_progress(self, customer_id: str, place: str) -> None:
        """Only moves forward: of two concurrent runs the one that is further wins."""
        further = "attribute_exists(pk) AND (attribute_not_exists(done_to) OR done_to < :place)"
        done = dynamo.update(
            f"CUSTOMER#{customer_id}", "LEFT", "SET done_to = :place", further, values={":place": place}
        )
        with suppress(ConditionFailed):
            self._table.write(done)

    def has_left(self, customer_id: str) -> bool:
        return self._table.get(f"CUSTOMER#{customer_id}", "LEFT") is not None

    def ids_of(self, customer_id: str, after: str) -> Iterator[tuple[str, str]]:
        """The id of each order after a place, with its own place, oldest first. "" is before all."""
        for item in self._table.query_all(f"CUSTOMER#{customer_id}", KeyRange(after=after or None), index="gsi1"):
            yield item["order_id"], item["gsi1sk"]

    def _erase_address(self, order_id: str) -> list[Write]:
        """Deletes the address and a guest's contact, also from the stored events that have them: the relay published
        them long ago.
        """
        contact = [dynamo.delete(_pk(order_id), "CONTACT")] if self.find_contact(order_id) else []
        named = {OrderConfirmed.__name__, *([OrderPlaced.__name__] if contact else [])}
        versions = [stored.version for stored in self._streams.read(order_id) if stored.type in named]
        silenced = (self._streams.silence(order_id, one) for one in versions)
        return [dynamo.delete(_pk(order_id), "ADDRESS"), *contact, *silenced]

    def _append(
        self,
        order_id: str,
        before: Order | None,
        facts: Sequence[Fact],
        now: datetime,
        alongside: list[Write],
        contact: Contact | None = None,
    ) -> Order:
        order, events = before, []
        now = in_milliseconds(now)  # as stored in events, so that a fold returns this same order
        now = max(now, before.updated_at) if before else now  # clocks differ, but the timeline must not go back
        for fact in facts:
            order = apply(order, fact, now)
            person = self.find_address(order_id) if isinstance(fact, OrderConfirmed) else None
            events.append(_new_event(order, fact, contact if isinstance(fact, OrderPlaced) else person, now))
        if order is None:
            raise ValueError("an order begins with a fact")
        expected = before.version if before else NO_STREAM
        try:
            rows = [dynamo.put(_summary_item(order)), *([] if before else [dynamo.put(entry_item(order))])]
            rows += return_writes(before, order)
            self._streams.append(order_id, expected, events, alongside=[*rows, *alongside])
        except AppendTooLarge as error:
            raise OrderTooLarge(f"{_TOO_LARGE} ({error})") from None
        self._snapshots.keep(order_id, expected, order.version, order, now)
        return order

    def rebuild(self, order_id: str, now: datetime) -> Rebuilt | None:
        """Deletes snapshots and summary row, and makes them again from the events. None if there is nothing stored at
        all.

        Orders may change during it: the row is conditional on the version that was read, and the fold is repeated if
        the order has changed. Raises TransientError if it changes at every attempt.
        """
        dropped = 0
        for _ in range(_ATTEMPTS):
            dropped += self._snapshots.drop(order_id)
            order = self._fold(order_id)
            version = order.version if order else NO_STREAM
            stored, right = self._rows(order_id), _rows_of(order)
            was_right = stored == right
            kept = {(row["pk"], row["sk"]) for row in right}
            stale = [(row["pk"], row["sk"]) for row in stored if (row["pk"], row["sk"]) not in kept]
            rows = [*(dynamo.delete(*key) for key in stale), *(dynamo.put(row) for row in right)]
            try:
                self._table.transact([self._streams.is_still_at(order_id, version), *rows])
            except ConditionFailed:
                continue
            if order is None:
                if was_right and not dropped:
                    return None
                return Rebuilt(0, dropped, 0, was_right=False, equal=self._is_right(order_id, None))
            made = version >= self._snapshot_every and self._snapshots.save(order_id, version, order, now)
            return Rebuilt(version, dropped, int(made), was_right, self._is_right(order_id, order))
        raise TransientError(f"order {order_id} changes too often")

    def _is_right(self, order_id: str, order: Order | None) -> bool:
        """True if the summary row and snapshots match a fold of the events. Re-reads if the order changed
        during the check.
        """
        for _ in range(_ATTEMPTS):
            if self._rows(order_id) == _rows_of(order) and self.load(order_id) == order:
                return True
            latest = self._fold(order_id)
            if latest == order:
                return False
            order = latest
        raise TransientError(f"order {order_id} changes too often")

    def _rows(self, order_id: str) -> list[Item]:
        keys = [(_pk(order_id), "SUMMARY"), entry_key(order_id)]
        rows = [item for key in keys if (item := self._table.get(*key))]
        return [*rows, *OpenReturns(self._table).rows_of(order_id)]

    def _fold(self, order_id: str, up_to: int | None = None) -> Order | None:
        """The order as the fold of its events, without a snapshot."""
        order: Order | None = None
        for stored in self._streams.read(order_id, up_to=up_to):
            order = _apply(order, stored)
        return order

    def list_of(
        self, customer_id: str, *, status: Status | None, limit: int, cursor: str | None
    ) -> tuple[list[Summary], str | None]:
        """Newest first. Filters by status while reading, so a page may hold fewer orders after a limited number
        of reads.
        """
        partition = f"CUSTOMER#{customer_id}"
        start = decode_cursor(cursor, gsi1pk=partition)
        found: list[Item] = []
        for _ in range(_MOST_READS):
            at_once = limit + 1 if status is None else _READ_AT_ONCE
            page = self._table.query(partition, KeyRange(forward=False), index="gsi1", limit=at_once, start=start)
            for item in page.items:
                if status is None or item["status"] == status:
                    found.append(item)
                if len(found) == limit:
                    more = page.next_key is not None or item is not page.items[-1]
                    return [_summary(one) for one in found], encode_cursor(_key(item)) if more else None
            start = page.next_key
            if start is None:
                break
        return [_summary(one) for one in found], encode_cursor(start)

    def list_for_staff(self, wanted: Wanted, *, limit: int, cursor: str | None) -> tuple[list[Summary], str | None]:
        """Orders of all customers: see StaffList.find_page."""
        rows, following = StaffList(self._table).find_page(wanted, limit=limit, cursor=cursor)
        return [_summary(row) for row in rows], following

    def list_returns(
        self, status: ReturnStatus, *, limit: int, cursor: str | None
    ) -> tuple[list[OpenReturn], str | None]:
        """Open returns of all customers: see OpenReturns.find_page."""
        return OpenReturns(self._table).find_page(status, limit=limit, cursor=cursor)


def _apply(order: Order | None, stored: StoredEvent) -> Order:
    return apply(order, read_fact(stored.type, stored.data), stored.at)


@functools.cache
def _adapter() -> TypeAdapter[Order]:
    return TypeAdapter(Order)


def _dump(order: Order) -> Any:
    return _adapter().dump_python(order, mode="json")


def _restore(data: Any) -> Order:
    return _adapter().validate_python(data)


def _pk(order_id: str) -> str:
    return f"order#{order_id}"


def _cart_mark(placed: OrderPlaced, cart: OrderedCart, now: datetime) -> Write:
    key = {"pk": f"CUSTOMER#{placed.customer_id}", "sk": f"CART#{cart.id}#{cart.version}"}
    return expiry.put_new(key | {"order_id": placed.order_id, "ttl": epoch(now + _CART_KEPT)}, now)


def _number_claim(placed: OrderPlaced) -> list[Write]:
    if placed.number is None:
        return []
    pk, sk = number_key(placed.number)
    return [dynamo.put_new({"pk": pk, "sk": sk, "order_id": placed.order_id})]


def _guest_items(order_id: str, guest: Guest) -> list[Write]:
    pk, sk = _listed(order_id, address_digest(guest.contact.email))
    return [
        dynamo.put({"pk": _pk(order_id), "sk": "CONTACT"} | guest.contact.model_dump()),
        dynamo.put({"pk": pk, "sk": sk, "order_id": order_id}),
        dynamo.put(_link(order_id, guest.link)),
    ]


def _listed(order_id: str, address: str) -> tuple[str, str]:
    return f"GUEST#{address}", f"ORDER#{order_id}"


def _link(order_id: str, digest: str) -> Item:
    return {"pk": f"LINK#{digest}", "sk": "LINK", "order_id": order_id}


def _new_event(order: Order, fact: Fact, person: Address | Contact | None, now: datetime) -> NewEvent:
    event_id = new_id(now)
    public = announcement(order, fact, person)
    try:
        text = public and encode(
            public, service=_SERVICE, subject=order.id, event_id=event_id, sequence=order.version, now=now
        )
    except EventTooLarge as error:
        raise OrderTooLarge(f"{_TOO_LARGE} ({error})") from None
    if text and order.version == 1 and len(text.encode()) > MAX_BYTES - _ADDRESS:
        size = len(text.encode())
        raise OrderTooLarge(f"{_TOO_LARGE} (its lines take {size} bytes; {MAX_BYTES - _ADDRESS} is the most)")
    return NewEvent(event_id, type(fact).__name__, _SCHEMA, now, fact.model_dump(mode="json"), text or None)


def _recorded(stored: StoredEvent) -> Recorded:
    return Recorded(stored.version, stored.at, read_fact(stored.type, stored.data), stored.correlation_id, stored.actor)


def _rows_of(order: Order | None) -> list[Item]:
    return [_summary_item(order), entry_item(order), *return_items(order)] if order else []


def _summary_item(order: Order) -> Item:
    placed_at = rfc3339(order.placed_at)
    numbered = {"number": order.number} if order.number else {}  # rows of earlier releases stay as they are
    return (
        {
            "pk": _pk(order.id),
            "sk": "SUMMARY",
            "gsi1pk": f"CUSTOMER#{order.customer_id}",
            "gsi1sk": f"{placed_at}#{order.id}",
            "order_id": order.id,
            "status": order.status.value,
            "payment_status": order.payment_status.value,
            "reason": order.reason,
            "total": order.total.model_dump(),
            "line_count": len(order.lines),
            "placed_at": placed_at,
            "updated_at": rfc3339(order.updated_at),
            "version": order.version,
        }
        | numbered
        | status_keys(order)
    )


def _summary(item: dict[str, Any]) -> Summary:
    return Summary(
        order_id=item["order_id"],
        customer_id=customer_of(item),
        status=Status(item["status"]),
        payment_status=PaymentStatus(item["payment_status"]),
        reason=item["reason"],
        total=Money(**item["total"]),
        line_count=item["line_count"],
        placed_at=datetime.fromisoformat(item["placed_at"]),
        updated_at=datetime.fromisoformat(item["updated_at"]),
        version=item["version"],
        number=item.get("number"),
    )


def _key(item: Item) -> Item:
    return {name: item[name] for name in ("pk", "sk", "gsi1pk", "gsi1sk")}
