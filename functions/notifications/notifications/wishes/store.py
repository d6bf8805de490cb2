"""The wishes in the notifications table.

pk=PRODUCT#<product>  sk=STOCK                    available and sequence of inventory's last event; ended_at once the
                                                  product is discontinued
pk=PRODUCT#<product>  sk=WISH#<asked at>#<user>   a wish; the oldest is first
pk=PRODUCT#<product>  sk=LOT#<event>              how many wishes of the event are still to be told; expires
pk=PRODUCT#<product>  sk=TOLD#<event>#<user>      a wish that was told, with the id of its notification, until its
                                                  e-mail is sent; expires
pk=USER#<user>        sk=WISH#<product>           the same wish, for its customer
pk=USER#<user>        sk=WISHES                   how many wishes the customer has
pk=ADDRESS#<digest>   sk=WISH#<product>           in place of the count, for a guest: that this address waits

A wish is its two items and its part of the count, or a guest's address. One transaction writes or deletes all three.
Those of a guest expire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum, auto

from mercato.clock import epoch, rfc3339
from mercato.events import inbox
from mercato.languages import known
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from mercato.store.expiry import is_live, put_new
from mercato.store.retry import retry_on_conflict
from notifications.domain import Notification, ReaderGone
from notifications.store import NotificationStore
from notifications.wishes.domain import (
    MOST_WISHES,
    InStock,
    Level,
    Lot,
    OfGuest,
    Stock,
    TooManyWishes,
    UnknownProduct,
    Wish,
)

_ATTEMPTS = 5
# The catalogue follows the same events, and may be ahead or behind. It counts where no event has come here yet.
_SOLD_OUT = "attribute_not_exists(ended_at) AND available = :none"
_SOLD_OUT_OR_UNKNOWN = "attribute_not_exists(ended_at) AND (attribute_not_exists(available) OR available = :none)"


class StockMoved(Exception):
    """Another event of the same product was stored since the stock was read."""


class Told(Enum):
    NOW = auto()
    GONE = auto()  # its customer removed it, another delivery of the event told it, or the account is closed
    USED_UP = auto()  # the lot has told as many wishes as units came in


class WishStore:
    def __init__(self, table: Table, notifications: NotificationStore) -> None:
        self._table = table
        self._notifications = notifications

    def get_wish(self, user_id: str, product_id: str) -> Wish | None:
        item = self._table.get(_user(user_id), f"WISH#{product_id}")
        return _wish(item) if item else None

    def list_of(self, user_id: str) -> list[Wish]:
        """The newest first. There are at most MOST_WISHES."""
        items = self._table.query_all(_user(user_id), KeyRange(prefix="WISH#"))
        return sorted(map(_wish, items), key=lambda wish: wish.asked_at, reverse=True)

    def add(self, wish: Wish, *, is_sold_out: bool) -> Wish:
        """Returns the wish as stored: an earlier one of the same customer and product stays. `is_sold_out` is the
        catalogue's word.

        Raises InStock if the last event told of stock. So an event that comes before the wish refuses it, and one that
        comes after it finds it. Raises UnknownProduct, TooManyWishes and ReaderGone.
        """
        writes = _added(wish, is_sold_out=is_sold_out)
        writes.append(
            dynamo.update(
                _user(wish.user_id),
                "WISHES",
                "ADD wishes :one",
                "attribute_not_exists(wishes) OR wishes < :most",
                values={":one": 1, ":most": MOST_WISHES},
            )
        )
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            failures = _failures(failed)
            if 0 in failures:
                raise ReaderGone from None
            if 2 in failures:
                return _wish(failures[2] or _item(wish))
            _refuse(wish, failures)
            raise TooManyWishes from None
        return wish

    def add_of_guest(self, wish: Wish, guest: OfGuest, also: list[Write], *, is_sold_out: bool, now: datetime) -> bool:
        """Adds the wish of a guest in one transaction with `also`. Returns False if a write of `also` is refused, or
        the address waits for the product already. Raises InStock, UnknownProduct and ReaderGone, as `add` does.
        """
        waits = _item(wish) | {"pk": _address(guest), "sk": f"WISH#{wish.product_id}"}
        try:
            self._table.transact([*_added(wish, is_sold_out=is_sold_out), put_new(waits, now), *also])
        except ConditionFailed as failed:
            failures = _failures(failed)
            if 0 in failures:
                raise ReaderGone from None
            if failures.keys() <= {0, 1}:
                _refuse(wish, failures)
            return False
        return True

    def remove(self, wish: Wish) -> bool:
        """Returns False if the wish was removed or told before."""
        try:
            self._table.transact(_removed(wish))
        except ConditionFailed:
            return False
        return True

    def follow_stock(self, level: Level, now: datetime) -> Lot | None:
        """Stores what an event of inventory told, unless a later one was stored, and opens the event's lot.

        Returns the lot, also to a later delivery of the same event, and None if the event answers no wish.
        """

        def load() -> Stock:
            item = self._table.get(_product(level.product_id), "STOCK") or {}
            return Stock(item.get("available"), item.get("sequence"))

        def write(stock: Stock) -> Lot | None:
            if stock.sequence is not None and level.sequence <= stock.sequence:
                return self._lot(level, stock)
            lot = Lot(level.product_id, level.event_id, stock.rise_to(level.available))
            writes = [_told(level, stock)]
            if lot.left:
                key = {"pk": _product(lot.product_id), "sk": f"LOT#{lot.event_id}"}
                writes.append(dynamo.put(key | {"remaining": lot.left, "ttl": epoch(now + inbox.KEPT)}))
            try:
                self._table.transact(writes)
            except ConditionFailed:
                raise StockMoved from None
            return lot if lot.left else None

        exhausted = f"the stock of {level.product_id} moves too often"
        return retry_on_conflict(load, write, conflict=StockMoved, attempts=_ATTEMPTS, exhausted=exhausted)

    def end_product(self, product_id: str, now: datetime, has_time: Callable[[], bool]) -> bool:
        """Refuses new wishes for the product, and removes all that there are. Idempotent and resumable.

        Returns False if time runs out before the last wish.
        """
        ended = "SET ended_at = if_not_exists(ended_at, :now)"
        self._table.write(dynamo.update(_product(product_id), "STOCK", ended, values={":now": rfc3339(now)}))
        return self._remove_all(self.iterate(product_id, now), has_time)

    def remove_of(self, user_id: str, has_time: Callable[[], bool]) -> bool:
        """Removes all wishes of a customer. Idempotent and resumable; False if time runs out before the last."""
        return self._remove_all(map(_wish, self._table.query_all(_user(user_id), KeyRange(prefix="WISH#"))), has_time)

    def _remove_all(self, wishes: Iterator[Wish], has_time: Callable[[], bool]) -> bool:
        for wish in wishes:
            if not has_time():
                return False
            self.remove(wish)
        return True

    def iterate(self, product_id: str, now: datetime) -> Iterator[Wish]:
        """The oldest first."""
        items = self._table.query_all(_product(product_id), KeyRange(prefix="WISH#"), limit=100)
        return (_wish(item) for item in items if "ttl" not in item or is_live(item, now))

    def tell(self, wish: Wish, lot: Lot, notification: Notification, now: datetime) -> Told:
        """Replaces the wish by its notification, as one of the lot's."""
        writes = [
            *_removed(wish),
            dynamo.update(
                _product(lot.product_id),
                f"LOT#{lot.event_id}",
                "ADD remaining :less",
                "remaining > :none",
                values={":less": -1, ":none": 0},
            ),
            dynamo.put(
                {
                    "pk": _product(lot.product_id),
                    "sk": f"TOLD#{lot.event_id}#{wish.user_id}",
                    "user_id": wish.user_id,
                    "notification_id": notification.notification_id,
                    "ttl": epoch(now + inbox.KEPT),
                }
            ),
            *self._notifications.writes_of(notification, now),
        ]
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            return Told.USED_UP if _LOT in _failures(failed) else Told.GONE
        return Told.NOW

    def list_told(self, product_id: str, event_id: str) -> list[tuple[str, str]]:
        """The users, and the ids of their notifications, that a lot has told and whose e-mail is not sent yet."""
        items = self._table.query_all(_product(product_id), KeyRange(prefix=f"TOLD#{event_id}#"))
        return [(item["user_id"], item["notification_id"]) for item in items]

    def forget_told(self, product_id: str, event_id: str, user_id: str) -> None:
        """Takes a user off that list. Idempotent."""
        self._table.write(dynamo.delete(_product(product_id), f"TOLD#{event_id}#{user_id}"))

    def _lot(self, level: Level, stock: Stock) -> Lot | None:
        """The lot that an earlier delivery opened. It ends where the product is sold out again."""
        item = self._table.get(_product(level.product_id), f"LOT#{level.event_id}")
        return Lot(level.product_id, level.event_id, item["remaining"] if stock.available else 0) if item else None


