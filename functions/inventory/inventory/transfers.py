"""Transfers between a hot product's items: both items, their ledgers and the root's transfer number in one transaction.
The product's total stock and its level stay the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from inventory.domain import ROOT, Level, Movement, Stock
from inventory.movements import ledger_entry, shard_level, stock_pk
from inventory.product_stock import ProductStock
from inventory.resharding import Change, Close, Merge, Open, Shift
from mercato.store.dynamo import Write, delete, put_new, update

_NAMES = {"#version": "version", "#entries": "entries"}


def transfer(change: Change, product: ProductStock, low_at: int, actor: str, now: datetime) -> list[Write]:
    """The writes of one change, conditional on the root's version."""
    match change:
        case Open(count):
            return _open(product, count)
        case Close(shards):
            return _close(product, shards)
        case Merge(shard):
            return _merge(product, product.at(shard), actor, now)
        case Shift(to):
            return _shift(product, to, low_at, actor, now)


def _shift(product: ProductStock, to: Iterable[tuple[int, int]], low_at: int, actor: str, now: datetime) -> list[Write]:
    number, writes, given = product.root.transfer + 1, list[Write](), 0
    for shard, count in to:
        movement = Movement(product.product_id, on_hand=count, shard=shard)
        writes += [_shift_shard(movement, product, low_at), _entry(movement, number, actor, now)]
        given += count
    movement = Movement(product.product_id, on_hand=-given)
    return [_move_root(product.root, movement), _entry(movement, number, actor, now), *writes]


def _shift_shard(movement: Movement, product: ProductStock, low_at: int) -> Write:
    """A shard that stays above the threshold may give units to orders concurrently. Any other is pinned to its
    count.
    """
    count, stock = movement.on_hand, product.at(movement.shard)
    values: dict[str, int | str] = {":count": count, ":transfer": product.root.transfer + 1, ":one": 1}
    expression = (
        "SET on_hand = on_hand + :count, available = available + :count, transfer = :transfer, "
        "#version = #version + :one, #entries = #entries + :one"
    )
    if stock.level is Level.OK and min(stock.available, stock.available + count) > low_at:
        condition = "#level = :ok AND available >= :least"
        values |= {":ok": Level.OK, ":least": low_at + 1 + max(0, -count)}
    else:
        expression, condition = f"{expression}, #level = :level", "available = :seen"
        is_closing = stock.shard in product.root.closing
        values |= {":level": shard_level(stock.available + count, low_at, is_closing=is_closing)}
        values |= {":seen": stock.available}
    pk = stock_pk(stock.product_id, stock.shard)
    return update(pk, "STOCK", expression, condition, names=_NAMES | {"#level": "level"}, values=values)


def _open(product: ProductStock, count: int) -> list[Write]:
    root = product.root
    new = range(root.next_shard, root.next_shard + count)
    zeroes = dict.fromkeys(("on_hand", "reserved", "available", "version", "entries"), 0)
    empty = zeroes | {"product_id": root.product_id, "level": Level.OUT, "transfer": 0}
    if root.low_at is not None:
        empty |= {"low_at": root.low_at}
    opened = [put_new({"pk": stock_pk(root.product_id, shard), "sk": "STOCK", "shard": shard} | empty) for shard in new]
    wanted = "SET shards = :shards, next_shard = :next, #version = #version + :one"
    values = {":shards": [*root.shards, *new], ":next": new.stop}
    return [_update_root(root, wanted, values), *opened]


def _close(product: ProductStock, shards: tuple[int, ...]) -> list[Write]:
    """Makes the shards not `ok`, so that from now on every movement on them needs the root's version."""
    closing = sorted({*product.root.closing, *shards})
    shut = [
        update(
            stock_pk(product.product_id, shard),
            "STOCK",
            "SET #level = :low, #version = #version + :one",
            "attribute_exists(pk)",
            names={"#level": "level", "#version": "version"},
            values={":low": Level.LOW, ":one": 1},
        )
        for shard in shards
    ]
    return [
        _update_root(product.root, "SET closing = :closing, #version = #version + :one", {":closing": closing}),
        *shut,
    ]


def _merge(product: ProductStock, stock: Stock, actor: str, now: datetime) -> list[Write]:
    root, number = product.root, product.root.transfer + 1
    left = [shard for shard in root.shards if shard != stock.shard]
    there = Movement(product.product_id, on_hand=stock.on_hand, reserved=stock.reserved)
    gone = Movement(product.product_id, on_hand=-stock.on_hand, shard=stock.shard)
    if left:
        more = ", shards = :shards, closing = :closing"
        values = {":shards": left, ":closing": sorted(root.closing - {stock.shard})}
        moved = [_move_root(root, there, more, values)]
    else:
        moved = [_move_root(root, there, " REMOVE shards, closing")]
    if stock.on_hand:
        moved += [_entry(there, number, actor, now), _entry(gone, number, actor, now)]
    pk = stock_pk(stock.product_id, stock.shard)
    return [*moved, delete(pk, "STOCK", "version = :seen", values={":seen": stock.version})]


def _move_root(root: Stock, movement: Movement, more: str = "", values: dict[str, Any] | None = None) -> Write:
    expression = (
        "SET on_hand = on_hand + :on_hand, reserved = reserved + :reserved, available = available + :available, "
        "transfer = :transfer, #version = #version + :one, #entries = #entries + :entries" + more
    )
    moved: dict[str, Any] = {
        ":on_hand": movement.on_hand,
        ":reserved": movement.reserved,
        ":available": movement.available,
        ":transfer": root.transfer + 1,
        ":entries": 1 if movement.on_hand else 0,
    }
    return _update_root(root, expression, moved | (values or {}))


def _update_root(root: Stock, expression: str, values: dict[str, Any]) -> Write:
    names = _NAMES if "#entries" in expression else {"#version": "version"}
    return update(
        stock_pk(root.product_id, ROOT),
        "STOCK",
        expression,
        "#version = :seen",
        names=names,
        values=values | {":seen": root.version, ":one": 1},
    )


def _entry(movement: Movement, number: int, actor: str, now: datetime) -> Write:
    cause = f"transfer-{number}"
    return put_new(ledger_entry(movement, now, cause=cause, kind="transfer", actor=actor, reason="between shards"))
