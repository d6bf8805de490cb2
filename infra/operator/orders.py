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
from orders.day_sums import DaySums, Sums
from orders.store import OrderStore, Rebuilt

_LOOKS = 3


@click.group()
def orders() -> None:
    """Rebuild the data that is derived from the orders' events."""


@orders.command()
@click.option("--table", "table_name", help="This table, with your own AWS credentials; else that of the chosen shop.")
def rebuild_sums(table_name: str | None) -> None:
    """Compute the sums by day again from the events of all orders, compare them with the live sums, and replace these.

    Orders may change during the rebuild: events count in both sums until the new ones are live. Run it again if it is
    interrupted.
    """
    store, table_name = _sums(table_name)
    console = Console(highlight=False)
    generations = store.begin_rebuild()
    assert generations.building is not None
    ids = list(order_ids(table_name))
    for order_id in ids:
        for generation in generations.all:
            store.catch_up(order_id, generation)
    wrong = _differences(store, generations.live, generations.building)
    is_ours = store.generations().building == generations.building
    store.end_rebuild(generations.building)
    store.forget(generations.live, ids)
    if not is_ours:  # and has deleted the sums of before, with which these were compared
        raise click.ClickException(
            "another run of this command has ended the rebuild and told what was wrong. Run it again to compare."
        )
    for (day, currency), difference in sorted(wrong.items()):
        console.print(f"was wrong, is right now: {day} {currency}: folded again {difference}")
    console.print(f"{len(ids)} orders are summed in generation {generations.building}")


def _differences(store: DaySums, live: int, building: int) -> dict[tuple[str, str], str]:
    """Returns the differences between the generations by day and currency.

    Orders may change between the reads of the two generations, so only a difference that every read finds counts.
    """
    looks: list[dict[tuple[str, str], str]] = []
    for _ in range(_LOOKS):
        before, after = store.of_generation(live), store.of_generation(building)
        pairs = {key: (before.get(key, Sums()), after.get(key, Sums())) for key in before.keys() | after.keys()}
        looks.append({key: _difference(was, now) for key, (was, now) in pairs.items() if was != now})
    return {key: told for key, told in looks[0].items() if all(look.get(key) == told for look in looks)}


def _difference(was: Sums, now: Sums) -> str:
    changes = {name: value - getattr(was, name) for name, value in vars(now).items()}
    return ", ".join(f"{name} {change:+d}" for name, change in changes.items() if change)


def _sums(table_name: str | None) -> tuple[DaySums, str]:
    if not table_name:
        found = target.chosen()
        use_cloud_of(found)
        table_name = found.tables["orders"]
    return DaySums(Table(table_name)), table_name


@orders.command()
@click.option("--table", "table_name", help="This table, with your own AWS credentials; else that of the chosen shop.")
def rebuild(table_name: str | None) -> None:
    """Delete every order's snapshots and summary row, make them again from the events, and verify them.

    Deletes rows and snapshots without an order. May be interrupted, and may run while orders change. Exits with 1 if
    something is unequal or could not be checked.
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
    """Yields the ids of all orders, and of rows and snapshots without an order.

    Scans the table, which only this operator's command does.
    """
    known: set[str] = set()
    start: dict[str, Any] = {}
    while True:
        page = aws.client("dynamodb").scan(
            TableName=table_name,
            FilterExpression="(begins_with(pk, :order) AND sk IN (:head, :first, :row)) OR begins_with(pk, :snapshots)"
            " OR begins_with(pk, :entry)",
            ExpressionAttributeValues={
                ":order": {"S": "order#"},
                ":head": {"S": "HEAD"},
                ":first": {"S": "E#0000000001"},
                ":row": {"S": "SUMMARY"},
                ":snapshots": {"S": "S#order#"},
                ":entry": {"S": "ID#"},
            },
            ProjectionExpression="pk, sk",
            **start,
        )
        for item in page["Items"]:
            pk = item["pk"]["S"]
            order_id = item["sk"]["S"] if pk.startswith("ID#") else pk.removeprefix("S#").removeprefix("order#")
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