def _told(level: Level, stock: Stock) -> Write:
    unchanged, before = "attribute_not_exists(#sequence)", {}
    if stock.sequence is not None:
        unchanged, before = "#sequence = :before", {":before": stock.sequence}
    return dynamo.update(
        _product(level.product_id),
        "STOCK",
        "SET available = :available, #sequence = :sequence",
        unchanged,
        names={"#sequence": "sequence"},
        values={":available": level.available, ":sequence": level.sequence} | before,
    )


def _added(wish: Wish, *, is_sold_out: bool) -> list[Write]:
    """The first fails for a closed account, the second where the last event told of stock, the others where the
    reader waits for the product already.
    """
    sold_out = _SOLD_OUT_OR_UNKNOWN if is_sold_out else _SOLD_OUT
    return [
        dynamo.check(_user(wish.user_id), "UNREAD", "attribute_not_exists(closed_at)"),
        dynamo.check(_product(wish.product_id), "STOCK", sold_out, values={":none": 0}),
        dynamo.put_new({"pk": _user(wish.user_id), "sk": f"WISH#{wish.product_id}"} | _item(wish)),
        dynamo.put_new({"pk": _product(wish.product_id), "sk": _place(wish)} | _item(wish)),
    ]


def _refuse(wish: Wish, failures: Mapping[int, Item | None]) -> None:
    """Raises InStock or UnknownProduct if the write that checks the stock is among the failures."""
    if 1 in failures:
        is_ended = "ended_at" in (failures[1] or {})
        raise (UnknownProduct if is_ended else InStock)(wish.product_id) from None


