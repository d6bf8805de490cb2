"""The stock of one product: the root item, and the shards of a hot product.

DynamoDB cancels a transaction that meets another on one item, so an item takes one reservation in the time of a
transaction: some 20 to 50 a second. A hot product's stock is spread over shards, each an item with its own counts and
ledger. The root lists the shards and stores the product's level. Two rules keep the level exact:

- A shard that is above the threshold before and after a movement moves alone: the product's total is above the
  threshold whatever the other shards do. The write's condition on the shard's own level, `ok`, guarantees this.
- Every other movement also writes the root, on condition of its version. So these movements are serialised, and each
  one knows the counts of all low shards. The exact sum is needed only then.

A shard's number is never reused: a reservation stores the shards that gave its units, and finds the units on the root
after a shard was closed and merged into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from inventory.domain import ROOT, Level, Movement, Stock
from inventory.reservation import Shares, Step
from mercato.dataclass import dataclass

Choose = Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class ProductStock:
    """`shards` holds all shards, also closing ones. Empty for a product that is not hot."""

    root: Stock
    shards: tuple[Stock, ...] = ()

    @property
    def product_id(self) -> str:
        return self.root.product_id

    @property
    def level(self) -> Level:
        return self.root.level

    @cached_property
    def on_hand(self) -> int:
        return sum(stock.on_hand for stock in self.places)

    @cached_property
    def reserved(self) -> int:
        return sum(stock.reserved for stock in self.places)

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def places(self) -> tuple[Stock, ...]:
        return (self.root, *self.shards)

    @property
    def open_shards(self) -> tuple[Stock, ...]:
        return tuple(stock for stock in self.shards if stock.shard not in self.root.closing)

    def at(self, shard: int) -> Stock:
        """The item of a shard, or the root if the shard was merged into it."""
        return next((stock for stock in self.shards if stock.shard == shard), self.root)

    def take(self, quantity: int, choose: Choose) -> Shares:
        """The shards to take from: a random one that has enough, or else several, those with the most units first."""
        places = (*self.open_shards, self.root)
        for able in (
            [stock.shard for stock in self.open_shards if stock.level is Level.OK and stock.available > quantity],
            [stock.shard for stock in places if stock.available >= quantity],
        ):
            if able:
                return ((choose(able), quantity),)
        shares, missing = [], quantity
        for stock in sorted((*self.shards, self.root), key=lambda stock: -stock.available):
            part = min(stock.available, missing)
            if part > 0:
                shares.append((stock.shard, part))
                missing -= part
        return ((ROOT, quantity),) if missing else tuple(shares)


class StockMoved(Exception):
    """The stock was not as assumed. `stocks` has the current state, None for a product that does not exist. Products in
    `unread` must be read again.
    """

    def __init__(self, stocks: Mapping[str, ProductStock | None], unread: Iterable[str] = ()) -> None:
        self.stocks, self.unread = dict(stocks), frozenset(unread)
        super().__init__(f"{len(self.stocks) + len(self.unread)} products moved")


def place(step: Step, seen: Mapping[str, ProductStock], hot: Mapping[str, Sequence[int]], choose: Choose) -> Step:
    """The step with each movement on an existing item, as far as is known. `hot` holds shards that were seen earlier,
    `seen` the stock that a refused write has returned.
    """
    if not step.takes:
        return replace(step, movements=_join(_resettle(movement, seen) for movement in step.movements))
    shares: dict[str, Shares] = {}
    for movement in step.movements:
        product_id, product = movement.product_id, seen.get(movement.product_id)
        if product is not None and product.shards:
            shares[product_id] = product.take(movement.reserved, choose)
        elif product is None and hot.get(product_id):
            shares[product_id] = ((choose(hot[product_id]), movement.reserved),)
    placed = [
        Movement(movement.product_id, reserved=quantity, shard=shard)
        for movement in step.movements
        for shard, quantity in shares.get(movement.product_id, ((ROOT, movement.reserved),))
    ]
    after = replace(step.after, shares={**step.after.shares, **shares}) if shares else step.after
    return replace(step, after=after, movements=tuple(placed))


def _resettle(movement: Movement, seen: Mapping[str, ProductStock]) -> Movement:
    product = seen.get(movement.product_id)
    return replace(movement, shard=product.at(movement.shard).shard) if product else movement


def _join(movements: Iterable[Movement]) -> tuple[Movement, ...]:
    """One movement per item, since two shares may both be on the root after a merge."""
    joined: dict[tuple[str, int], Movement] = {}
    for movement in movements:
        key = movement.product_id, movement.shard
        before = joined.get(key, Movement(movement.product_id, shard=movement.shard))
        joined[key] = replace(
            before, on_hand=before.on_hand + movement.on_hand, reserved=before.reserved + movement.reserved
        )
    return tuple(joined.values())
