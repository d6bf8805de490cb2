"""`mercato inventory audit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.operator import target
from infra.operator.inventory_audit import ProductBook, audit
from mercato.store.attributes import Item, from_item

# Orders change the stock during the audit. Only a difference that three reads show counts.
_LOOKS = 3


@click.group()
def inventory() -> None:
    """Audit the stock."""


@inventory.command(name="audit")
@click.option("--table", "table_name", help="This table, with your own AWS credentials; else that of the chosen shop.")
@click.option("--all", "show_all", is_flag=True, help="Show the products that balance too.")
def audit_stock(table_name: str | None, show_all: bool) -> None:
    """Audit the stock per product: ledger = on hand, reservations = reserved, nothing negative, and its place in lists.

    Reads the whole table (a scan), and reads it again if a product differs, since orders may have changed the stock in
    between. Exits with 1 if a product does not balance.
    """
    if table_name:
        dynamodb: Any = boto3.client("dynamodb")
    else:
        found = target.chosen()
        dynamodb, table_name = target.client(found, "dynamodb"), found.tables["inventory"]
    books = settled(lambda: read(dynamodb, table_name))
    wrong = [book for book in books if not book.balances]
    console = Console(highlight=False)
    if wrong or show_all:
        console.print(_table(books if show_all else wrong))
    if not wrong:
        console.print(
            f"[green]✔[/] {len(books)} products: every ledger proves its stock, and every reservation its own"
        )
        return
    console.print(f"[bold red]✘ {len(wrong)} of {len(books)} products do not balance[/]")
    console.print('What to do: docs/runbook.md, "mercato inventory audit: a product does not balance".')
    raise SystemExit(1)


def read(dynamodb: Any, table_name: str) -> list[ProductBook]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table_name, ConsistentRead=True)
    items: list[Item] = [from_item(item) for page in pages for item in page["Items"]]
    return audit(items)


def settled(look: Callable[[], list[ProductBook]]) -> list[ProductBook]:
    """Returns the books. Only a difference that is the same at every read counts."""
    books = look()
    for _ in range(_LOOKS - 1):
        before = {book.product_id: book.problems for book in books if not book.balances}
        if not before:
            return books
        books = look()
        for book in books:
            book.problems = [problem for problem in book.problems if problem in before.get(book.product_id, ())]
    return sorted(books, key=lambda book: (book.balances, book.product_id))


def _table(books: list[ProductBook]) -> Table:
    table = Table()
    table.add_column("product", overflow="fold")
    for heading in ("items", "on hand", "ledger", "reserved", "held by orders", "available"):
        table.add_column(heading, justify="right")
    table.add_column("wrong", overflow="fold")
    for book in books:
        figures = (book.items, book.on_hand, book.ledger, book.reserved, book.held, book.available)
        table.add_row(
            escape(book.product_id),
            *map(str, figures),
            escape("\n".join(book.problems)),
            style="" if book.balances else "red",
        )
    return table
