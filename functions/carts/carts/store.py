"""Carts in DynamoDB. Each line is one item. The last known state of a product is one item for all carts.

    CART#<id>      CART           the head: the owner, the time of the last change, and the version, which increases
                                  with each change. A customer's head, and that of a guest who wants to be reminded
                                  (`watched`), is in gsi1 under IDLE#<day>#<0-3> for the sweeper, by the time of the
                                  change, until it is published. Four shards, since every change writes there
    CART#<id>      LINE#<product> a line, with the price at which it was put in
    GUEST#<guest>  CART           the secret id of the cart of a guest, by the guest's id, which orders have
    ADDED#<request> ADDED         the mark of a request that has added units, for longer than its key is good for
    PRODUCT#<id>   LATEST         the product's price and stock as of the last event. Reads show a line at this
                                  price, so a new price is one write and reaches every line wherever it moves.
                                  Never removed: there are as many as there are products. (One of an earlier
                                  release has a ttl, which the next event removes.)

The head of a closed account's cart stays for an hour with `closed_at` alone, since an access token of the account may
still be valid.

The head expires KEPT_FOR after the last change. A change renews the lines that would expire within a week after the
head. Each change is conditional on the version that was read, so that two concurrent changes cannot both pass a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from zlib import crc32

from carts.domain import KEPT_FOR, Cart, CartNotFound, Latest, Line, at_latest
from mercato.clock import epoch, rfc3339
from mercato.errors import AccountClosed
from mercato.guests import guest_of
from mercato.money import Money
from mercato.store import dynamo, expiry
from mercato.store.attributes import Item
from mercato.store.dynamo import MAX_TRANSACTION, ConditionFailed, Table, Write
from mercato.store.expiry import ABSENT, LIVE, NAMES, at, is_live, live
from mercato.store.retry import retry_on_conflict

SHARDS = 4
# Moving a line takes two writes, and the head one.
MOVED_AT_ONCE = (MAX_TRANSACTION - 1) // 2
_RENEWED_AFTER = timedelta(days=7)
_MARK_KEPT = timedelta(days=3)  # an Idempotency-Key is good for two
_CLOSED_FOR = timedelta(hours=1)  # an access token lives for 15 minutes
_HEAD, _LATEST = "CART", "LATEST"
_ATTEMPTS = 8


class CartMoved(Exception):
    """Another request changed the cart since it was read; nothing was written."""


class AlreadyAdded(Exception):
    """This request has added its units before. Nothing was written."""


class ProductMoved(Exception):
    """The catalogue has a newer entry of the product: `latest`. Nothing was written."""

    def __init__(self, latest: Latest) -> None:
        super().__init__("the product is at a later version")
        self.latest = latest


def _added_mark(request_id: str, now: datetime) -> Write:
    mark = {"pk": f"ADDED#{request_id}", "sk": "ADDED", "ttl": epoch(now + _MARK_KEPT)}
    return expiry.put_new(mark, now)


def cart_key(cart_id: str) -> str:
    return f"CART#{cart_id}"


def line_key(product_id: str) -> str:
    return f"LINE#{product_id}"


def idle_partition(day: date, shard: int) -> str:
    return f"IDLE#{day.isoformat()}#{shard}"


def shard_of(cart_id: str) -> int:
    return crc32(cart_id.encode()) % SHARDS


class Carts:
    def __init__(self, table: Table) -> None:
        self._table = table

    def open_guest_cart(self, cart_id: str, now: datetime) -> Cart:
        head = {"pk": cart_key(cart_id), "sk": _HEAD, "version": 1}
        with suppress(ConditionFailed):  # a retry of this write after a lost response
            self._table.write(expiry.put_new(head | {"ttl": epoch(now + KEPT_FOR)}, now))
        self._note_guest(cart_id, now)
        return Cart(cart_id, version=1)

    def find_of_guest(self, guest_id: str, now: datetime) -> Cart | None:
        """The cart of the guest with this id. None where it has expired or is merged into a customer's."""
        found = live(self._table.get(_guest_key(guest_id), _HEAD), now)
        with suppress(CartNotFound):
            return self.load_guests(found["cart_id"], now) if found else None
        return None

    def _note_guest(self, cart_id: str, now: datetime) -> None:
        pointer = {"pk": _guest_key(guest_of(cart_id)), "sk": _HEAD, "cart_id": cart_id}
        self._table.write(dynamo.put(pointer | {"ttl": epoch(now + KEPT_FOR)}))

    def load_guests(self, cart_id: str, now: datetime) -> Cart:
        """Raises CartNotFound for a cart that does not exist, or has expired."""
        head, lines, latest = self._read(cart_id, now)
        if head is None or "merged_into" in head:
            raise CartNotFound("There is no such cart.")
        return Cart(cart_id, lines=lines, version=head["version"], latest=latest, is_watched="watched" in head)

    def watch(self, cart_id: str, now: datetime) -> None:
        """Has the guest's cart published once it is idle from now on. Idempotent. Raises CartNotFound.

        A cart that was published already gets its next version, and is published once more.
        """

        def load() -> Item:
            head = live(self._table.get(cart_key(cart_id), _HEAD), now)
            if head is None or "merged_into" in head:
                raise CartNotFound("There is no such cart.")
            return head

        def write(head: Item) -> None:
            seen, was_published = head["version"], "watched" in head and "gsi1pk" not in head
            partition, sort = _idle_keys(cart_id, now)
            values = {
                ":yes": True,
                ":partition": partition,
                ":sort": sort,
                ":seen": seen,
                ":next": seen + was_published,
            }
            watched = dynamo.update(
                cart_key(cart_id),
                _HEAD,
                "SET watched = :yes, version = :next, gsi1pk = :partition, gsi1sk = :sort",
                f"version = :seen AND {LIVE} AND attribute_not_exists(merged_into)",
                names=NAMES,
                values=at(now) | values,
            )
            try:
                self._table.write(watched)
            except ConditionFailed:
                raise CartMoved from None

        retry_on_conflict(
            load, write, conflict=CartMoved, attempts=_ATTEMPTS, exhausted="the cart to be watched changes too often"
        )

    def load_customers(self, cart_id: str, customer_id: str, now: datetime) -> Cart:
        """Returns an empty cart for a customer without one. Raises AccountClosed."""
        head, lines, latest = self._read(cart_id, now)
        if head and "closed_at" in head:
            raise AccountClosed("The account is closed.")
        return Cart(cart_id, customer_id, lines, head["version"] if head else 0, latest)

    def load_again(self, cart: Cart, now: datetime) -> Cart:
        """Raises CartNotFound."""
        if cart.customer_id:
            return self.load_customers(cart.cart_id, cart.customer_id, now)
        return self.load_guests(cart.cart_id, now)

    def put_line(self, cart: Cart, line: Line, now: datetime, request_id: str = "") -> Cart:
        """The cart with the line. With a `request_id`, only once for this request. Raises CartNotFound, CartMoved,
        ProductMoved and AlreadyAdded.
        """
        latest = dynamo.check(
            _product_key(line.product_id),
            _LATEST,
            "attribute_not_exists(price_version) OR price_version <= :version",
            values={":version": line.price_version},
        )
        after, touch = _touch(cart, now)
        put = dynamo.put(_line_item(after, line, now))
        mark = [_added_mark(request_id, now)] if request_id else []
        try:
            self._table.transact([touch, latest, put, *mark])
        except ConditionFailed as failed:
            if failed.index == 0:
                raise _why_not_touched(cart, failed, now) from None
            if failed.index == 3:
                raise AlreadyAdded from None
            raise ProductMoved(_to_latest(failed.item or {})) from None
        self._renew(cart.without_line(line.product_id), now)
        if not cart.customer_id:
            self._note_guest(cart.cart_id, now)
        return after.with_line(line)

    def remove_line(self, cart: Cart, product_id: str, now: datetime) -> Cart:
        """The cart without the line. Raises CartNotFound and CartMoved."""
        after, touch = _touch(cart, now)
        try:
            self._table.transact([touch, dynamo.delete(cart_key(cart.cart_id), line_key(product_id))])
        except ConditionFailed as failed:
            raise _why_not_touched(cart, failed, now) from None
        self._renew(cart.without_line(product_id), now)
        return after.without_line(product_id)

    def claim(self, guest_cart_id: str, cart_id: str, now: datetime) -> None:
        """Closes the guest's cart, so that only `cart_id` may take its lines. Raises CartNotFound."""
        free = f"attribute_exists(pk) AND {LIVE} AND (attribute_not_exists(merged_into) OR merged_into = :cart)"
        values = at(now) | {":cart": cart_id}
        update = dynamo.update(
            cart_key(guest_cart_id), _HEAD, "SET merged_into = :cart", free, names=NAMES, values=values
        )
        try:
            self._table.write(update)
        except ConditionFailed:
            raise CartNotFound("There is no such cart to merge.") from None

    def lines_of(self, cart_id: str, now: datetime) -> tuple[Line, ...]:
        return self._read(cart_id, now)[1]

    def move_lines(
        self, guest_cart_id: str, cart: Cart, moves: Sequence[tuple[Line, Line | None, Line]], now: datetime
    ) -> bool:
        """Each move is the guest's line, the customer's line if there is one, and the merged line.

        Returns False and writes nothing if one of them has changed since it was read.
        """
        after, touch = _touch(cart, now)
        writes = [touch]
        for guests, mine, merged in moves:
            as_read, values = _unchanged(guests)
            key = cart_key(guest_cart_id), line_key(guests.product_id)
            writes.append(dynamo.delete(*key, as_read, values=values))
            item = _line_item(after, merged, now)
            if mine is not None:
                as_read, values = _unchanged(mine)
                writes.append(dynamo.put(item, as_read, values=values))
                continue
            # The line of a discontinued product is hidden, but may still be stored.
            free, gone_at = f"{ABSENT} OR price_version < :gone_at", cart.known(merged.product_id).gone_at
            writes.append(dynamo.put(item, free, names=NAMES, values=at(now) | {":gone_at": gone_at}))
        try:
            self._table.transact(writes)
        except ConditionFailed:
            return False
        return True

    def note_price(self, product_id: str, price: Money, version: int) -> None:
        """A stale event changes nothing."""
        values = {":amount": price.amount, ":currency": price.currency, ":version": version}
        self._note(
            product_id, "SET amount = :amount, currency = :currency, price_version = :version REMOVE #ttl", values
        )

    def note_gone(self, product_id: str, version: int) -> None:
        """Marks the product as discontinued. A stale event changes nothing."""
        expression = "SET price_version = :version, gone_at = :version REMOVE amount, currency, #ttl"
        self._note(product_id, expression, {":version": version})

    def note_stock(self, product_id: str, available: int | None, sequence: int) -> None:
        """A stale event changes nothing."""
        newer = "attribute_not_exists(stock_sequence) OR stock_sequence < :sequence"
        values = {":available": available, ":sequence": sequence}
        expression = "SET available = :available, stock_sequence = :sequence REMOVE #ttl"
        key = _product_key(product_id), _LATEST
        self._write_if_so(dynamo.update(*key, expression, newer, names=NAMES, values=values))

    def drop_line_unless_changed(self, cart_id: str, line: Line) -> None:
        condition, values = "changed_at = :changed_at", {":changed_at": rfc3339(line.changed_at)}
        self._write_if_so(dynamo.delete(cart_key(cart_id), line_key(line.product_id), condition, values=values))

    def close(self, cart_id: str, now: datetime) -> None:
        """Erases the cart of a closed account and refuses requests that are still running. Idempotent."""
        closed = {"pk": cart_key(cart_id), "sk": _HEAD, "version": epoch(now), "closed_at": rfc3339(now)}
        self._table.write(dynamo.put(closed | {"ttl": epoch(now + _CLOSED_FOR)}))
        for item in self._table.query_all(cart_key(cart_id)):
            if item["sk"] != _HEAD:
                self._table.write(dynamo.delete(item["pk"], item["sk"]))

    def find_latest(self, product_ids: Iterable[str]) -> dict[str, Latest]:
        """The last known states by id. Products without an event are missing."""
        found = self._table.get_many((_product_key(product_id), _LATEST) for product_id in product_ids)
        return {item["pk"].removeprefix(_product_key("")): _to_latest(item) for item in found}

    def _read(self, cart_id: str, now: datetime) -> tuple[Item | None, tuple[Line, ...], Mapping[str, Latest]]:
        """The head, the lines at today's prices, and the last known state of their products."""
        found = list(self._table.query_all(cart_key(cart_id)))
        head = live(next((item for item in found if item["sk"] == _HEAD), None), now)
        stored = [_to_line(item) for item in found if item["sk"] != _HEAD and is_live(item, now)]
        latest = self.find_latest(line.product_id for line in stored)
        lines = (at_latest(line, latest.get(line.product_id, Latest())) for line in stored)
        return head, tuple(line for line in lines if line is not None), latest

    def _renew(self, cart: Cart, now: datetime) -> None:
        expires_at = epoch(now + KEPT_FOR)
        due = [line for line in cart.lines if line.expires_at < expires_at - _RENEWED_AFTER.total_seconds()]
        for line in due:
            key = (cart_key(cart.cart_id), line_key(line.product_id))
            self._write_if_so(
                dynamo.update(*key, "SET #ttl = :ttl", "attribute_exists(pk)", names=NAMES, values={":ttl": expires_at})
            )

    def _note(self, product_id: str, expression: str, values: Item) -> None:
        newer = "attribute_not_exists(price_version) OR price_version < :version"
        key = _product_key(product_id), _LATEST
        self._write_if_so(dynamo.update(*key, expression, newer, names=NAMES, values=values))

    def _write_if_so(self, write: Write) -> None:
        """Writes, and ignores a failed condition: it means that there is nothing left to do."""
        try:
            self._table.write(write)
        except ConditionFailed:
            return


