"""The use cases of inventory. All are idempotent and safe under concurrency and crashes: progress is in the store, and
the next call continues from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from inventory import domain, reservation
from inventory.domain import (
    MOST_AT_ONCE,
    MOST_RETURNED_AT_ONCE,
    Adjusted,
    Adjustment,
    Adjustments,
    Audit,
    LedgerEntry,
    LedgerTooLong,
    Line,
    Returned,
    Shortage,
    StaleThreshold,
    UnknownProduct,
)
from inventory.product_stock import Choose, ProductStock, StockMoved, place
from inventory.reservation import NotReserved, Reservation, State, Step
from inventory.resharding import Change, gather, spread
from inventory.store import AdjustmentExists, ReservationMoved, TooManyWrites
from mercato.errors import IdempotencyKeyReused, TransientError
from mercato.ids import derived_id, fingerprint

# Each attempt uses the stock as of the last refusal, so it fails this often only for a product in very high demand.
_ATTEMPTS = 12
MOST_AUDITED = 2000  # entries: less than 1 MB, which one query reads


class Stocks(Protocol):
    """The store as the use cases need it."""

    @property
    def hot(self) -> Mapping[str, Sequence[int]]: ...
    def stock(self, product_id: str) -> ProductStock | None: ...
    def stocks(self, product_ids: Iterable[str]) -> dict[str, ProductStock]: ...
    def open_stock(self, product_id: str) -> None: ...
    def reservation(self, order_id: str) -> Reservation | None: ...
    def take(self, step: Step, seen: Mapping[str, ProductStock], now: datetime) -> None: ...
    def adjustment(self, adjustment_id: str) -> tuple[str, list[Adjusted]] | None: ...
    def adjust(self, request: Adjustments, seen: Mapping[str, ProductStock], results: list[Adjusted]) -> None: ...
    def apply(self, change: Change, product: ProductStock, actor: str, now: datetime) -> None: ...
    def set_threshold(self, product: ProductStock, own: int | None, now: datetime) -> None: ...
    def ledger(self, product_id: str, limit: int, cursor: str | None) -> tuple[list[LedgerEntry], str | None]: ...
    def audit(self, product_id: str) -> Audit | None: ...


class _Short(Exception):
    """Some lines that are not held yet ask for more than is available."""

    def __init__(self, short: list[Shortage]) -> None:
        super().__init__(f"{len(short)} lines cannot be had")
        self.short = tuple(short)


def open_stock(product_id: str, stocks: Stocks) -> None:
    stocks.open_stock(product_id)


def find_stock(product_id: str, stocks: Stocks) -> ProductStock:
    stock = stocks.stock(product_id)
    if stock is None:
        raise UnknownProduct([product_id])
    return stock


def reserve(
    order_id: str, lines: Iterable[Line], stocks: Stocks, now: datetime, choose: Choose = random.choice
) -> Reservation:
    """Reserves all lines or none. Idempotent. After a release or a refusal it raises the same error each time.

    `choose` picks the shard of a hot product.
    """
    current = Reservation(order_id, domain.merge(lines), expires_at=now + reservation.RESERVED_FOR)
    while current.state in (State.NEW, State.RESERVING):
        try:
            current = _take(reservation.hold_next, current, stocks, now, choose)
        except _Short as found:
            current = _refuse(current, found.short, stocks, now)
    if current.state in (State.RELEASING, State.RELEASED):
        _let_go_all(current, "refused", stocks, now)
        raise reservation.refused(current)
    return current


def release(order_id: str, reason: str, stocks: Stocks, now: datetime) -> None:
    """Releases the order's stock. Idempotent. Without a reservation it writes the tombstone, so a late reserve
    fails.
    """
    _let_go_all(stocks.reservation(order_id) or Reservation(order_id), reason, stocks, now)


def keep(order_id: str, stocks: Stocks, now: datetime) -> None:
    """Removes the reservation's expiry. Raises the stored error of a released reservation."""
    current = stocks.reservation(order_id)
    if current is None:
        raise NotReserved(f"Nothing was ever reserved for order {order_id}.")
    while not current.is_kept:
        current = _take(lambda now_at, _: reservation.keep(now_at), current, stocks, now)


