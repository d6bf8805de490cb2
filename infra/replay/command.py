"""`mercato replay`: places real invoices in the running shop and then audits the books."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from infra.operator import target
from infra.operator.client import Session, Shop, ShopError
from infra.paths import HOME
from infra.replay import books, catalogue, customers, ledger, report
from infra.replay.audit import COMMIT_GRACE, Auditor, audit_bus
from infra.replay.buyers import Guest, GuestCarts
from infra.replay.placing import Outcome, Placer
from infra.replay.plan import Plan, make_plan
from infra.replay.rows import NotAnInvoiceFile, read_file
from infra.replay.tap import Tap, written_events


@dataclass(frozen=True)
class Settings:
    concurrency: int
    patience: float


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--limit", default=300, show_default=True, type=click.IntRange(1), help="Place the first N sales of the file."
)
@click.option(
    "--concurrency",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Orders that are under way at a time.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the refused rows (CSV).  [default: .mercato/replay-<run>-refused.csv]",
)
@click.option(
    "--run",
    "run",
    help="Continue the interrupted run of this name, with the same FILE and --limit: nothing is done twice.",
)
@click.option(
    "--patience",
    default=180,
    show_default=True,
    type=click.IntRange(1),
    help="Seconds to wait for new products, for an order to be final, for the last parcel, and for late events.",
)
def replay(file: Path, limit: int, concurrency: int, report_path: Path | None, run: str | None, patience: int) -> None:
    """Place the invoices of FILE in the running shop, as real customers would, and audit the books.

    FILE is a CSV with the columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID and
    Country, such as the UCI "Online Retail" data set. Each row is taken or refused with a reason. Each sale becomes one
    order, which is followed until its money is captured or it is cancelled, and until its parcel has left.

    Orders go through the checkout, with a delivery and tax; a sale without a CustomerID is a guest's. Every fifth order
    has a coupon, and of every tenth one the first line is returned.

    An article's price differs from invoice to invoice, and the shop refuses a price that is not the catalogue's: so an
    article at another price is another product here (85123A@255/<run>).

    Ends with status 0 if the books balance, 1 if they do not, 2 if no shop is running.
    """
    console = Console()
    shop_state = target.load()
    target.require_sandbox(shop_state, "the replay")
    run = _run_name(run)
    try:
        reading = read_file(file)
    except NotAnInvoiceFile as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None
    plan = make_plan(reading.invoices, limit, run)
    report_path = report_path or HOME / f"replay-{run}-refused.csv"
    report.write_refusals(report_path, reading.refused)
    report.show_reading(console, reading, plan, report_path)
    if not plan.invoices:
        raise click.ClickException("there is no sale in this file")
    console.print(f"This is run [bold]{run}[/]; if it is interrupted, --run {run} continues it.")
    try:
        entries = _run(console, shop_state, plan, Settings(concurrency, patience))
    except ShopError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print(f"\nInterrupted. --run {run} continues it.")
        sys.stdout.flush()
        # A normal exit would wait for the threads, which wait for their orders.
        os._exit(130)
    report.show_books(console, entries)
    if not all(entry.balances for entry in entries):
        raise SystemExit(1)


def _run_name(run: str | None) -> str:
    if run is not None and not re.fullmatch(r"[a-z0-9]{1,12}", run):
        raise click.BadParameter("a run's name is 1 to 12 small letters and digits", param_hint="--run")
    return run or secrets.token_hex(3)


def _run(console: Console, shop_state: target.State, plan: Plan, settings: Settings) -> list[books.Entry]:
    shop = Shop(shop_state.base_url)
    try:
        admin = shop.login(shop_state.admin.email, shop_state.admin.password)
    except ShopError as error:
        raise target.NoShop(f"the shop at {shop_state.base_url} does not answer as it should ({error})") from error
    sqs, prefix = target.client(shop_state, "sqs"), shop_state.queues_prefix
    bus, events = shop_state.outputs["BusName"], target.client(shop_state, "events")
    dynamodb = target.client(shop_state, "dynamodb")
    dead_before = ledger.dead_letters(sqs, prefix)
    with Tap(sqs, events, bus, f"{prefix}tap-{plan.run}") as tap:
        start = datetime.now(UTC)
        product_ids = _fill_shelves(console, admin, plan, settings)
        catalogue.give_coupon(admin, plan)
        outcomes = _place(console, shop, admin, plan, product_ids, settings)
        with console.status("Reading the books"):
            end = datetime.now(UTC)
            charges_of = partial(ledger.charges_of, dynamodb, shop_state.tables["payments"])
            auditor = Auditor(admin, charges_of, plan, product_ids, settings.concurrency, settings.patience)
            entries = auditor.audit(outcomes)
            # Transactions that were in progress at `end` must be committed before the tables are read.
            shop.clock.sleep(max((end + COMMIT_GRACE - datetime.now(UTC)).total_seconds(), 0))
            entries.append(
                audit_bus(
                    lambda: list(written_events(dynamodb, shop_state.tables.values())),
                    tap.seen,
                    start,
                    end,
                    settings.patience,
                    shop.clock,
                )
            )
    return [*entries, books.audit_queues(dead_before, ledger.dead_letters(sqs, prefix))]


def _fill_shelves(console: Console, admin: Session, plan: Plan, settings: Settings) -> dict[str, str]:
    with _bar(console, "importing products", len(plan.variants)) as done:
        product_ids = catalogue.import_products(admin, plan, settings.concurrency, done)
    with _bar(console, "stocking them", len(plan.variants)) as done:
        catalogue.stock_products(admin, plan, product_ids, settings.concurrency, done, settings.patience)
    return product_ids


def _place(
    console: Console, shop: Shop, admin: Session, plan: Plan, product_ids: dict[str, str], settings: Settings
) -> list[Outcome]:
    with _bar(console, "registering customers", len(plan.accounts)) as done:
        sessions = customers.join_all(shop, plan, settings.concurrency, lambda _: done(1))
    guest = Guest(shop, GuestCarts(HOME / f"replay-{plan.run}-guests.jsonl"))
    placer = Placer(plan, sessions, guest, product_ids, settings.patience)
    began = time.monotonic()
    with _bar(console, "placing orders", len(plan.invoices)) as done:
        outcomes = placer.place_all(settings.concurrency, lambda _: done(1))
    seconds = time.monotonic() - began
    with _bar(console, "waiting for parcels", len(plan.invoices)) as done:
        outcomes = placer.follow_to_dispatch(outcomes, settings.concurrency, settings.patience, lambda _: done(1))
    with _bar(console, "returning goods", len(plan.invoices)) as done:
        outcomes = placer.return_some(outcomes, admin, settings.concurrency, lambda _: done(1))
    report.show_outcomes(console, outcomes, seconds, settings.concurrency)
    return outcomes


class _Throughput(ProgressColumn):
    """The mean speed since the start. Steps come in chunks, so a momentary speed would jump."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / max(task.elapsed or 0, 0.1):.1f}/s", style="progress.data.speed")


@contextmanager
def _bar(console: Console, what: str, total: int) -> Iterator[Callable[[int], Any]]:
    columns = (
        SpinnerColumn(finished_text="✔"),
        TextColumn(f"{what:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Throughput(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