def _guest_key(guest_id: str) -> str:
    return f"GUEST#{guest_id}"


def _product_key(product_id: str) -> str:
    return f"PRODUCT#{product_id}"


def _touch(cart: Cart, now: datetime) -> tuple[Cart, Write]:
    """The cart at its next version, and the write that stores it. The first version of a cart is the time in seconds,
    so that a cart created after another one was removed never repeats its versions.
    """
    version = cart.version + 1 if cart.version else epoch(now)
    expression = "SET version = :next, #ttl = :ttl"
    values: Item = at(now) | {":next": version, ":ttl": epoch(now + KEPT_FOR)}
    condition = ABSENT
    if cart.version:
        open_at_seen = f"version = :seen AND {LIVE} AND attribute_not_exists(closed_at)"
        condition, values = open_at_seen, values | {":seen": cart.version}
    partition, sort = _idle_keys(cart.cart_id, now)
    if cart.customer_id:
        # Only an expired head has closed_at: DynamoDB has not removed it yet.
        expression += ", customer_id = :customer, gsi1pk = :partition, gsi1sk = :sort REMOVE closed_at"
        values |= {":customer": cart.customer_id, ":partition": partition, ":sort": sort}
    else:
        condition += " AND attribute_not_exists(merged_into)"
        if cart.is_watched:
            expression += ", gsi1pk = :partition, gsi1sk = :sort"
            values |= {":partition": partition, ":sort": sort}
        else:
            condition += " AND attribute_not_exists(watched)"
    touch = dynamo.update(cart_key(cart.cart_id), _HEAD, expression, condition, names=NAMES, values=values)
    return replace(cart, version=version), touch


