"""Stock: the units on hand, the reserved units among them, and the levels of which the shop is notified.

available = on_hand − reserved, and never below zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound

LOW_AT = 5
ROOT = 0
MAX_QUANTITY = 10**9
MOST_AT_ONCE = 40  # products in one adjustment: each takes two writes of a transaction, and the request one
MOST_RETURNED_AT_ONCE = 33  # products of which units are written off: each takes three writes
_NAMED = 20


class Level(StrEnum):
    """The level of the available count: above the threshold, at or below it, or zero."""

    OK = "ok"
    LOW = "low"
    OUT = "out"


@dataclass(frozen=True)
class Line:
    product_id: str
    quantity: int


@dataclass(frozen=True)
class Shortage:
    """`available` is None if inventory does not know the product."""

    product_id: str
    requested: int
    available: int | None


class OutOfStock(Conflict):
    """At least one line asks for more than is available. Nothing stays reserved."""

    def __init__(self, short: Sequence[Shortage]) -> None:
        named = [f"{found.product_id} (asked {found.requested}, {found.available} left)" for found in short[:_NAMED]]
        more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        super().__init__(
            f"Not enough stock of {', '.join(named)}{more}.",
            products=[
                {"product_id": found.product_id, "requested": found.requested, "available": found.available}
                for found in short
            ],
        )
        self.short = tuple(short)


class UnknownProduct(NotFound):
    """Inventory has no stock record of the product yet."""

    def __init__(self, product_ids: Sequence[str]) -> None:
        named = ", ".join(product_id[:80] for product_id in product_ids[:_NAMED])
        more = f" and {len(product_ids) - _NAMED} more" if len(product_ids) > _NAMED else ""
        super().__init__(f"There is no stock item for {named}{more}.", product_ids=list(product_ids))
        self.product_ids = tuple(product_ids)


class BelowZero(Conflict):
    """The adjustment would remove more stock than is on hand and not reserved."""


class StaleThreshold(Conflict):
    """The product's threshold was changed after the caller had read it."""


class TooManyProducts(Invalid):
    """The request names more products than one answer may have, or an id that is too long."""


class LedgerTooLong(Conflict):
    """The ledger has too many entries to be summed up in one request."""


class DuplicateProduct(Invalid):
    """A bulk adjustment names the same product twice."""


@dataclass(frozen=True)
class Stock:
    """One stock item. `version` counts every change, `entries` those of on_hand, each of which has a ledger entry.

    A hot product has a root and shards (see product_stock.py). The root stores its `shards`, which of them are
    `closing`, and the number of the last `transfer` between them. A shard stores the last transfer that changed it.

    `low_at` is the product's own threshold, None where the shop's holds. Root and shards store the same.
    `threshold_version`, of the root only, counts its changes.
    """

    product_id: str
    on_hand: int = 0
    reserved: int = 0
    version: int = 0
    entries: int = 0
    level: Level = Level.OUT
    shard: int = 0
    transfer: int = 0
    shards: tuple[int, ...] = ()
    closing: frozenset[int] = frozenset()
    next_shard: int = 1
    low_at: int | None = None
    threshold_version: int = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


@dataclass(frozen=True)
class Movement:
    """A change to one stock item, as differences. `written_off` units came in and were lost at once: two entries of the
    ledger that leave `on_hand` as it is.
    """

    product_id: str
    on_hand: int = 0
    reserved: int = 0
    shard: int = ROOT
    written_off: int = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def entries(self) -> int:
        """How many entries the ledger gets for it."""
        return 2 if self.written_off else 1 if self.on_hand else 0


def hold(line: Line) -> Movement:
    return Movement(line.product_id, reserved=line.quantity)


def let_go(line: Line) -> Movement:
    return Movement(line.product_id, reserved=-line.quantity)


def hand_over(line: Line) -> Movement:
    """The shipped goods leave `on_hand` and `reserved`. The available count stays the same."""
    return Movement(line.product_id, on_hand=-line.quantity, reserved=-line.quantity)


def level_of(available: int, low_at: int) -> Level:
    if available <= 0:
        return Level.OUT
    return Level.LOW if available <= low_at else Level.OK


def bounds(level: Level, low_at: int) -> tuple[int, int | None]:
    """The least and the most available units at a level. None means no limit."""
    return {Level.OK: (low_at + 1, None), Level.LOW: (1, low_at), Level.OUT: (0, 0)}[level]