_LOT = 3  # the place of the lot's write in a transaction that tells a wish: it follows those of _removed


def _removed(wish: Wish) -> list[Write]:
    asked = {":asked": rfc3339(wish.asked_at)}
    if wish.guest:
        mine = {":reader": wish.user_id}  # an expired wish may have been replaced by a newer one of the address
        counted = dynamo.delete(_address(wish.guest), f"WISH#{wish.product_id}", "user_id = :reader", values=mine)
    else:
        counted = dynamo.update(_user(wish.user_id), "WISHES", "ADD wishes :less", values={":less": -1})
    return [
        dynamo.delete(_product(wish.product_id), _place(wish), "attribute_exists(pk)"),
        dynamo.delete(_user(wish.user_id), f"WISH#{wish.product_id}", "asked_at = :asked", values=asked),
        counted,
    ]


def _product(product_id: str) -> str:
    return f"PRODUCT#{product_id}"


def _user(user_id: str) -> str:
    return f"USER#{user_id}"


def _address(guest: OfGuest) -> str:
    return f"ADDRESS#{guest.address}"


def _place(wish: Wish) -> str:
    return f"WISH#{rfc3339(wish.asked_at)}#{wish.user_id}"


def _item(wish: Wish) -> Item:
    """The attributes of a wish, without its key."""
    item: Item = {"user_id": wish.user_id, "product_id": wish.product_id, "name": wish.name}
    item["asked_at"] = rfc3339(wish.asked_at)
    if wish.guest:
        item |= {"address": wish.guest.address, "language": wish.guest.language, "ttl": epoch(wish.guest.expires_at)}
    return item


def _wish(item: Item) -> Wish:
    guest = None
    if "address" in item:
        ends = datetime.fromtimestamp(item["ttl"], UTC)
        guest = OfGuest(item["address"], ends, known(item.get("language")))
    asked_at = datetime.fromisoformat(item["asked_at"])
    return Wish(item["product_id"], item["user_id"], item["name"], asked_at, guest)


def _failures(failed: ConditionFailed) -> Mapping[int, Item | None]:
    failures: Mapping[int, Item | None] = getattr(failed, "failures", {failed.index: failed.item})
    return failures