def _idle_keys(cart_id: str, since: datetime) -> tuple[str, str]:
    """Where the index has a cart that is idle since then."""
    return idle_partition(since.date(), shard_of(cart_id)), f"{rfc3339(since)}#{cart_id}"


def _why_not_touched(cart: Cart, failed: ConditionFailed, now: datetime) -> Exception:
    """CartMoved if a retry can succeed; CartNotFound for a guest's cart that is gone or merged."""
    head = live(failed.item, now)
    is_open = cart.customer_id or (head is not None and "merged_into" not in head)
    return CartMoved() if is_open else CartNotFound("There is no such cart.")


def _unchanged(line: Line) -> tuple[str, Item]:
    values = {":quantity": line.quantity, ":changed_at": rfc3339(line.changed_at)}
    return "quantity = :quantity AND changed_at = :changed_at", values


def _line_item(cart: Cart, line: Line, now: datetime) -> Item:
    return {
        "pk": cart_key(cart.cart_id),
        "sk": line_key(line.product_id),
        "product_id": line.product_id,
        "name": line.name,
        "quantity": line.quantity,
        "amount": line.unit_price.amount,
        "currency": line.unit_price.currency,
        "price_version": line.price_version,
        "changed_at": rfc3339(line.changed_at),
        "cart_version": cart.version,
        "ttl": epoch(now + KEPT_FOR),
    }


def _to_line(item: Item) -> Line:
    return Line(
        product_id=item["product_id"],
        name=item["name"],
        quantity=item["quantity"],
        unit_price=Money(amount=item["amount"], currency=item["currency"]),
        price_version=item["price_version"],
        changed_at=datetime.fromisoformat(item["changed_at"]),
        cart_version=item.get("cart_version"),
        expires_at=item["ttl"],
    )


def _to_latest(item: Item) -> Latest:
    return Latest(
        version=item.get("price_version", 0),
        price=Money(amount=item["amount"], currency=item["currency"]) if "amount" in item else None,
        gone_at=item.get("gone_at", 0),
        available=item.get("available"),
        stock_sequence=item.get("stock_sequence"),
    )
