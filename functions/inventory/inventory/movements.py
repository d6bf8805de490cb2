"""How one stock item changes: the writes, and why a level is crossed exactly once with no crash in between.

A write that stays within the stored level says so in its condition (`level` and a range of `available`), so that any
number of orders may take from a well-stocked product without minding each other. A write that changes the level holds
for one `version` only, and its event is in the same transaction. The first try assumes plenty and reads nothing; a
refused condition brings the item that was there, and the next try uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from inventory.domain import Level, Movement, Stock, bounds, crossing
from inventory.events import LowStock, Restocked
from mercato import outbox
from mercato.clock import rfc3339
from mercato.dynamo import Write, update
from mercato.events import EventModel
from mercato.ids import derived_id
from mercato.items import Item

SERVICE = "inventory"

_MOVE = (
    "SET on_hand = on_hand + :on_hand, reserved = reserved + :reserved, available = available + :available, "
    "#version = #version + :one, #entries = #entries + :entries"
)


def stock_pk(product_id: str) -> str:
    return f"STOCK#{product_id}"


def stock_of(item: Item) -> Stock:
    counts = {name: item[name] for name in ("on_hand", "reserved", "version", "entries")}
    return Stock(product_id=item["product_id"], level=Level(item["level"]), **counts)


def move(movement: Movement, stock: Stock | None, low_at: int, now: datetime) -> list[Write]:
    """The stock item's write comes first, then its event where the level changes. No stock seen: assume plenty."""
    if not movement.available:
        return [_move_within(movement, "reserved >= :gone AND on_hand >= :gone", {":gone": -movement.reserved})]
    level = crossing(stock, movement, low_at) if stock else None
    if stock and level:
        event = _level_event(movement.product_id, level, stock.available + movement.available)
        sequence = stock.version + 1
        record = outbox.record(event, service=SERVICE, subject=movement.product_id, sequence=sequence, now=now)
        return [move_exactly(movement, stock, level), record]
    stays = stock.level if stock else Level.OK
    least, most = bounds(stays, low_at)
    condition, values = "#level = :stays AND available >= :least", {":least": least - movement.available}
    if most is not None:
        condition, values = condition + " AND available <= :most", values | {":most": most - movement.available}
    return [_move_within(movement, condition, values | {":stays": stays})]


def move_exactly(movement: Movement, stock: Stock, level: Level | None) -> Write:
    """A change of the stock as it was seen, and of no other."""
    expression, names = _MOVE, {"#version": "version", "#entries": "entries"}
    values = _moved(movement) | {":seen": stock.version, ":least": max(0, -movement.available)}
    if level:
        expression += ", #level = :level"
        names, values = names | {"#level": "level"}, values | {":level": level}
    condition = "#version = :seen AND available >= :least"
    return update(stock_pk(movement.product_id), "STOCK", expression, condition, names=names, values=values)


def ledger_entry(movement: Movement, now: datetime, *, cause: str, kind: str, actor: str, reason: str) -> Item:
    """`cause` is the adjustment's or the order's id; `actor` who did it."""
    return {
        "pk": stock_pk(movement.product_id),
        "sk": f"LEDGER#{rfc3339(now)}#{cause}",
        "delta": movement.on_hand,
        "kind": kind,
        "cause": cause,
        "actor": actor,
        "reason": reason,
        "at": rfc3339(now),
    }


def level_announcement(movement: Movement, stock: Stock, level: Level, now: datetime) -> str:
    """The `event` attribute of a ledger entry that changes the level."""
    event = _level_event(movement.product_id, level, stock.available + movement.available)
    sequence = stock.version + 1
    event_id = derived_id(SERVICE, event.TYPE, movement.product_id, str(sequence))
    return outbox.encode(
        event, service=SERVICE, subject=movement.product_id, event_id=event_id, sequence=sequence, now=now
    )


def _move_within(movement: Movement, condition: str, values: Mapping[str, int | str]) -> Write:
    """A change that commutes with others: it holds for any version that the condition allows."""
    names = {"#version": "version", "#entries": "entries"} | ({"#level": "level"} if "#level" in condition else {})
    bound = _moved(movement) | dict(values)
    return update(stock_pk(movement.product_id), "STOCK", _MOVE, condition, names=names, values=bound)


def _moved(movement: Movement) -> dict[str, int | str]:
    return {
        ":on_hand": movement.on_hand,
        ":reserved": movement.reserved,
        ":available": movement.available,
        ":one": 1,
        ":entries": 1 if movement.on_hand else 0,
    }


def _level_event(product_id: str, level: Level, available: int) -> EventModel:
    if level is Level.OK:
        return Restocked(product_id=product_id, available=available)
    return LowStock(product_id=product_id, available=available, level="low" if level is Level.LOW else "out")
