"""How one product's stock changes: the writes, and why a level is crossed exactly once with no crash in between.

A write that stays within the stored level says so in its condition (`level` and a range of `available`), so that any
number of orders may take from a well-stocked product without minding each other. A write that changes the level holds
for one `version` only, and its event is in the same transaction. The first try assumes plenty and reads nothing; a
refused condition brings the item that was there, and the next try uses it. For a hot product see shelf.py: a shard that
stays above the threshold is such a well-stocked item, and anything else goes with the root's version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from inventory.domain import ROOT, Level, Movement, Stock, bounds, crossing, level_of
from inventory.events import LowStock, Restocked
from inventory.shelf import Shelf
from mercato.clock import rfc3339
from mercato.events import EventModel, outbox
from mercato.ids import derived_id
from mercato.store.attributes import Item
from mercato.store.dynamo import Write, update

SERVICE = "inventory"

_MOVE = (
    "SET on_hand = on_hand + :on_hand, reserved = reserved + :reserved, available = available + :available, "
    "#version = #version + :one, #entries = #entries + :entries"
)


def stock_pk(product_id: str, shard: int = ROOT) -> str:
    """Each shard has a partition of its own, and its ledger with it."""
    return f"SHARD#{shard}#{product_id}" if shard else f"STOCK#{product_id}"


def stock_of(item: Item) -> Stock:
    counts = {name: item[name] for name in ("on_hand", "reserved", "version", "entries")}
    return Stock(
        product_id=item["product_id"],
        level=Level(item["level"]),
        shard=item.get("shard", ROOT),
        transfer=item.get("transfer", 0),
        shards=tuple(item.get("shards", ())),
        closing=frozenset(item.get("closing", ())),
        next_shard=item.get("next_shard", 1),
        **counts,
    )


def move(movements: Sequence[Movement], shelf: Shelf | None, low_at: int, now: datetime) -> list[Write]:
    """One product's movements, each on another item. No shelf seen: assume plenty.

    The items' writes come first and in their order, then the root's where it only bears witness, then the event.
    """
    if not any(movement.available for movement in movements):
        return [_move_within(one, _HELD, {":gone": -one.reserved}) for one in movements]
    if shelf is None:
        return [_take_plenty(movement, low_at) for movement in movements]
    if not shelf.shards:
        (movement,) = movements
        return _move_root(movement, shelf.root, low_at, now)
    return _move_together(movements, shelf, low_at, now)


def move_exactly(movement: Movement, stock: Stock, level: Level | None) -> Write:
    """A change of the stock item as it was seen, and of no other."""
    expression, names = _MOVE, {"#version": "version", "#entries": "entries"}
    values = _moved(movement) | {":seen": stock.version, ":least": max(0, -movement.available)}
    if level:
        expression += ", #level = :level"
        names, values = names | {"#level": "level"}, values | {":level": level}
    condition = "#version = :seen AND available >= :least"
    return update(
        stock_pk(movement.product_id, movement.shard), "STOCK", expression, condition, names=names, values=values
    )


def shard_level(available: int, low_at: int, *, is_closing: bool) -> Level:
    """A shard that closes is never `ok`: nothing of it moves without the root."""
    return Level.LOW if is_closing else level_of(available, low_at)


_HELD = "reserved >= :gone AND on_hand >= :gone"


def _take_plenty(movement: Movement, low_at: int) -> Write:
    """On the root, or on a shard: more than the threshold is left, and on a shard was there before, too."""
    least = low_at + 1 - movement.available
    if movement.shard:
        least = max(least, low_at + 1)
    return _move_within(movement, "#level = :stays AND available >= :least", {":stays": Level.OK, ":least": least})


def _move_root(movement: Movement, stock: Stock, low_at: int, now: datetime) -> list[Write]:
    """The one item of a product that is not hot."""
    level = crossing(stock, movement, low_at=low_at)
    if level:
        return [move_exactly(movement, stock, level), level_record(Shelf(stock), [movement], level, now)]
    if stock.level is Level.OK:
        return [_take_plenty(movement, low_at)]
    least, most = bounds(stock.level, low_at)
    # It may become hot meanwhile, and then its own count says nothing of the level.
    condition = "#level = :stays AND available BETWEEN :least AND :most AND attribute_not_exists(shards)"
    between = {":least": least - movement.available, ":most": (most or 0) - movement.available}
    return [_move_within(movement, condition, between | {":stays": stock.level})]


def _move_together(movements: Sequence[Movement], shelf: Shelf, low_at: int, now: datetime) -> list[Write]:
    """A hot product's. Where each shard moves alone, the root is left in peace."""
    writes, needs_root = [], False
    for movement in movements:
        if movement.shard == ROOT:
            continue
        stock = shelf.at(movement.shard)
        left = stock.available + movement.available
        if stock.level is Level.OK and min(stock.available, left) > low_at:
            writes.append(_take_plenty(movement, low_at))
        else:
            is_closing = stock.shard in shelf.root.closing
            writes.append(_move_low_shard(movement, stock, shard_level(left, low_at, is_closing=is_closing)))
            needs_root = True
    on_root = [movement for movement in movements if movement.shard == ROOT]
    if not needs_root and not on_root:
        return writes
    level = crossing(shelf, *movements, low_at=low_at)
    witness = on_root[0] if on_root else Movement(shelf.product_id)
    writes.append(move_exactly(witness, shelf.root, level))
    return [*writes, level_record(shelf, movements, level, now)] if level else writes


