"""What inventory does. Every function may run twice, at once, or die in the middle: what it has done is in the store,
and whoever comes next goes on from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from inventory import domain, reservation
from inventory.domain import MOST_AT_ONCE, Adjusted, Adjustment, Adjustments, Audit, Line, Shortage, UnknownProduct
from inventory.reservation import NotReserved, Reservation, State, Step
from inventory.shelf import Choose, Shelf, StockMoved, place
from inventory.spreading import Change, gather, spread
from inventory.store import AdjustmentExists, ReservationMoved, TooManyWrites
from mercato.errors import IdempotencyKeyReused, TransientError
from mercato.ids import derived_id, fingerprint

# Each attempt sees the stock as it was at the last refusal, so losing this often means a product that everybody wants.
_ATTEMPTS = 12


class Stocks(Protocol):
    """The store, as the use cases need it."""

    @property
    def hot(self) -> Mapping[str, Sequence[int]]: ...
    def stock(self, product_id: str) -> Shelf | None: ...
    def stocks(self, product_ids: Iterable[str]) -> dict[str, Shelf]: ...
    def open_stock(self, product_id: str) -> None: ...
    def reservation(self, order_id: str) -> Reservation | None: ...
    def take(self, step: Step, seen: Mapping[str, Shelf], now: datetime) -> None: ...
    def adjustment(self, adjustment_id: str) -> tuple[str, list[Adjusted]] | None: ...
    def adjust(self, request: Adjustments, seen: Mapping[str, Shelf], results: list[Adjusted]) -> None: ...
    def apply(self, change: Change, shelf: Shelf, actor: str, now: datetime) -> None: ...
    def audit(self, product_id: str) -> Audit | None: ...


class _Short(Exception):
    """The lines not yet held cannot all be had."""

    def __init__(self, short: list[Shortage]) -> None:
        super().__init__(f"{len(short)} lines cannot be had")
        self.short = tuple(short)


def open_stock(product_id: str, stocks: Stocks) -> None:
    stocks.open_stock(product_id)


def find_stock(product_id: str, stocks: Stocks) -> Shelf:
    stock = stocks.stock(product_id)
    if stock is None:
        raise UnknownProduct([product_id])
    return stock


def reserve(
    order_id: str, lines: Iterable[Line], stocks: Stocks, now: datetime, choose: Choose = random.choice
) -> None:
    """All lines or none. Twice is once; after a release or a refusal it fails, each time alike.

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


def release(order_id: str, reason: str, stocks: Stocks, now: datetime) -> None:
    """Nothing is held for the order afterwards, and nothing can be: where nothing was, this leaves the tombstone."""
    _let_go_all(stocks.reservation(order_id) or Reservation(order_id), reason, stocks, now)


def keep(order_id: str, stocks: Stocks, now: datetime) -> None:
    """The reservation expires no more. Raises what a released one was released for."""
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
            lambda now_at, most: reservation.let_go_next(now_at, most, reservation.EXPIRED), current, stocks, now
        )
        was_expired = current.state is State.RELEASED and current.reason == reservation.EXPIRED
    return was_expired


def commit_shipped(order_id: str, stocks: Stocks, now: datetime) -> None:
    """The order's goods leave on_hand, once."""
    current = stocks.reservation(order_id)
    if current is None:
        raise NotReserved(f"Order {order_id} shipped, but nothing was ever reserved for it.")
    while current.state is not State.SHIPPED:
        current = _take(reservation.hand_over_next, current, stocks, now)


def adjust(request: Adjustments, stocks: Stocks) -> list[Adjusted]:
    """All parts or nothing. The same request again gets the first answer; another with its key is refused."""
    domain.check_distinct(request.parts)
    seen: dict[str, Shelf] = {}
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
            seen |= {product_id: shelf for product_id, shelf in moved.stocks.items() if shelf}
            seen |= stocks.stocks(moved.unread)
        except AdjustmentExists:
            seen = {}
        else:
            _spread_deliveries(request, seen, stocks)
            return results
    raise TransientError("the stock to be adjusted moves too fast")


def take_back(return_id: str, lines: Iterable[Line], stocks: Stocks, now: datetime) -> None:
    """Returned goods are on the shelf again, once, each with its ledger entry; so many products at a time."""
    returned = domain.merge(lines)
    for first in range(0, len(returned), MOST_AT_ONCE):
        parts = tuple(
            Adjustment(line.product_id, line.quantity, f"return {return_id}")
            for line in returned[first : first + MOST_AT_ONCE]
        )
        print_of_parts = fingerprint([vars(part) for part in parts])
        adjustment_id = derived_id("return", return_id, str(first))
        adjust(Adjustments(adjustment_id, print_of_parts, "order.return_accepted", parts, now), stocks)


def _spread_deliveries(request: Adjustments, seen: Mapping[str, Shelf], stocks: Stocks) -> None:
    """What came to a hot product's root goes to its shards. Until then, or if we die now, orders take it from there."""
    for part in request.parts:
        if part.delta > 0 and seen[part.product_id].shards:
            with suppress(TransientError):
                spread(part.product_id, request.actor, request.at, stocks)


def audit(product_id: str, stocks: Stocks) -> Audit:
    """Does the ledger add up to what is on hand?"""
    found = stocks.audit(product_id)
    if found is None:
        raise UnknownProduct([product_id])
    return found


def _same_request(request: Adjustments, fingerprint: str, results: list[Adjusted]) -> list[Adjusted]:
    if fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return results


def _refuse(current: Reservation, short: tuple[Shortage, ...], stocks: Stocks, now: datetime) -> Reservation:
    """Write the refusal down, so that a late or second attempt is refused alike, and undo the last chunk with it."""
    why = reservation.refusal_of(short).slug()
    return _take(lambda now_at, most: reservation.let_go_next(now_at, most, why, short), current, stocks, now)


def _let_go_all(current: Reservation, reason: str, stocks: Stocks, now: datetime) -> None:
    while current.state is not State.RELEASED:
        current = _take(lambda now_at, most: reservation.let_go_next(now_at, most, reason), current, stocks, now)


def _take(
    decide: Callable[[Reservation, int], Step],
    current: Reservation,
    stocks: Stocks,
    now: datetime,
    choose: Choose = random.choice,
) -> Reservation:
    """Takes one step. Returns the reservation after it, or as another invocation has moved it."""
    most, seen = reservation.LINES_PER_CHUNK, dict[str, Shelf]()
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
            seen |= {product_id: shelf for product_id, shelf in found.items() if shelf}
            if any(_cannot(movement, found) for movement in decide(current, most).movements):
                _raise_short(current, stocks)
        else:
            return step.after
    raise TransientError(f"the stock of order {current.order_id} moves too fast")


def _cannot(movement: domain.Movement, stocks: Mapping[str, Shelf | None]) -> bool:
    """The stock that was found there, if any was, does not allow this."""
    if movement.product_id not in stocks:
        return False
    shelf = stocks[movement.product_id]
    return shelf is None or shelf.available + movement.available < 0


def _raise_short(current: Reservation, stocks: Stocks) -> None:
    """Names every line that is short, not only the first. Returns if there is enough again by now."""
    wanted = current.not_held
    short = domain.shortages(wanted, stocks.stocks(line.product_id for line in wanted))
    if short:
        raise _Short(short)