def expire(order_id: str, stocks: Stocks, now: datetime) -> bool:
    """Releases an expired reservation. Returns False if it was kept or has ended in between."""
    current = stocks.reservation(order_id)
    was_expired = False
    while current is not None and reservation.is_expired(current, now):
        current = _take(
            lambda now_at, most: reservation.release_next(now_at, most, reservation.EXPIRED), current, stocks, now
        )
        was_expired = current.state is State.RELEASED and current.reason == reservation.EXPIRED
    return was_expired


def commit_shipped(order_id: str, stocks: Stocks, now: datetime) -> None:
    """Removes the order's goods from `on_hand`. Idempotent."""
    current = stocks.reservation(order_id)
    if current is None:
        raise NotReserved(f"Order {order_id} shipped, but nothing was ever reserved for it.")
    while current.state is not State.SHIPPED:
        current = _take(reservation.hand_over_next, current, stocks, now)


def adjust(request: Adjustments, stocks: Stocks) -> list[Adjusted]:
    """Adjusts all products or none. A retry returns the first outcome. Refuses a different request with the
    same key.
    """
    domain.check_distinct(request.parts)
    seen: dict[str, ProductStock] = {}
    for _ in range(_ATTEMPTS):
        done = stocks.adjustment(request.adjustment_id)
        if done is not None:
            return _same_request(request, *done)
        if not seen:
            seen = stocks.stocks(part.product_id for part in request.parts)
        domain.adjust_all(seen, request.parts)
        for part in request.parts:
            if seen[part.product_id].root.available + part.delta < 0:
                seen |= {part.product_id: gather(part.product_id, -part.delta, request.actor, request.at, stocks)}
        results = domain.adjust_all(seen, request.parts)
        try:
            stocks.adjust(request, seen, results)
        except StockMoved as moved:
            seen |= {product_id: product for product_id, product in moved.stocks.items() if product}
            seen |= stocks.stocks(moved.unread)
        except AdjustmentExists:
            seen = {}
        else:
            _spread_deliveries(request, seen, stocks)
            return results
    raise TransientError("the stock to be adjusted changes too often")


def take_back(return_id: str, lines: Iterable[Returned], actor: str, stocks: Stocks, now: datetime) -> None:
    """Puts returned goods back in stock and writes off what cannot be sold again, each with its ledger entries.
    Idempotent: so many products at a time, and the parts follow from the return alone.
    """
    returned = sorted((line for line in lines if line.restock or line.write_off), key=lambda line: line.product_id)
    at_once = MOST_RETURNED_AT_ONCE if any(line.write_off for line in returned) else MOST_AT_ONCE
    for first in range(0, len(returned), at_once):
        parts = tuple(
            Adjustment(line.product_id, line.restock, f"return {return_id}", line.write_off)
            for line in returned[first : first + at_once]
        )
        adjustment_id = derived_id("return", return_id, str(first))
        adjust(Adjustments(adjustment_id, fingerprint([_printed(part) for part in parts]), actor, parts, now), stocks)


def _printed(part: Adjustment) -> dict[str, object]:
    """A part without a write-off has the same fingerprint as in releases before there were any."""
    return {name: value for name, value in vars(part).items() if value or name != "written_off"}


def _spread_deliveries(request: Adjustments, seen: Mapping[str, ProductStock], stocks: Stocks) -> None:
    """Spreads goods on a hot product's root over its shards. Until then, also after a crash, orders take from
    the root.
    """
    for part in request.parts:
        if part.delta > 0 and seen[part.product_id].shards:
            with suppress(TransientError):
                spread(part.product_id, request.actor, request.at, stocks)


