"""Opens and closes the shards of a hot product and balances its stock among them.

Each step is one conditional transaction on current state, so the next call completes a crashed or concurrent run. No
step changes the product's total stock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from inventory.domain import BelowZero, Stock, UnknownProduct
from inventory.product_stock import ProductStock, StockMoved
from mercato.dataclass import dataclass
from mercato.errors import TransientError

MAX_SHARDS = 16
_ATTEMPTS = 60


@dataclass(frozen=True)
class Open:
    """Adds this many empty shards."""

    count: int


@dataclass(frozen=True)
class Close:
    """Stops orders from taking from these shards; Merge then removes them."""

    shards: tuple[int, ...]


@dataclass(frozen=True)
class Merge:
    """Moves all units of a closing shard to the root and removes the shard."""

    shard: int


@dataclass(frozen=True)
class Shift:
    """Moves available units from the root to the shards, or back for negative counts."""

    to: tuple[tuple[int, int], ...]


Change = Open | Close | Merge | Shift


class ShardStore(Protocol):
    """The store of the stock. `apply` raises StockMoved if the stock has changed since it was read."""

    def stock(self, product_id: str) -> ProductStock | None: ...
    def apply(self, change: Change, product: ProductStock, actor: str, now: datetime) -> None: ...


def set_shards(product_id: str, count: int, actor: str, now: datetime, stocks: ShardStore) -> ProductStock:
    """Changes the number of shards and balances the stock among them. A `count` of 1 removes the shards."""
    wanted = count if count > 1 else 0
    return _until_done(product_id, lambda product: next_change(product, wanted), actor, now, stocks)


def spread(product_id: str, actor: str, now: datetime, stocks: ShardStore) -> ProductStock:
    """Moves the root's available units of a hot product to its shards."""
    return _until_done(product_id, _spread, actor, now, stocks)


def gather(product_id: str, count: int, actor: str, now: datetime, stocks: ShardStore) -> ProductStock:
    """Makes `count` units available at the root of a hot product. Takes them from the shards with the most units."""
    return _until_done(product_id, lambda product: _gather(product, count), actor, now, stocks)


def next_change(product: ProductStock, wanted: int) -> Change | None:
    """The next change towards `wanted` shards; None if nothing is left to do."""
    shards = [stock.shard for stock in product.open_shards]
    if len(shards) < wanted:
        return Open(wanted - len(shards))
    if len(shards) > wanted:
        return Close(tuple(shards[wanted:]))
    if product.root.closing:
        return Merge(min(product.root.closing))
    return _spread(product)


def _spread(product: ProductStock) -> Change | None:
    """Balances the shards with the root's units. If one shard is far below its share, first moves the others' surplus
    back to the root.
    """
    shards = product.open_shards
    if not shards:
        return None
    free = product.root.available + sum(stock.available for stock in shards)
    share = free // len(shards)
    if product.root.available:
        lacking = [(stock, max(0, share - stock.available)) for stock in shards]
        shift, left = [], product.root.available
        for stock, lack in sorted(lacking, key=lambda one: -one[1]):
            part = min(lack, left)
            shift.append((stock.shard, part))
            left -= part
        # The remainder, smaller than the number of shards, goes to the first shards, one unit each.
        given = [(shard, part + (number < left)) for number, (shard, part) in enumerate(shift)]
        return Shift(tuple((shard, part) for shard, part in given if part))
    if share > 1 and min(stock.available for stock in shards) < share // 2:
        return Shift(tuple((stock.shard, share - stock.available) for stock in shards if stock.available > share))
    return None


def _gather(product: ProductStock, count: int) -> Change | None:
    missing = count - product.root.available
    if missing <= 0:
        return None
    found: list[tuple[int, int]] = []
    for stock in sorted(product.shards, key=_richest):
        part = min(stock.available, missing)
        if part > 0:
            found.append((stock.shard, -part))
            missing -= part
    if missing:
        raise BelowZero(
            f"{product.product_id} has {product.available} available; {count} cannot be taken away.",
            product_id=product.product_id,
            available=product.available,
        )
    return Shift(tuple(found))


def _richest(stock: Stock) -> int:
    return -stock.available


def _until_done(
    product_id: str,
    decide: Callable[[ProductStock], Change | None],
    actor: str,
    now: datetime,
    stocks: ShardStore,
) -> ProductStock:
    for _ in range(_ATTEMPTS):
        product = stocks.stock(product_id)
        if product is None:
            raise UnknownProduct([product_id])
        change = decide(product)
        if change is None:
            return product
        try:
            stocks.apply(change, product, actor, now)
        except StockMoved:
            continue
    raise TransientError(f"the stock of {product_id} changes too often to be moved between its shards")
