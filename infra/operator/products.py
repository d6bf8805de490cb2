"""`mercato products reindex`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Grid

from infra.operator import target
from infra.operator.accounts import use_cloud_of
from mercato import aws
from mercato.errors import TransientError
from mercato.store.attributes import from_item
from mercato.store.dynamo import Table
from products.domain import Product
from products.store import Products, to_product
from products.words import RULES


@click.group()
def products() -> None:
    """Rebuild the catalogue's entries in lists and searches."""


@products.command()
@click.option("--table", "table_name", help="This table, with your own AWS credentials; else that of the chosen shop.")
def reindex(table_name: str | None) -> None:
    """Write the entries of products that have outdated search rules again.

    Reads the whole table (a scan), and writes only outdated products. Run it after a deployment that changes the rules.
    May be interrupted, repeated, run concurrently, and run while the shop is open. Exits with 1 if a product failed;
    run it again then.
    """
    if not table_name:
        found = target.chosen()
        use_cloud_of(found)
        table_name = found.tables["products"]
    store, console = Products(Table(table_name)), Console(highlight=False)
    done = 0
    left: dict[str, str] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("products", total=None)
        for page in outdated(table_name):
            try:
                unfinished = store.reindex(page, datetime.now(UTC))
            except TransientError as error:
                left |= {product.product_id: str(error) for product in page}
                continue
            left |= {product.product_id: "it changed at each try" for product in unfinished}
            done += len(page) - len(unfinished)
            progress.update(task, completed=done)
    grid = Grid(title=f"Products reindexed by rules {RULES}")
    for column in ("reindexed", "not done"):
        grid.add_column(column, justify="right")
    grid.add_row(str(done), str(len(left)))
    console.print(grid)
    for product_id, reason in left.items():
        console.print(f"✘ not done, run it again ({reason}): product {product_id}")
    if left:
        raise SystemExit(1)


def outdated(table_name: str) -> Iterator[list[Product]]:
    """Yields the active products that were last written with older rules, page by page."""
    start: dict[str, Any] = {}
    while True:
        page = aws.client("dynamodb").scan(
            TableName=table_name,
            ConsistentRead=True,
            FilterExpression=(
                "sk = :product AND #status = :active AND (attribute_not_exists(index_rules) OR index_rules < :rules)"
            ),
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":product": {"S": "PRODUCT"},
                ":active": {"S": "active"},
                ":rules": {"N": str(RULES)},
            },
            **start,
        )
        yield [to_product(from_item(item)) for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
