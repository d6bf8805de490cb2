"""Making a product hot and cool again: which stock moves next between its root and its shards.

Each step is one transaction on what was seen, and is decided from what is there: whoever dies, or meets another who
does the same, is followed by the next who asks. No step changes what the product has in all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inventory.domain import BelowZero, Stock, UnknownProduct
from inventory.shelf import Shelf, StockMoved
from mercato.errors import TransientError

MAX_SHARDS = 16
_ATTEMPTS = 60


@dataclass(frozen=True)
class Open:
    """So many new shards, with nothing in them."""

    count: int


@dataclass(frozen=True)
class Close:
    """These shards take no more orders, and are then merged into the root."""

    shards: tuple[int, ...]


@dataclass(frozen=True)
class Merge:
    """All that a closing shard has comes to the root, and the shard is no more."""

    shard: int


@dataclass(frozen=True)
class Shift:
    """Moves unreserved units from the root to the shards, or back where the count is negative."""

    to: tuple[tuple[int, int], ...]


Change = Open | Close | Merge | Shift


class Shelves(Protocol):
    """The store of the stock, as it is needed here. `apply` raises StockMoved where the stock was not as seen."""

    def stock(self, product_id: str) -> Shelf | None: ...
    def apply(self, change: Change, shelf: Shelf, actor: str, now: datetime) -> None: ...


def set_shards(product_id: str, count: int, actor: str, now: datetime, stocks: Shelves) -> Shelf:
    """The product has so many shards afterwards, none where one is wanted, and its stock is spread over them."""
    wanted = count if count > 1 else 0
    return _until_done(product_id, lambda shelf: next_change(shelf, wanted), actor, now, stocks)


def spread(product_id: str, actor: str, now: datetime, stocks: Shelves) -> Shelf:
    """What came to the root of a hot product goes to its shards."""
    return _until_done(product_id, _spread, actor, now, stocks)


def gather(product_id: str, count: int, actor: str, now: datetime, stocks: Shelves) -> Shelf:
    """So many units are available at the root of a hot product, taken from its richest shards."""
    return _until_done(product_id, lambda shelf: _gather(shelf, count), actor, now, stocks)


def next_change(shelf: Shelf, wanted: int) -> Change | None:
    """What is to be done first; None where all is as wanted."""
    shards = [stock.shard for stock in shelf.open_shards]
    if len(shards) < wanted:
        return Open(wanted - len(shards))
    if len(shards) > wanted:
        return Close(tuple(shards[wanted:]))
    if shelf.root.closing:
        return Merge(min(shelf.root.closing))
    return _spread(shelf)


def _spread(shelf: Shelf) -> Change | None:
    """The root's goods to the shards, so that they are even; where one has far too little, the others' to the root."""
    shards = shelf.open_shards
    if not shards:
        return None
    free = shelf.root.available + sum(stock.available for stock in shards)
    share = free // len(shards)
    if shelf.root.available:
        lacking = [(stock, max(0, share - stock.available)) for stock in shards]
        shift, left = [], shelf.root.available
        for stock, lack in sorted(lacking, key=lambda one: -one[1]):
            part = min(lack, left)
            shift.append((stock.shard, part))
            left -= part
        # What does not divide goes to the first, one unit each; there are fewer of them than shards.
        given = [(shard, part + (number < left)) for number, (shard, part) in enumerate(shift)]
        return Shift(tuple((shard, part) for shard, part in given if part))
    if share > 1 and min(stock.available for stock in shards) < share // 2:
        return Shift(tuple((stock.shard, share - stock.available) for stock in shards if stock.available > share))
    return None


def _gather(shelf: Shelf, count: int) -> Change | None:
    missing = count - shelf.root.available
    if missing <= 0:
        return None
    found: list[tuple[int, int]] = []
    for stock in sorted(shelf.shards, key=_richest):
        part = min(stock.available, missing)
        if part > 0:
            found.append((stock.shard, -part))
            missing -= part
    if missing:
        raise BelowZero(
            f"{shelf.product_id} has {shelf.available} available; {count} cannot be taken away.",
            product_id=shelf.product_id,
            available=shelf.available,
        )
    return Shift(tuple(found))


def _richest(stock: Stock) -> int:
    return -stock.available


def _until_done(
    product_id: str,
    decide: Callable[[Shelf], Change | None],
    actor: str,
    now: datetime,
    stocks: Shelves,
) -> Shelf:
    for _ in range(_ATTEMPTS):
        shelf = stocks.stock(product_id)
        if shelf is None:
            raise UnknownProduct([product_id])
        change = decide(shelf)
        if change is None:
            return shelf
        try:
            stocks.apply(change, shelf, actor, now)
        except StockMoved:
            continue
    raise TransientError(f"the stock of {product_id} moves too fast to be moved between its shards")
