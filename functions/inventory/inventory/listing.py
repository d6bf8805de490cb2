"""The products' stock as staff lists it, through sparse indexes and without a scan.

STOCK#<product>  LISTED   gsi1pk=STOCKS#<shard>  gsi1sk=<product>     written once, with the product's first stock item
STOCK#<product>  STOCK    gsi1pk=LOW#<shard>     gsi1sk=<0 or 1>#<product>   while its level is `out` (0) or `low` (1)

The list of all products is made of items that never change, so no order writes to it. The shard follows from the
product's id. A page merges the shards, and then reads the products' current stock by key.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import batched, chain

from inventory.domain import Level
from inventory.product_stock import ProductStock
from mercato.dataclass import dataclass
from mercato.store.attributes import Item
from mercato.store.cursor import InvalidCursor, decode_cursor, encode_cursor
from mercato.store.dynamo import KeyRange, Table

INDEX = ("gsi1pk", "gsi1sk")
_SHARDS = 8
_RANKS = {Level.OUT: "0", Level.LOW: "1"}
_RANK = 2  # characters of a place before the product's id
_MAX_PLACE = _RANK + 64
_MOST_READ = 1000  # index entries for one page; a page whose products have moved since ends short


class Sort(StrEnum):
    """By product id, or by level: first what is out of stock, then what is low, then the others."""

    PRODUCT = "product"
    LEVEL = "level"


@dataclass(frozen=True)
class StockPage:
    items: list[ProductStock]
    next_cursor: str | None


def listed_item(product_id: str) -> Item:
    keys = _keys("STOCKS", product_id, product_id)
    return {"pk": f"STOCK#{product_id}", "sk": "LISTED", "product_id": product_id} | keys


def level_keys(product_id: str, level: Level) -> dict[str, str]:
    """The index keys of a root at this level; empty for `ok`."""
    return _keys("LOW", product_id, f"{_RANKS[level]}#{product_id}") if level in _RANKS else {}


def _keys(partition: str, product_id: str, place: str) -> dict[str, str]:
    return {"gsi1pk": f"{partition}#{zlib.crc32(product_id.encode()) % _SHARDS}", "gsi1sk": place}


class StockList:
    """`read` returns the current stock of the products that exist."""

    def __init__(self, table: Table, read: Callable[[Iterable[str]], dict[str, ProductStock]]) -> None:
        self._table = table
        self._read = read

    def find_page(self, sort: Sort, *, low_only: bool, limit: int, cursor: str | None) -> StockPage:
        """A product whose level changes while the pages are read may be on none of them, or on two."""
        name = "STOCKS-LOW" if low_only else f"STOCKS-{sort.value.upper()}"
        start = decode_cursor(cursor, pk=name)
        if start and (len(start["sk"]) > _MAX_PLACE or not start["sk"].startswith(("0#", "1#", "2#"))):
            raise InvalidCursor("The cursor cannot be read; start again without one.")
        places = self._places(sort, start["sk"] if start else "", limit + 1, low_only=low_only)
        found: list[ProductStock] = []
        number, last = 0, ""
        for some in batched(places, limit + 1, strict=False):
            stocks = self._read(place[_RANK:] for place in some)
            for place in some:
                if len(found) == limit or number == _MOST_READ:
                    return StockPage(found, encode_cursor({"pk": name, "sk": last}))
                number, last = number + 1, place
                product = stocks.get(place[_RANK:])
                # The index lags behind the table, and the list of all has what is low, too.
                is_low, is_here = product is not None and product.level is not Level.OK, not place.startswith("2#")
                if product and (is_low == is_here or (sort is Sort.PRODUCT and not low_only)):
                    found.append(product)
        return StockPage(found, None)

    def _places(self, sort: Sort, after: str, at_once: int, *, low_only: bool) -> Iterator[str]:
        """<rank>#<product>, in order. In the list of all products each has the rank 2."""
        low = self._merged("LOW", after, at_once) if after < "2" else iter(())
        if low_only:
            return low
        others = self._merged("STOCKS", after[_RANK:] if after > "2" else "", at_once)
        ranked = (f"2#{product_id}" for product_id in others)
        return ranked if sort is Sort.PRODUCT else chain(low, ranked)

    def _merged(self, partition: str, after: str, at_once: int) -> Iterator[str]:
        return heapq.merge(*(self._shard(f"{partition}#{shard}", after, at_once) for shard in range(_SHARDS)))

    def _shard(self, key: str, after: str, at_once: int) -> Iterator[str]:
        keys = KeyRange(after=after) if after else KeyRange()
        for item in self._table.query_all(key, keys, index="gsi1", limit=at_once):
            yield item["gsi1sk"]