def _move_low_shard(movement: Movement, stock: Stock, level: Level) -> Write:
    """Under the root's version: nobody else changes a low shard's count meanwhile, and of one that becomes low we say
    which count we mean.
    """
    return update(
        stock_pk(movement.product_id, movement.shard),
        "STOCK",
        f"{_MOVE}, #level = :level",
        "available = :seen",
        names={"#version": "version", "#entries": "entries", "#level": "level"},
        values=_moved(movement) | {":level": level, ":seen": stock.available},
    )


def ledger_entry(movement: Movement, now: datetime, *, cause: str, kind: str, actor: str, reason: str) -> Item:
    """`cause` is the adjustment's or the order's id; `actor` who did it."""
    return {
        "pk": stock_pk(movement.product_id, movement.shard),
        "sk": f"LEDGER#{rfc3339(now)}#{cause}",
        "delta": movement.on_hand,
        "kind": kind,
        "cause": cause,
        "actor": actor,
        "reason": reason,
        "at": rfc3339(now),
    }


def level_record(shelf: Shelf, movements: Sequence[Movement], level: Level, now: datetime) -> Write:
    """The event of a change of level, as a write of its own. The root's version goes up with each, and counts them."""
    event = _level_event(shelf, movements, level)
    sequence = shelf.root.version + 1
    return outbox.record(event, service=SERVICE, subject=shelf.product_id, sequence=sequence, now=now)


def level_announcement(shelf: Shelf, movement: Movement, level: Level, now: datetime) -> str:
    """The same as the `event` attribute of a ledger entry."""
    event = _level_event(shelf, [movement], level)
    sequence = shelf.root.version + 1
    event_id = derived_id(SERVICE, event.TYPE, shelf.product_id, str(sequence))
    return outbox.encode(
        event, service=SERVICE, subject=shelf.product_id, event_id=event_id, sequence=sequence, now=now
    )


def _move_within(movement: Movement, condition: str, values: Mapping[str, int | str]) -> Write:
    """A change that commutes with others: it holds for any version that the condition allows."""
    names = {"#version": "version", "#entries": "entries"} | ({"#level": "level"} if "#level" in condition else {})
    bound = _moved(movement) | dict(values)
    pk = stock_pk(movement.product_id, movement.shard)
    return update(pk, "STOCK", _MOVE, condition, names=names, values=bound)


def _moved(movement: Movement) -> dict[str, int | str]:
    return {
        ":on_hand": movement.on_hand,
        ":reserved": movement.reserved,
        ":available": movement.available,
        ":one": 1,
        ":entries": 1 if movement.on_hand else 0,
    }


def _level_event(shelf: Shelf, movements: Sequence[Movement], level: Level) -> EventModel:
    available = shelf.available + sum(movement.available for movement in movements)
    if level is Level.OK:
        return Restocked(product_id=shelf.product_id, available=available)
    return LowStock(product_id=shelf.product_id, available=available, level="low" if level is Level.LOW else "out")
