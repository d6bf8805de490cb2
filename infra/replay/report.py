"""The report of a replay: tables in the terminal and a CSV file with every refused row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.replay.books import Entry, OrderFact, pounds
from infra.replay.placing import Outcome
from infra.replay.plan import Plan, is_guests, is_quoted
from infra.replay.rows import Reading, Refusal
from mercato import spreadsheet

SHOWN = 20


def write_refusals(path: Path, refused: Sequence[Refusal]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        header = ("line", "invoice", "stock_code", "reason", "column", "value")
        rows = ((one.line, one.invoice, one.stock_code, one.reason, one.column, one.value) for one in refused)
        spreadsheet.write(file, header, rows)


def show_reading(console: Console, reading: Reading, plan: Plan, report: Path) -> None:
    table = Table("rows", "count", title="The file", title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("read", f"{reading.rows:,}")
    table.add_row("good", f"{reading.rows - len(reading.refused):,}")
    for reason, count in Counter(refusal.reason for refusal in reading.refused).most_common():
        table.add_row(f"refused: {reason}", f"{count:,}")
    console.print(table)
    console.print(f"Every refused row, with its line, reason, column and value: {report}")
    for assumption, count in assumptions(reading).items():
        console.print(f"Assumed: {assumption}" + (f" ({count:,} rows)" if count else "") + ".", markup=False)
    console.print(
        f"{len(reading.invoices):,} sale invoices; placing the first {len(plan.invoices):,}: {plan.lines:,} lines of "
        f"{len(plan.variants):,} products (an article at another price is another product), {pounds(plan.total)}, "
        f"{len(plan.customers):,} customers."
    )
    if plan.guests:
        console.print(f"{plan.guests:,} of them name no customer (CustomerID 0 or blank): guests place them.")
    for invoice in plan.unquoted:
        console.print(
            f"Invoice {invoice.number} has {len(invoice.lines)} lines, more than a checkout takes: it is ordered "
            "without one."
        )


def assumptions(reading: Reading) -> dict[str, int]:
    """Returns each assumption of the replay about the file and the number of rows that it affects; 0 means all."""
    return {
        f"the file is {reading.encoding} text": 0,
        f"fields are separated by {reading.separator}": 0,
        "prices are pounds sterling, with the tax of the country": 0,
        "the file has no discounts on sales, so every fifth order has a coupon of 10 %": 0,
        "the file's cancellations are not read, so every tenth order sends its first line back": 0,
        "orders are placed now, in the file's order; InvoiceDate is not used": 0,
        "every address is 1 Replay Street, in the country that the row names": 0,
    } | dict(reading.assumed)


def show_outcomes(console: Console, outcomes: Sequence[Outcome], seconds: float, concurrency: int) -> None:
    table = Table("final state", "reason", "orders", "value", title="The orders", title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(_state_of(outcome), []).append(outcome)
    for (state, reason), members in sorted(groups.items(), key=lambda group: -len(group[1])):
        value = sum(outcome.fact.total if outcome.placed else outcome.invoice.total for outcome in members)
        table.add_row(state, reason, f"{len(members):,}", pounds(value))
    console.print(table)
    console.print(_paths(outcomes))
    console.print(_speed(outcomes, seconds, concurrency))


def _paths(outcomes: Sequence[Outcome]) -> Table:
    """What the orders were made of, by who placed them."""
    columns = ("placed by", "orders", "goods", "discounts", "shipping", "total", "tax in it", "with coupon", "returned")
    table = Table(*columns, title="What was paid", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    groups: dict[str, list[OrderFact]] = {"account": [], "guest": [], "account, without a checkout": []}
    for outcome in (outcome for outcome in outcomes if outcome.placed):
        named = "guest" if is_guests(outcome.invoice) else "account"
        groups[named if is_quoted(outcome.invoice) else "account, without a checkout"].append(outcome.fact)
    for name, facts in groups.items():
        sums = [sum(fact.sum_of(kind) for fact in facts) for kind in ("goods", "discount", "shipping")]
        more = [sum(fact.total for fact in facts), sum(fact.tax for fact in facts)]
        counts = [sum(bool(fact.codes) for fact in facts), sum(bool(fact.came_back) for fact in facts)]
        table.add_row(name, f"{len(facts):,}", *map(pounds, [*sums, *more]), *(f"{count:,}" for count in counts))
    return table


def _state_of(outcome: Outcome) -> tuple[str, str]:
    if not outcome.placed:
        return "not placed", outcome.trouble[:60]
    return f"{outcome.order['status']}, {outcome.order['payment_status']}", outcome.order.get("reason") or ""


def _speed(outcomes: Sequence[Outcome], seconds: float, concurrency: int) -> Table:
    table = Table("seconds", "p50", "p95", "max", title=f"Speed, {concurrency} at a time", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    figures = {
        "POST to accepted": [outcome.accepted_after for outcome in outcomes if outcome.accepted_after is not None],
        "POST to confirmed": [outcome.confirmed_after for outcome in outcomes if outcome.confirmed_after is not None],
    }
    for name, durations in figures.items():
        if durations:
            shown = (percentile(durations, 50), percentile(durations, 95), max(durations))
            table.add_row(name, *(f"{duration:.2f}" for duration in shown))
    timed = [outcome for outcome in outcomes if outcome.accepted_after is not None]
    done, lines = len(timed), sum(len(outcome.invoice.lines) for outcome in timed)
    table.caption = f"{done:,} orders, {lines:,} lines in {seconds:.0f} s: {done / max(seconds, 0.001):.2f} orders/s"
    table.caption_justify = "left"
    return table


def percentile(durations: Sequence[float], percent: int) -> float:
    """Returns the percentile by nearest rank, which is one of the measured durations."""
    ordered = sorted(durations)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def show_books(console: Console, entries: Sequence[Entry]) -> None:
    table = Table("", "the books", "expected", "found", title="The audit", title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for entry in entries:
        mark = "[green]✔[/]" if entry.balances else "[red]✘[/]"
        table.add_row(mark, entry.book, entry.expected, entry.found)
    console.print(table)
    differences = [difference for entry in entries for difference in entry.differences]
    if not differences:
        console.print("[green]The books balance.[/]")
        return
    console.print(f"[red]The books do not balance: {len(differences):,} differences.[/]")
    for difference in differences[:SHOWN]:
        console.print(
            f"  {difference.book}: {difference.subject}: expected {difference.expected}, found {difference.found}",
            markup=False,
        )
    if len(differences) > SHOWN:
        console.print(f"  … and {len(differences) - SHOWN:,} more")
