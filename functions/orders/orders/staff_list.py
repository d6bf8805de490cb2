"""The orders of all customers, as staff lists them. Together with orders.store it knows the keys of the orders' table.

Two rows of an order carry the index gsi2, both written with the order's facts:
- its summary, pk=order#<id>, sk=SUMMARY: gsi2pk=STATUS#<status>#<shard>, gsi2sk=<placed at>#<id>
- its entry, pk=ID#<first 4 of the id>, sk=<id>: gsi2pk=PLACED#<shard>, gsi2sk=<placed at>#<id>

The shard follows from the order's id. The newest orders are the end of every shard's partition, so a page merges the
shards. Eight shards take 8,000 writes a second, in the index's own write units.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from datetime import date
from itertools import batched

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import KeyRange, Table
from orders.order import Order, Status

SHARDS = 8
PREFIX = 4  # characters of an order's id, which is the least that a search for ids takes
_MOST_READ = 1000  # rows for one page: filters that match little end it short
_LIST = "ORDERS"


@dataclass(frozen=True)
class Wanted:
    """Which orders are listed. None takes all. The days are UTC's and inclusive, the amounts minor units."""

    status: Status | None = None
    first_day: date | None = None
    last_day: date | None = None
    customer_id: str | None = None
    least: int | None = None
    most: int | None = None
    currency: str | None = None
    id_prefix: str | None = None
    number: str | None = None

    def takes(self, row: Item) -> bool:
        total, placed_at = row["total"], row["placed_at"]
        return (
            self.status in (None, row["status"])
            and self.customer_id in (None, customer_of(row))
            and self.currency in (None, total["currency"])
            and (self.least is None or self.least <= total["amount"])
            and (self.most is None or total["amount"] <= self.most)
            and self._from <= placed_at <= self._to
        )

    @property
    def _from(self) -> str:
        return self.first_day.isoformat() if self.first_day else "0"

    @property
    def _to(self) -> str:
        return f"{self.last_day.isoformat()}~" if self.last_day else "~"  # after all times of that day

    def places(self, before: str | None) -> KeyRange:
        """The newest first, from a place on, itself included."""
        return KeyRange(between=(self._from, max(self._from, min(before or "~", self._to))), forward=False)


def index_keys(order: Order, partition: str) -> Item:
    """The keys in gsi2 of one of the order's rows."""
    shard = zlib.crc32(order.id.encode()) % SHARDS
    return {"gsi2pk": f"{partition}#{shard}", "gsi2sk": f"{rfc3339(order.placed_at)}#{order.id}"}


def entry_key(order_id: str) -> tuple[str, str]:
    return f"ID#{order_id[:PREFIX]}", order_id


def entry_item(order: Order) -> Item:
    pk, sk = entry_key(order.id)
    return {"pk": pk, "sk": sk} | index_keys(order, "PLACED") | {"order_id": order.id}


def number_key(number: str) -> tuple[str, str]:
    return f"NUMBER#{number}", "NUMBER"


def status_keys(order: Order) -> Item:
    return index_keys(order, f"STATUS#{order.status.value}")


def customer_of(row: Item) -> str:
    return str(row["gsi1pk"]).removeprefix("CUSTOMER#")


class StaffList:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find_page(self, wanted: Wanted, *, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
        """Summary rows, the newest order first; by id where a part of it is asked for.

        Reads at most so many rows: a page may hold fewer than `limit`, or none, and still have a cursor.
        """
        start = decode_cursor(cursor, pk=_LIST)
        rows = self._rows(wanted, start["sk"] if start else None, limit + 1)
        found: list[Item] = []
        for number, (place, row) in enumerate(rows, 1):
            if wanted.takes(row):
                found.append(row)
            if len(found) == limit or number == _MOST_READ:
                more = next(rows, None) is not None
                return found, encode_cursor({"pk": _LIST, "sk": place}) if more else None
        return found, None

    def _rows(self, wanted: Wanted, before: str | None, at_once: int) -> Iterator[tuple[str, Item]]:
        """Each order's place in the list and its summary row. `at_once` rows of a partition are read by one query."""
        if wanted.number:
            return self._by_number(wanted.number, before, at_once)
        if wanted.id_prefix:
            return self._by_id(wanted.id_prefix, before, at_once)
        places = wanted.places(before)
        if wanted.customer_id:
            rows = self._partition(f"CUSTOMER#{wanted.customer_id}", places, "gsi1", at_once)
        elif wanted.status:
            rows = self._shards(f"STATUS#{wanted.status.value}", places, at_once)
        else:
            rows = self._with_rows(self._shards("PLACED", places, at_once), at_once)
        return ((place, row) for place, row in rows if place != before)

    def _by_id(self, prefix: str, after: str | None, at_once: int) -> Iterator[tuple[str, Item]]:
        entries = self._table.query_all(f"ID#{prefix[:PREFIX]}", KeyRange(prefix=prefix), limit=at_once)
        following = ((item["sk"], item) for item in entries if after is None or item["sk"] > after)
        return self._with_rows(following, at_once)

    def _by_number(self, number: str, after: str | None, at_once: int) -> Iterator[tuple[str, Item]]:
        claim = self._table.get(*number_key(number))
        entries = [(claim["order_id"], claim)] if claim and after is None else []
        return self._with_rows(iter(entries), at_once)

    def _shards(self, partition: str, places: KeyRange, at_once: int) -> Iterator[tuple[str, Item]]:
        shards = [self._partition(f"{partition}#{shard}", places, "gsi2", at_once) for shard in range(SHARDS)]
        return heapq.merge(*shards, key=lambda found: found[0], reverse=True)

    def _partition(self, key: str, places: KeyRange, index: str, at_once: int) -> Iterator[tuple[str, Item]]:
        for item in self._table.query_all(key, places, index=index, limit=at_once):
            yield item[f"{index}sk"], item

    def _with_rows(self, entries: Iterator[tuple[str, Item]], at_once: int) -> Iterator[tuple[str, Item]]:
        for some in batched(entries, at_once, strict=False):
            rows = self._table.get_many([(f"order#{item['order_id']}", "SUMMARY") for _, item in some])
            by_id = {row["order_id"]: row for row in rows}
            yield from ((place, by_id[item["order_id"]]) for place, item in some if item["order_id"] in by_id)
