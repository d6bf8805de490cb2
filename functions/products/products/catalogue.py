"""Reads the catalogue without scans: lists and searches, page by page.

A list reads one index (by name, price or creation) of the whole catalogue or of a category. A search reads the entries
of one of its words (layout.py) and compares its other words with the words in each entry. A search with a hyphen runs
once for the parts and once for the joined word:
- without a sort, it pages through the entries by word and then by name, at any size of catalogue;
- with a sort, it gathers at most MOST_SORTED matches and sorts them. If there are more, it asks for a narrower search.

A search covers name and sku, not the description. A product has at most MAX_TERMS entries: one per word, then one per
character of a script without spaces. A search finds a word beyond them only beside a word with an entry. A page reads
at most MOST_READ products and entries, so where few pass the filters it may hold fewer than the limit and still have a
next page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Invalid
from mercato.store.attributes import Item
from mercato.store.cursor import InvalidCursor, decode_cursor, encode_cursor
from mercato.store.dynamo import KeyRange, Page, Table
from products import layout
from products.domain import Product
from products.store import Products, to_product
from products.words import Asked, fold

MOST_READ = 1000
MOST_SORTED = 1000
_MOST_ENTRIES = 10_000
_PAGE = 100


class Sort(StrEnum):
    NAME = "name"
    PRICE = "price"
    PRICE_DOWN = "-price"
    NEWEST = "newest"

    @property
    def listed_by(self) -> str:
        if self is Sort.NAME:
            return layout.BY_NAME
        return layout.BY_CREATION if self is Sort.NEWEST else layout.BY_PRICE

    @property
    def is_ascending(self) -> bool:
        return self in (Sort.NAME, Sort.PRICE)


class TooManyMatches(Invalid):
    """The search matches more products than can be sorted."""


@dataclass(frozen=True)
class Filters:
    """Prices in minor units, both inclusive."""

    category: str | None = None
    min_price: int | None = None
    max_price: int | None = None

    def keep(self, product: Product) -> bool:
        """Also drops products that the index still lists because it lags behind the table."""
        return (
            product.is_active
            and (self.category is None or fold(self.category) == fold(product.category or ""))
            and (self.min_price is None or product.price.amount >= self.min_price)
            and (self.max_price is None or product.price.amount <= self.max_price)
        )


@dataclass(frozen=True)
class Found:
    items: list[Product]
    next_cursor: str | None


# A product (None: the entry does not match), and the key after which the next page starts.
type _Source = Iterator[tuple[Item, Product | None]]


class Catalogue:
    def __init__(self, table: Table, products: Products) -> None:
        self._table = table
        self._products = products

    def browse(self, filters: Filters, sort: Sort, limit: int, cursor: str | None) -> Found:
        index, partition = sort.listed_by, layout.list_partition(filters.category)
        start = decode_cursor(cursor, **{f"{index}pk": partition})
        bounds = _price_bounds(filters) if index == layout.BY_PRICE else None
        if start and bounds and not bounds[0] <= start[f"{index}sk"] <= bounds[1]:
            raise InvalidCursor("The cursor belongs to another range of prices; start again without one.")

        keys = KeyRange(between=bounds, forward=sort.is_ascending)

        def read(after: Item | None) -> Page:
            return self._table.query(partition, keys, index=index, start=after, limit=_page(limit))

        return _take(self._listed(_pages(read, start), index, filters.category is not None), filters, limit)

    def search(self, readings: Sequence[Asked], filters: Filters, limit: int, cursor: str | None) -> Found:
        """The matches in the order of the index: by the matched word, then by name."""
        first, start = _start(readings, cursor)
        return _take(self._matching(readings, first, start, _page(limit)), filters, limit)

    def search_sorted(
        self, readings: Sequence[Asked], filters: Filters, sort: Sort, limit: int, cursor: str | None
    ) -> Found:
        position = decode_cursor(cursor, pk=f"SORTED#{sort}")
        ids: dict[str, None] = {}
        entries = ((item, asked) for asked in readings for page in self._entries(asked, None, None) for item in page)
        for count, (entry, asked) in enumerate(entries):
            if asked.matches(entry["words"]):
                ids[entry["product_id"]] = None
            if len(ids) > MOST_SORTED or count >= _MOST_ENTRIES:
                raise TooManyMatches(
                    "This search matches too many products to sort them; add a word, or drop the sort."
                )
        kept = [product for product in self._products.get_many(ids).values() if filters.keep(product)]
        ordered = sorted(
            ((layout.sort_key(product, sort.listed_by), product) for product in kept),
            key=lambda pair: pair[0],
            reverse=not sort.is_ascending,
        )
        if position:
            passed = position["sk"]
            ordered = [pair for pair in ordered if (pair[0] > passed if sort.is_ascending else pair[0] < passed)]
        more = {"pk": f"SORTED#{sort}", "sk": ordered[limit - 1][0]} if len(ordered) > limit else None
        return Found([product for _, product in ordered[:limit]], encode_cursor(more))

    def _entries(self, asked: Asked, start: Item | None, size: int | None) -> Iterator[list[Item]]:
        keys = KeyRange(prefix=layout.word_prefix(asked.driver, whole=not asked.driver_is_prefix))
        partition = layout.word_partition(asked.driver)
        return _pages(
            lambda after: self._table.query(partition, keys, start=after, limit=size, consistent=False), start
        )

    def _listed(self, pages: Iterable[list[Item]], index: str, by_category: bool) -> _Source:
        """The catalogue's index holds whole products, a category's index only their ids."""
        for page in pages:
            products = self._products.get_many(item["product_id"] for item in page) if by_category else {}
            for item in page:
                key = {name: item[name] for name in ("pk", "sk", f"{index}pk", f"{index}sk")}
                yield key, products.get(item["product_id"]) if by_category else to_product(item)

    def _matching(self, readings: Sequence[Asked], first: int, start: Item | None, size: int) -> _Source:
        for number in range(first, len(readings)):
            for page in self._entries(readings[number], start, size):
                wanted = {item["product_id"] for item in page if _counts(item, readings, number)}
                products = self._products.get_many(wanted)
                for item in page:
                    key = {"pk": item["pk"], "sk": item["sk"], "reading": str(number)}
                    yield key, products.get(item["product_id"]) if _counts(item, readings, number) else None
            start = None


def _start(readings: Sequence[Asked], cursor: str | None) -> tuple[int, Item | None]:
    """The reading of the search at which the cursor points, and the entry after which to continue."""
    if cursor is None:
        return 0, None
    for number, asked in enumerate(readings):
        with suppress(InvalidCursor):
            key = decode_cursor(cursor, pk=layout.word_partition(asked.driver), reading=str(number))
            if key and key["sk"].startswith(layout.word_prefix(asked.driver, whole=not asked.driver_is_prefix)):
                return number, {"pk": key["pk"], "sk": key["sk"]}
    raise InvalidCursor("The cursor belongs to another search; start again without one.")


def _counts(entry: Item, readings: Sequence[Asked], number: int) -> bool:
    """Whether this entry is the first that finds the product, and the product has all words."""
    asked, words = readings[number], entry["words"]
    return (
        asked.matches(words)
        and asked.is_first_entry(entry["word"], words, entry.get("shared"))
        and not any(earlier.matches(words) for earlier in readings[:number])
    )


def _page(limit: int) -> int:
    """One more than the limit: the extra item shows that there is a next page."""
    return max(limit + 1, _PAGE // 4)


def _pages(read: Callable[[Item | None], Page], start: Item | None) -> Iterator[list[Item]]:
    while True:
        page = read(start)
        yield page.items
        if page.next_key is None:
            return
        start = page.next_key


def _price_bounds(filters: Filters) -> tuple[str, str]:
    low = layout.price_bound(filters.min_price or 0)
    high = layout.price_bound(10**13 - 2 if filters.max_price is None else filters.max_price)
    return low, f"{high}$"  # "$" is the next character after "#"


def _take(source: _Source, filters: Filters, limit: int) -> Found:
    kept: list[Product] = []
    last_kept: Item | None = None
    last: Item | None = None
    for read, (key, product) in enumerate(source):
        if read == MOST_READ:
            return Found(kept, encode_cursor(last))
        if product is not None and filters.keep(product):
            if len(kept) == limit:
                return Found(kept, encode_cursor(last_kept))
            kept.append(product)
            last_kept = key
        last = key
    return Found(kept, None)