def set_threshold(product_id: str, own: int | None, version: int, stocks: Stocks, now: datetime) -> ProductStock:
    """Sets the product's own threshold; None has it follow the shop's again. `version` is the threshold's version that
    the caller has read. Idempotent: the same change again finds itself done.
    """
    for _ in range(_ATTEMPTS):
        product = find_stock(product_id, stocks)
        root = product.root
        if root.threshold_version == version + 1 and root.low_at == own:
            return product
        if root.threshold_version != version:
            raise StaleThreshold(
                f"The threshold of {product_id} is at version {root.threshold_version}, not {version}; "
                "read it again and repeat your change.",
                version=root.threshold_version,
            )
        with suppress(StockMoved):
            stocks.set_threshold(product, own, now)
    raise TransientError(f"the stock of {product_id} changes too often")


def list_ledger(
    product_id: str, limit: int, cursor: str | None, stocks: Stocks
) -> tuple[list[LedgerEntry], str | None]:
    find_stock(product_id, stocks)
    return stocks.ledger(product_id, limit, cursor)


def audit(product_id: str, stocks: Stocks) -> Audit:
    """Compares the ledger with `on_hand`. Raises LedgerTooLong for more entries than one request may read."""
    entries = sum(stock.entries for stock in find_stock(product_id, stocks).places)
    if entries > MOST_AUDITED:
        raise LedgerTooLong(
            f"The ledger of {product_id} has {entries} entries, and one request sums up {MOST_AUDITED}; "
            "`mercato inventory audit` proves it.",
            entries=entries,
        )
    found = stocks.audit(product_id)
    if found is None:
        raise UnknownProduct([product_id])
    return found


def _same_request(request: Adjustments, fingerprint: str, results: list[Adjusted]) -> list[Adjusted]:
    if fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return results


def _refuse(current: Reservation, short: tuple[Shortage, ...], stocks: Stocks, now: datetime) -> Reservation:
    """Stores the refusal, so that a late or second attempt gets the same one, and releases the last chunk with it."""
    why = reservation.refusal_of(short).slug()
    return _take(lambda now_at, most: reservation.release_next(now_at, most, why, short), current, stocks, now)


def _let_go_all(current: Reservation, reason: str, stocks: Stocks, now: datetime) -> None:
    while current.state is not State.RELEASED:
        current = _take(lambda now_at, most: reservation.release_next(now_at, most, reason), current, stocks, now)


def _take(
    decide: Callable[[Reservation, int], Step],
    current: Reservation,
    stocks: Stocks,
    now: datetime,
    choose: Choose = random.choice,
) -> Reservation:
    """Takes one step. Returns the reservation after it, or as another invocation has changed it."""
    most, seen = reservation.LINES_PER_CHUNK, dict[str, ProductStock]()
    for _ in range(_ATTEMPTS):
        step = place(decide(current, most), seen, stocks.hot, choose)
        try:
            stocks.take(step, seen, now)
        except TooManyWrites:
            most //= 2
        except ReservationMoved:
            moved = stocks.reservation(current.order_id)
            return current if moved is None else moved
        except StockMoved as moved_stock:
            found = moved_stock.stocks | dict.fromkeys(moved_stock.unread) | stocks.stocks(moved_stock.unread)
            seen |= {product_id: product for product_id, product in found.items() if product}
            if any(_cannot(movement, found) for movement in decide(current, most).movements):
                _raise_short(current, stocks)
        else:
            return step.after
    raise TransientError(f"the stock of order {current.order_id} changes too often")


def _cannot(movement: domain.Movement, stocks: Mapping[str, ProductStock | None]) -> bool:
    """Whether the known stock does not allow this movement."""
    if movement.product_id not in stocks:
        return False
    product = stocks[movement.product_id]
    return product is None or product.available + movement.available < 0


def _raise_short(current: Reservation, stocks: Stocks) -> None:
    """Raises OutOfStock with every short line, not only the first. Returns if there is enough by now."""
    wanted = current.not_held
    short = domain.shortages(wanted, stocks.stocks(line.product_id for line in wanted))
    if short:
        raise _Short(short)
