"""The writes that change one product's stock, and why a level's crossing is published exactly once despite crashes.

A write that stays within the stored level has a condition on `level` and a range of `available`, so that any number of
orders may take from a well-stocked product without conflicts. A write that changes the level is conditional on one
`version`, and its event is in the same transaction. The first attempt assumes plenty of stock and reads nothing. A
refused condition returns the current item, and the next attempt uses it. A write that adds units within the low level
has its event and condition like one that changes the level. For a hot product see product_stock.py: a
shard that stays above the threshold is a well-stocked item, and every other movement is conditional on the root's
version.

A product may have its own threshold. A write that knows only the threshold, and not the version, has a condition on it.

The root of a product whose level is not `ok` is in the index of listing.py: the write that changes the level changes
its keys there too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from inventory.domain import ROOT, Level, Movement, Stock, Threshold, bounds, level_of, level_to_tell
from inventory.events import LowStock, Restocked
from inventory.listing import INDEX, level_keys
from inventory.product_stock import ProductStock
from mercato.clock import rfc3339
from mercato.events import EventModel, outbox
from mercato.ids import derived_id
from mercato.store.attributes import Item
from mercato.store.dynamo import Write, update
from mercato.telemetry import correlation

SERVICE = "inventory"

_MOVE = (
    "SET on_hand = on_hand + :on_hand, reserved = reserved + :reserved, available = available + :available, "
    "#version = #version + :one, #entries = #entries + :entries"
)


def stock_pk(product_id: str, shard: int = ROOT) -> str:
    """Each shard has its own partition with its own ledger."""
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
        low_at=item.get("low_at"),
        threshold_version=item.get("threshold_version", 0),
        **counts,
    )


def move(
    movements: Sequence[Movement], product: ProductStock | None, threshold: Threshold, now: datetime
) -> list[Write]:
    """The writes of one product's movements, each on another item. Without a known `product`, assumes plenty of stock.

    The items' writes come first in their order, then the root's version check, then the event.
    """
    if not any(movement.available for movement in movements):
        return [_move_within(one, _HELD, {":gone": -one.reserved}) for one in movements]
    if product is None:
        return [_take_plenty(movement, threshold) for movement in movements]
    if not product.shards:
        (movement,) = movements
        return _move_root(movement, product.root, threshold, now)
    return _move_together(movements, product, threshold, now)


def move_exactly(movement: Movement, stock: Stock, level: Level | None) -> Write:
    """A change on condition that the stock item is at the version that was read."""
    expression, names = _MOVE, {"#version": "version", "#entries": "entries"}
    values = _moved(movement) | {":seen": stock.version, ":least": max(0, -movement.available)}
    if level:
        keys = level_keys(stock.product_id, level)
        expression += ", #level = :level" + "".join(f", {name} = :{name}" for name in keys)
        expression += _remove([name for name in INDEX if name not in keys])
        names, values = names | {"#level": "level"}, values | {":level": level}
        values |= {f":{name}": key for name, key in keys.items()}
    condition = "#version = :seen AND available >= :least"
    return update(
        stock_pk(movement.product_id, movement.shard), "STOCK", expression, condition, names=names, values=values
    )


def set_threshold(product: ProductStock, own: int | None, default: int, now: datetime) -> list[Write]:
    """Sets the threshold of all items of the product, on condition of the root's version, and publishes the crossing if
    the level differs by it. A shard that stays above the threshold may give units to orders concurrently. Any other is
    pinned to its count, so that the level follows from exact counts.
    """
    root, low_at = product.root, Threshold(default, own).low_at
    level = level_of(product.available, low_at)
    values: dict[str, int | str] = {":one": 1}
    own_set, removed = "", ["low_at"]
    if own is not None:
        own_set, removed, values = ", low_at = :own", [], values | {":own": own}
    names = {"#level": "level", "#version": "version"}
    writes = []
    for stock in product.shards:
        level_then = shard_level(stock.available, low_at, is_closing=stock.shard in root.closing)
        if level_then is Level.OK:
            condition, seen = "available >= :least", {":least": low_at + 1}
        else:
            condition, seen = "available = :count", {":count": stock.available}
        expression = f"SET #level = :level, #version = #version + :one{own_set}{_remove(removed)}"
        pk = stock_pk(stock.product_id, stock.shard)
        bound = values | seen | {":level": level_then}
        writes.append(update(pk, "STOCK", expression, condition, names=names, values=bound))
    keys = level_keys(root.product_id, level)
    expression = (
        "SET threshold_version = :next, #level = :level, #version = #version + :one"
        + own_set
        + "".join(f", {name} = :{name}" for name in keys)
        + _remove(removed + [name for name in INDEX if name not in keys])
    )
    values |= {":level": level, ":next": root.threshold_version + 1, ":seen": root.version}
    values |= {f":{name}": key for name, key in keys.items()}
    pk = stock_pk(root.product_id)
    writes.insert(0, update(pk, "STOCK", expression, "#version = :seen", names=names, values=values))
    return writes if level is root.level else [*writes, level_record(product, [], level, now)]


def _remove(names: Sequence[str]) -> str:
    return f" REMOVE {', '.join(names)}" if names else ""


def shard_level(available: int, low_at: int, *, is_closing: bool) -> Level:
    """The level of a shard. A closing shard is never `ok`, so that each of its movements needs the root's version."""
    return Level.LOW if is_closing else level_of(available, low_at)


