"""Checks that the inventory's table is consistent. The functions are pure: they take items and return differences.

For each product, the ledger's sum equals `on_hand`, no entry is missing, the sum of the reservations equals `reserved`,
and no figure is negative. A hot product's stock has several items (shards), each with its own ledger. Each product is
in the list of all products, and in the list of what is low only by its level (inventory.listing).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from inventory.domain import Level
from inventory.listing import INDEX, level_keys, listed_item
from mercato.store.attributes import Item

_HOLDING = {"reserving", "reserved", "releasing", "shipping"}


@dataclass
class ProductBook:
    """One product's figures, summed over its stock items."""

    product_id: str
    items: int = 0
    on_hand: int = 0
    reserved: int = 0
    available: int = 0
    ledger: int = 0
    held: int = 0
    orders: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def balances(self) -> bool:
        return not self.problems


def audit(items: Iterable[Item]) -> list[ProductBook]:
    """Returns each product's book, sorted by product, inconsistent products first. `items` is the whole table."""
    stocks: dict[str, Item] = {}
    sums: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    held: Counter[str] = Counter()
    holders: defaultdict[str, set[str]] = defaultdict(set)
    listed: dict[str, Item] = {}
    for item in items:
        if item["sk"] == "STOCK":
            stocks[item["pk"]] = item
        elif item["sk"] == "LISTED":
            listed[item["pk"]] = item
        elif item["sk"].startswith("LEDGER#"):
            sums[item["pk"]] += item["delta"]
            entries[item["pk"]] += 1
        elif item["sk"] == "RESERVATION":
            for product_id, quantity in _held(item):
                held[product_id] += quantity
                holders[product_id].add(item["order_id"])
    books = {product_id: ProductBook(product_id) for product_id in sorted({_product(item) for item in stocks.values()})}
    for pk, item in stocks.items():
        _add(books[_product(item)], item, sums.pop(pk, 0), entries.pop(pk, 0))
    for pk, found in sums.items():
        # The ledger of a closed shard stays, and its sum is 0.
        if found:
            product_id = pk.rpartition("#")[2]
            book = books.setdefault(product_id, ProductBook(product_id))
            book.problems.append(f"{pk}: {found} in the ledger of a stock item that is not there")
    for product_id, quantity in held.items():
        book = books.setdefault(product_id, ProductBook(product_id))
        book.held, book.orders = quantity, len(holders[product_id])
    for pk in sorted(listed.keys() | {pk for pk in stocks if pk.startswith("STOCK#")}):
        product_id = pk.removeprefix("STOCK#")
        book = books.setdefault(product_id, ProductBook(product_id))
        book.problems += _list_problems(product_id, stocks.get(pk), listed.get(pk))
    for book in books.values():
        if book.held != book.reserved:
            who = ", ".join(sorted(holders[book.product_id])[:3])
            book.problems.append(f"reserved {book.reserved}, but reservations hold {book.held} ({who or 'none'})")
    return sorted(books.values(), key=lambda book: (book.balances, book.product_id))


def _add(book: ProductBook, item: Item, ledger: int, entries: int) -> None:
    book.items += 1
    book.on_hand += item["on_hand"]
    book.reserved += item["reserved"]
    book.available += item["available"]
    book.ledger += ledger
    where = item["pk"]
    if ledger != item["on_hand"]:
        book.problems.append(f"{where}: on hand {item['on_hand']}, the ledger's sum is {ledger}")
    if entries != item["entries"]:
        book.problems.append(f"{where}: {item['entries']} ledger entries were written, {entries} are there")
    if item["available"] != item["on_hand"] - item["reserved"]:
        book.problems.append(f"{where}: available {item['available']} is not on hand less reserved")
    for name in ("on_hand", "reserved", "available"):
        if item[name] < 0:
            book.problems.append(f"{where}: {name} is {item[name]}, below zero")


def _list_problems(product_id: str, stock: Item | None, listed: Item | None) -> Iterator[str]:
    """Compares the product's entry in the list of all products, and its place in the list of what is low."""
    if stock is None:
        yield "it is in the list of all products, and has no stock item"
        return
    if listed is None:
        yield "it is missing from the list of all products"
    elif _place(listed) != _place(listed_item(product_id)):
        yield "its entry in the list of all products is in another place"
    if _place(stock) != (wanted := level_keys(product_id, Level(stock["level"]))):
        where = "it is missing from" if wanted else "it is in"
        yield f"its level is {stock['level']}, and {where} the list of what is low, or its place there is wrong"


def _place(item: Item) -> dict[str, str]:
    """The item's keys in the index of the lists."""
    return {name: item[name] for name in INDEX if name in item}


def _held(item: Item) -> Iterator[tuple[str, int]]:
    """Yields the product and quantity of each line that holds stock: reserved and not shipped yet."""
    if item["state"] not in _HOLDING:
        return
    for line in item["lines"][item["handed_over"] : item["held"]]:
        yield line["product_id"], line["quantity"]


def _product(item: Item) -> str:
    return str(item["product_id"])