class Counted(Protocol):
    """The counts of a stock item, or the sums over all items of a hot product."""

    @property
    def product_id(self) -> str: ...
    @property
    def on_hand(self) -> int: ...
    @property
    def available(self) -> int: ...
    @property
    def level(self) -> Level: ...


@dataclass(frozen=True)
class Threshold:
    """The count at or below which stock is low. `own` is the product's own, None where the shop's `default` holds."""

    default: int
    own: int | None = None

    @property
    def low_at(self) -> int:
        return self.default if self.own is None else self.own


def level_to_tell(stock: Counted, *movements: Movement, low_at: int) -> Level | None:
    """Returns the level that an event has to tell after these movements, or None if no event is due.

    An event is due if the level changes, and if units are added within the low level. So the last event never has a
    lower count than what is available: the checkout, which reads it, refuses no buyer whom the stock could serve.
    """
    more = sum(movement.available for movement in movements)
    level = level_of(stock.available + more, low_at)
    return None if level is stock.level and not (level is Level.LOW and more > 0) else level


def merge(lines: Iterable[Line]) -> tuple[Line, ...]:
    """One line per product, sorted by product id, so that a retry of the same order makes the same chunks."""
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return tuple(Line(product_id, quantity) for product_id, quantity in sorted(quantities.items()))


def shortages(lines: Iterable[Line], stocks: Mapping[str, Counted]) -> list[Shortage]:
    """The lines that ask for more than is available, with the available count."""
    found = []
    for line in lines:
        stock = stocks.get(line.product_id)
        if stock is None or stock.available < line.quantity:
            found.append(Shortage(line.product_id, line.quantity, stock.available if stock else None))
    return found


@dataclass(frozen=True)
class Returned:
    """Units of one product that came back: those to sell again, and those that cannot be."""

    product_id: str
    restock: int
    write_off: int = 0


@dataclass(frozen=True)
class Adjustment:
    """The adjustment of one product: the difference and the reason. `written_off` units came in besides, and were lost
    at once.
    """

    product_id: str
    delta: int
    reason: str
    written_off: int = 0


@dataclass(frozen=True)
class Adjustments:
    """A request to adjust stock, all of it or nothing. `actor` is the user who made it."""

    adjustment_id: str
    fingerprint: str
    actor: str
    parts: tuple[Adjustment, ...]
    at: datetime


@dataclass(frozen=True)
class Adjusted:
    """A product's stock after an adjustment."""

    product_id: str
    on_hand: int
    available: int


def check_distinct(parts: Sequence[Adjustment]) -> None:
    seen: set[str] = set()
    for part in parts:
        if part.product_id in seen:
            raise DuplicateProduct(f"{part.product_id} stands twice; add the two up.", product_id=part.product_id)
        seen.add(part.product_id)


def adjust(stock: Counted, part: Adjustment) -> Adjusted:
    """The stock after the adjustment. Raises BelowZero if it would remove reserved goods."""
    if stock.available + part.delta < 0:
        raise BelowZero(
            f"{part.product_id} has {stock.available} available; {-part.delta} cannot be taken away.",
            product_id=part.product_id,
            available=stock.available,
        )
    return Adjusted(part.product_id, stock.on_hand + part.delta, stock.available + part.delta)


def adjust_all(stocks: Mapping[str, Counted], parts: Sequence[Adjustment]) -> list[Adjusted]:
    unknown = [part.product_id for part in parts if part.product_id not in stocks]
    if unknown:
        raise UnknownProduct(unknown)
    return [adjust(stocks[part.product_id], part) for part in parts]


@dataclass(frozen=True)
class LedgerEntry:
    """One change of `on_hand`. `balance` is the product's count after it, None where that is not proven. A transfer
    between shards leaves it as it is. `request_id` is None for an entry that is older than this field.
    """

    at: datetime
    kind: str
    delta: int
    balance: int | None
    cause: str
    actor: str
    reason: str
    request_id: str | None
    shard: int


@dataclass(frozen=True)
class Audit:
    """Whether the ledger agrees with the stock: its sum is `on_hand`, and no entry is missing."""

    product_id: str
    on_hand: int
    entries: int
    ledger_sum: int
    ledger_entries: int

    @property
    def balanced(self) -> bool:
        return self.on_hand == self.ledger_sum and self.entries == self.ledger_entries
