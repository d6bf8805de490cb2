"""`mercato orders rebuild`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Grid

from infra.local import state
from mercato import aws
from mercato.dynamo import Table
from orders.store import OrderStore, Rebuilt


@click.group()
def orders() -> None:
    """The orders: make anew what is made of their events."""


@orders.command()
def rebuild() -> None:
    """Drop every order's snapshots and summary row, make them of the events again, and prove them equal.

    Nothing is lost if it is interrupted, and orders may go on meanwhile. Ends with 1 where something is not equal.
    """
    found = state.load()
    _reach(found)
    table = Table(found.tables["orders"])
    store, console = OrderStore(table), Console(highlight=False)
    ids = list(order_ids(table.name))
    results: dict[str, Rebuilt] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("orders", total=len(ids))
        for order_id in ids:
            rebuilt = store.rebuild(order_id, datetime.now(UTC))
            if rebuilt:
                results[order_id] = rebuilt
            progress.advance(task)
    tell(console, results)
    if not all(rebuilt.equal for rebuilt in results.values()):
        raise SystemExit(1)


def order_ids(table_name: str) -> Iterator[str]:
    """Each order has one head. The only scan there is: an operator's, of the whole table, for all orders."""
    start: dict[str, Any] = {}
    while True:
        page = aws.client("dynamodb").scan(
            TableName=table_name,
            FilterExpression="sk = :head AND begins_with(pk, :order)",
            ExpressionAttributeValues={":head": {"S": "HEAD"}, ":order": {"S": "order#"}},
            ProjectionExpression="pk",
            **start,
        )
        for item in page["Items"]:
            yield item["pk"]["S"].removeprefix("order#")
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def tell(console: Console, results: dict[str, Rebuilt]) -> None:
    grid = Grid(title="Orders rebuilt of their events")
    for column in ("orders", "events", "snapshots dropped", "made", "summary rows that were wrong", "equal now"):
        grid.add_column(column, justify="right")
    made = results.values()
    grid.add_row(
        str(len(results)),
        str(sum(one.events for one in made)),
        str(sum(one.snapshots_dropped for one in made)),
        str(sum(one.snapshots_made for one in made)),
        str(sum(not one.was_right for one in made)),
        str(sum(one.equal for one in made)),
    )
    console.print(grid)
    for order_id, one in results.items():
        if not one.was_right or not one.equal:
            console.print(f"{'✘ is not equal' if not one.equal else 'was wrong, is right now'}: order {order_id}")


def _reach(found: state.State) -> None:
    """The cloud of the running shop, for the store's own client."""
    here = {
        "AWS_ENDPOINT_URL": found.endpoint,
        "AWS_DEFAULT_REGION": found.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    os.environ.update(here)
    aws.reset()
