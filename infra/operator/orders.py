"""`mercato orders rebuild`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from mercato.store.dynamo import Table
from orders.store import OrderStore, Rebuilt


@click.group()
def orders() -> None:
    """The orders: rebuild what is made of their events."""


@orders.command()
@click.option("--table", "table_name", help="This table, with your own AWS credentials; else that of the chosen shop.")
def rebuild(table_name: str | None) -> None:
    """Drop every order's snapshots and summary row, make them of the events again, and prove them equal.

    What belongs to no order is dropped. Nothing is lost if it is interrupted, and orders may go on meanwhile. Ends
    with 1 where something is not equal, or could not be looked at.
    """
    if not table_name:
        found = target.chosen()
        use_cloud_of(found)
        table_name = found.tables["orders"]
    store, console = OrderStore(Table(table_name)), Console(highlight=False)
    ids = list(order_ids(table_name))
    results: dict[str, Rebuilt] = {}
    failures: dict[str, TransientError] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("orders", total=len(ids))
        for order_id in ids:
            try:
                rebuilt = store.rebuild(order_id, datetime.now(UTC))
            except TransientError as error:
                failures[order_id] = error
            else:
                results |= {order_id: rebuilt} if rebuilt else {}
            progress.advance(task)
    tell(console, results, failures)
    if failures or not all(rebuilt.equal for rebuilt in results.values()):
        raise SystemExit(1)


def order_ids(table_name: str) -> Iterator[str]:
    """Of all orders, and of all that looks like one: a summary row or a snapshot may have lost its order.

    The only scan there is: an operator's, of the whole table.
    """
    known: set[str] = set()
    start: dict[str, Any] = {}
    while True:
        page = aws.client("dynamodb").scan(
            TableName=table_name,
            FilterExpression="(begins_with(pk, :order) AND sk IN (:head, :first, :row)) OR begins_with(pk, :snapshots)",
            ExpressionAttributeValues={
                ":order": {"S": "order#"},
                ":head": {"S": "HEAD"},
                ":first": {"S": "E#0000000001"},
                ":row": {"S": "SUMMARY"},
                ":snapshots": {"S": "S#order#"},
            },
            ProjectionExpression="pk",
            **start,
        )
        for item in page["Items"]:
            order_id = item["pk"]["S"].removeprefix("S#").removeprefix("order#")
            if order_id not in known:
                known.add(order_id)
                yield order_id
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def tell(console: Console, results: Mapping[str, Rebuilt], failures: Mapping[str, TransientError] = {}) -> None:
    grid = Grid(title="Orders rebuilt of their events")
    for column in ("orders", "events", "snapshots dropped", "made", "that were wrong", "of no order", "equal now"):
        grid.add_column(column, justify="right")
    made = results.values()
    grid.add_row(
        str(sum(one.events > 0 for one in made)),
        str(sum(one.events for one in made)),
        str(sum(one.snapshots_dropped for one in made)),
        str(sum(one.snapshots_made for one in made)),
        str(sum(not one.was_right for one in made)),
        str(sum(one.events == 0 for one in made)),
        str(sum(one.equal for one in made)),
    )
    console.print(grid)
    for order_id, one in results.items():
        if not one.was_right or not one.equal:
            console.print(f"{_verdict(one)}: order {order_id}")
    for order_id, error in failures.items():
        console.print(f"✘ could not be looked at, run it again ({error}): order {order_id}")


def _verdict(one: Rebuilt) -> str:
    if not one.equal:
        return "✘ is not equal"
    return "was wrong, is right now" if one.events else "had a row or snapshots and no events, they are dropped"