_HELD = "reserved >= :gone AND on_hand >= :gone"


def _take_plenty(movement: Movement, threshold: Threshold) -> Write:
    """Takes from the root or a shard, on condition that it stays above the threshold; a shard must be above it
    before.
    """
    least = threshold.low_at + 1 - movement.available
    if movement.shard:
        least = max(least, threshold.low_at + 1)
    known, own = _same(threshold)
    condition = f"#level = :stays AND available >= :least AND {known}"
    return _move_within(movement, condition, own | {":stays": Level.OK, ":least": least})


def _same(threshold: Threshold) -> tuple[str, dict[str, int | str]]:
    """The condition that the item's threshold is this one."""
    if threshold.own is None:
        return "attribute_not_exists(low_at)", {}
    return "low_at = :low_at", {":low_at": threshold.own}


def _move_root(movement: Movement, stock: Stock, threshold: Threshold, now: datetime) -> list[Write]:
    """Moves the only item of a product that is not hot."""
    level = level_to_tell(stock, movement, low_at=threshold.low_at)
    if level:
        return [move_exactly(movement, stock, level), level_record(ProductStock(stock), [movement], level, now)]
    if stock.level is Level.OK:
        return [_take_plenty(movement, threshold)]
    least, most = bounds(stock.level, threshold.low_at)
    known, own = _same(threshold)
    # If the product becomes hot in between, the root's count alone does not give the level.
    condition = f"#level = :stays AND available BETWEEN :least AND :most AND attribute_not_exists(shards) AND {known}"
    between = own | {":least": least - movement.available, ":most": (most or 0) - movement.available}
    return [_move_within(movement, condition, between | {":stays": stock.level})]


def _move_together(
    movements: Sequence[Movement], product: ProductStock, threshold: Threshold, now: datetime
) -> list[Write]:
    """Moves the items of a hot product. Writes the root only if a shard is at or below the threshold."""
    writes, needs_root, low_at = [], False, threshold.low_at
    for movement in movements:
        if movement.shard == ROOT:
            continue
        stock = product.at(movement.shard)
        left = stock.available + movement.available
        if stock.level is Level.OK and min(stock.available, left) > low_at:
            writes.append(_take_plenty(movement, threshold))
        else:
            is_closing = stock.shard in product.root.closing
            writes.append(_move_low_shard(movement, stock, shard_level(left, low_at, is_closing=is_closing)))
            needs_root = True
    on_root = [movement for movement in movements if movement.shard == ROOT]
    if not needs_root and not on_root:
        return writes
    level = level_to_tell(product, *movements, low_at=low_at)
    witness = on_root[0] if on_root else Movement(product.product_id)
    writes.append(move_exactly(witness, product.root, level))
    return [*writes, level_record(product, movements, level, now)] if level else writes


def _move_low_shard(movement: Movement, stock: Stock, level: Level) -> Write:
    """Guarded by the root's version, so no other writer changes a low shard. For a shard that becomes low, the
    condition also pins its count.
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
    """`cause` is the id of the adjustment, the order or the transfer, `actor` the user or the event that made it."""
    return {
        "pk": stock_pk(movement.product_id, movement.shard),
        "sk": f"LEDGER#{rfc3339(now)}#{cause}",
        "delta": movement.on_hand,
        "kind": kind,
        "cause": cause,
        "actor": actor,
        "reason": reason,
        "at": rfc3339(now),
        "request_id": correlation.current().correlation_id,
    }


def level_record(product: ProductStock, movements: Sequence[Movement], level: Level, now: datetime) -> Write:
    """The outbox record of an event about the level. Its write increases the root's version, which is its sequence."""
    event = _level_event(product, movements, level)
    sequence = product.root.version + 1
    return outbox.record(event, service=SERVICE, subject=product.product_id, sequence=sequence, now=now)


def level_announcement(product: ProductStock, movement: Movement, level: Level, now: datetime) -> str:
    """The same event as the `event` attribute of a ledger entry."""
    event = _level_event(product, [movement], level)
    sequence = product.root.version + 1
    event_id = derived_id(SERVICE, event.TYPE, product.product_id, str(sequence))
    return outbox.encode(
        event, service=SERVICE, subject=product.product_id, event_id=event_id, sequence=sequence, now=now
    )


def _move_within(movement: Movement, condition: str, values: Mapping[str, int | str]) -> Write:
    """A change that commutes with others: it succeeds at any version that meets the condition."""
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
        ":entries": movement.entries,
    }


def _level_event(product: ProductStock, movements: Sequence[Movement], level: Level) -> EventModel:
    available = product.available + sum(movement.available for movement in movements)
    if level is Level.OK:
        return Restocked(product_id=product.product_id, available=available)
    return LowStock(product_id=product.product_id, available=available, level="low" if level is Level.LOW else "out")
