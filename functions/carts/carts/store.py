"""Carts in DynamoDB. Each line is an item of its own, so that changes of different lines never meet.

    CART#<id>      CART           the head: whose it is, when it was touched last, its version (the count of touches).
                                  A customer's waits in gsi1 under IDLE#<day>#<0-3> for the sweeper, by the time of the
                                  touch, and leaves when it was announced. Four shards, as every touch writes there
    CART#<id>      LINE#<product> a line; gsi1 has it under PRODUCT#<product>, by cart
    PRODUCT#<id>   LATEST         what the last event said of a product's price. It stops a line that is being put in
                                  with an older price while the event goes through the lines; kept for a day

The head lives for KEPT_FOR after the last touch. A touch renews the lines that would go a week before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from zlib import crc32

from carts.domain import KEPT_FOR, Cart, CartNotFound, Latest, Line
from mercato import dynamo, expiry
from mercato.clock import epoch, rfc3339
from mercato.dynamo import MAX_TRANSACTION, ConditionFailed, Table, Write
from mercato.expiry import ABSENT, NAMES, at, is_live
from mercato.items import Item
from mercato.money import Money

SHARDS = 4
# A line moved is two writes, beside one touch.
MOVED_AT_ONCE = (MAX_TRANSACTION - 1) // 2
_RENEWED_AFTER = timedelta(days=7)
_LATEST_KEPT = timedelta(days=1)
_HEAD = "CART"
_OPEN_GUEST = "attribute_exists(pk) AND attribute_not_exists(merged_into) AND #ttl > :now"


def cart_key(cart_id: str) -> str:
    return f"CART#{cart_id}"


def idle_partition(day: date, shard: int) -> str:
    return f"IDLE#{day.isoformat()}#{shard}"


def shard_of(cart_id: str) -> int:
    return crc32(cart_id.encode()) % SHARDS


class Carts:
    def __init__(self, table: Table) -> None:
        self._table = table

    def open_guest_cart(self, cart_id: str, now: datetime) -> Cart:
        head = {"pk": cart_key(cart_id), "sk": _HEAD, "version": 1, "touched_at": rfc3339(now)}
        with suppress(ConditionFailed):  # its own first writing, whose answer was lost
            self._table.write(expiry.put_new(head | {"ttl": epoch(now + KEPT_FOR)}, now))
        return Cart(cart_id)

    def load_guests(self, cart_id: str, now: datetime) -> Cart:
        """Raises CartNotFound for one that does not exist, or does no more."""
        head, lines = self._read(cart_id, now)
        if head is None or "merged_into" in head:
            raise CartNotFound("There is no such cart.")
        return Cart(cart_id, lines=lines)

    def load_customers(self, cart_id: str, customer_id: str, now: datetime) -> Cart:
        """A customer always has a cart, if an empty one."""
        return Cart(cart_id, customer_id, self._read(cart_id, now)[1])

    def put_line(self, cart: Cart, line: Line, now: datetime) -> Latest | None:
        """None: it is written. Else nothing is, as the catalogue has moved on, and how. Raises CartNotFound."""
        latest = dynamo.check(
            f"PRODUCT#{line.product_id}",
            "LATEST",
            f"{ABSENT} OR price_version <= :version",
            names=NAMES,
            values=at(now) | {":version": line.price_version},
        )
        try:
            self._table.transact([_touch(cart, now), latest, dynamo.put(_line_item(cart.cart_id, line, now))])
        except ConditionFailed as failed:
            if failed.index == 0:
                raise CartNotFound("There is no such cart.") from None
            return _to_latest(failed.item or {})
        self._renew(cart.without_line(line.product_id), now)
        return None

    def remove_line(self, cart: Cart, product_id: str, now: datetime) -> None:
        try:
            self._table.transact([_touch(cart, now), dynamo.delete(cart_key(cart.cart_id), f"LINE#{product_id}")])
        except ConditionFailed:
            raise CartNotFound("There is no such cart.") from None
        self._renew(cart.without_line(product_id), now)

    def claim(self, guest_cart_id: str, cart_id: str, now: datetime) -> None:
        """From now on the guest's cart is closed, and only this one may take its lines. Raises CartNotFound."""
        free = "attribute_exists(pk) AND #ttl > :now AND (attribute_not_exists(merged_into) OR merged_into = :cart)"
        values = {":cart": cart_id, ":now": epoch(now)}
        update = dynamo.update(
            cart_key(guest_cart_id), _HEAD, "SET merged_into = :cart", free, names={"#ttl": "ttl"}, values=values
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
        """Each move is the guest's line, the customer's where there is one, and what becomes of them.

        False: one of them has changed since it was read, and nothing is written.
        """
        writes = [_touch(cart, now)]
        for guests, mine, merged in moves:
            as_read, values = _unchanged(guests)
            writes.append(dynamo.delete(cart_key(guest_cart_id), f"LINE#{guests.product_id}", as_read, values=values))
            item = _line_item(cart.cart_id, merged, now)
            if mine is None:
                writes.append(expiry.put_new(item, now))
                continue
            as_read, values = _unchanged(mine)
            writes.append(dynamo.put(item, as_read, values=values))
        try:
            self._table.transact(writes)
        except ConditionFailed:
            return False
        return True

    def note_latest(self, product_id: str, latest: Latest, now: datetime) -> None:
        """A late event changes nothing."""
        item = {"pk": f"PRODUCT#{product_id}", "sk": "LATEST", "price_version": latest.version}
        price = latest.price.model_dump() if latest.price else {}
        put = dynamo.put(
            item | price | {"ttl": epoch(now + _LATEST_KEPT)},
            f"{ABSENT} OR price_version < :version",
            names=NAMES,
            values=at(now) | {":version": latest.version},
        )
        self._write_if_so(put)

    def carts_with(self, product_id: str, older_than: int) -> Iterator[str]:
        """The carts that hold the product at the price of an older version, page by page."""
        for item in self._table.query_all(f"PRODUCT#{product_id}", index="gsi1"):
            if item["price_version"] < older_than:
                yield item["gsi1sk"]

    def set_price(self, cart_id: str, product_id: str, price: Money, version: int) -> None:
        """Neither an older price nor a line that is gone comes back: both fail the condition."""
        values = {":amount": price.amount, ":currency": price.currency, ":version": version}
        expression = "SET amount = :amount, currency = :currency, price_version = :version"
        key = (cart_key(cart_id), f"LINE#{product_id}")
        self._write_if_so(dynamo.update(*key, expression, "price_version < :version", values=values))

    def drop_line(self, cart_id: str, product_id: str) -> None:
        """Not a touch: nobody has done anything with the cart."""
        self._table.write(dynamo.delete(cart_key(cart_id), f"LINE#{product_id}"))

    def drop_line_unless_changed(self, cart_id: str, line: Line) -> None:
        condition, values = "changed_at = :changed_at", {":changed_at": rfc3339(line.changed_at)}
        self._write_if_so(dynamo.delete(cart_key(cart_id), f"LINE#{line.product_id}", condition, values=values))

    def erase(self, cart_id: str) -> None:
        for item in self._table.query_all(cart_key(cart_id)):
            self._table.write(dynamo.delete(item["pk"], item["sk"]))

    def _read(self, cart_id: str, now: datetime) -> tuple[Item | None, tuple[Line, ...]]:
        found = [item for item in self._table.query_all(cart_key(cart_id)) if is_live(item, now)]
        head = next((item for item in found if item["sk"] == _HEAD), None)
        return head, tuple(_to_line(item) for item in found if item["sk"] != _HEAD)

    def _renew(self, cart: Cart, now: datetime) -> None:
        expires_at = epoch(now + KEPT_FOR)
        due = [line for line in cart.lines if line.expires_at < expires_at - _RENEWED_AFTER.total_seconds()]
        for line in due:
            key = (cart_key(cart.cart_id), f"LINE#{line.product_id}")
            renewed = dynamo.update(
                *key, "SET #ttl = :ttl", "attribute_exists(pk)", names={"#ttl": "ttl"}, values={":ttl": expires_at}
            )
            self._write_if_so(renewed)

    def _write_if_so(self, write: Write) -> None:
        """For a condition that says whether there is still something to do."""
        try:
            self._table.write(write)
        except ConditionFailed:
            return


def _touch(cart: Cart, now: datetime) -> Write:
    touched_at = rfc3339(now)
    values = {":touched_at": touched_at, ":ttl": epoch(now + KEPT_FOR), ":one": 1}
    expression = "SET touched_at = :touched_at, #ttl = :ttl"
    if not cart.customer_id:
        return dynamo.update(
            cart_key(cart.cart_id),
            _HEAD,
            expression + " ADD version :one",
            _OPEN_GUEST,
            names={"#ttl": "ttl"},
            values=values | {":now": epoch(now)},
        )
    return dynamo.update(
        cart_key(cart.cart_id),
        _HEAD,
        expression + ", customer_id = :customer, gsi1pk = :partition, gsi1sk = :sort ADD version :one",
        names={"#ttl": "ttl"},
        values=values
        | {
            ":customer": cart.customer_id,
            ":partition": idle_partition(now.date(), shard_of(cart.cart_id)),
            ":sort": f"{touched_at}#{cart.cart_id}",
        },
    )


def _unchanged(line: Line) -> tuple[str, dict[str, int]]:
    values = {":quantity": line.quantity, ":version": line.price_version}
    return "quantity = :quantity AND price_version = :version", values


def _line_item(cart_id: str, line: Line, now: datetime) -> Item:
    return {
        "pk": cart_key(cart_id),
        "sk": f"LINE#{line.product_id}",
        "product_id": line.product_id,
        "name": line.name,
        "quantity": line.quantity,
        "amount": line.unit_price.amount,
        "currency": line.unit_price.currency,
        "price_version": line.price_version,
        "changed_at": rfc3339(line.changed_at),
        "gsi1pk": f"PRODUCT#{line.product_id}",
        "gsi1sk": cart_id,
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
        expires_at=item["ttl"],
    )


def _to_latest(item: Item) -> Latest:
    price = Money(amount=item["amount"], currency=item["currency"]) if "amount" in item else None
    return Latest(item["price_version"], price)
