"""AWS calls and the bill per million orders at list price, counted on a replay of real invoices, item by item.

    .venv/bin/python -m tests.bench.bench_bill [--limit N] [--concurrency N] [--file CSV] [--write-docs]

Opens a metered shop of its own (PORT and CLOUD_PORT choose where): three to four minutes for 60 orders. The file is the
one that `make replay` reads; where it is not there, nothing is counted. `--write-docs` writes docs/cost.md.

What is counted: orders are placed through the checkout, a few at a time, by accounts and guests, every fifth with a
coupon, and nobody asks for them until their parcels are delivered; then each is looked at once, which is counted apart;
then the books are audited, so that nothing wrong is priced. A guest's cart is filled line by line, and counts. Filling
the shelves, registering and logging in are not counted, and the schedules stand still meanwhile.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.local.reverse_proxy import Served
from infra.operator import target as state
from infra.operator.client import Shop, ShopError, poll
from infra.operator.target import State
from infra.paths import HOME, ROOT
from infra.replay import catalogue, customers, ledger
from infra.replay.audit import Auditor
from infra.replay.buyers import Bought, Guest, GuestCarts
from infra.replay.parallel import each
from infra.replay.placing import Outcome, Placer
from infra.replay.plan import make_plan
from infra.replay.rows import Invoice, read_file
from infra.replay.tap import Tap
from infra.trouble import Trouble
from tests.bench.bill import Bill, Line
from tests.bench.bill_told import Batches, Told
from tests.bench.meter import MeteredShop
from tests.bench.observed import (
    Window,
    consumers_of,
    count_transitions,
    messages_to_queues,
    patterns_of,
    read_logs,
)
from tests.bench.own_shop import own_shop
from tests.bench.standing import count_standing
from tests.bench.usage import Usage
from tests.kit.real_orders import FILE

_WARM_UP = 6  # orders that fill the caches of the functions, as in a shop that is open for a while
_PATIENCE = 300.0
_QUIET = 8.0  # seconds without a call: longer than a parcel's step and a queue's poll
_SAMPLED = Decimal("0.05")  # X-Ray's default rule; its additional trace per second does not grow with the orders
_TAP = "bench-tap"
_WRITES = ("write units, tables", "write units, indexes", "write units, refused")


@dataclass
class Bench:
    """A metered shop with stock and registered customers."""

    shop: MeteredShop
    found: State
    placer: Placer
    concurrency: int
    tap: Tap

    def client(self, service: str) -> Any:
        return state.client(self.found, service)

    def place(self, invoices: Sequence[Invoice]) -> list[Bought]:
        """Places the orders, and waits until every parcel is delivered and no event is left."""
        before = self._delivered()
        placed = each(self.placer.send, invoices, self.concurrency)
        poll(
            self._delivered,
            lambda delivered: delivered - before >= len(invoices),
            what="all parcels are delivered",
            within=_PATIENCE,
            every=1.0,
        )
        self.rest()
        return placed

    def _delivered(self) -> int:
        return sum(one.type == "order.delivered" for one in self.tap.seen().values())

    def rest(self) -> None:
        poll(
            lambda: self.shop.meter.quiet_for,
            lambda seconds: seconds > _QUIET,
            what="nothing moves any more",
            within=_PATIENCE,
            every=1.0,
        )

    @contextmanager
    def counted(self, orders: int) -> Iterator[Counted]:
        """Counts the calls in the block. The bill is complete at its end."""
        served: list[Served] = []
        self.shop.on_request = served.append
        self.shop.meter.reset()
        start = time.time_ns() // 1_000_000
        counted = Counted(orders)
        yield counted
        self.rest()
        window = Window(start, time.time_ns() // 1_000_000)
        counted.usage = self.shop.meter.usage
        counted.bill = Bill(self._lines(counted, len(served), window), orders)

    def _lines(self, counted: Counted, requests: int, window: Window) -> list[Line]:
        logs = read_logs(self.client("logs"), self.found.stack, window)
        lambdas = self.client("lambda")
        by_source = {
            source: sum(logs.invocations[one] for one in consumers_of(lambdas, self.found.stack, source))
            for source in ("sqs", "dynamodb")
        }
        patterns = patterns_of(
            self.client("events"), self.found.outputs["BusName"], lambda name: not name.endswith(_TAP)
        )
        sent = messages_to_queues(counted.usage.events, patterns)
        machine = self.found.outputs["OrderSagaArn"]
        tasks, others = count_transitions(self.client("stepfunctions"), machine, counted.executions)
        units, zero = counted.usage.units, Decimal(0)
        counted.batches = Batches(
            messages=sent + counted.usage.count_of("sqs", "SendMessage"),
            receives=by_source["sqs"],
            records=counted.usage.events.total(),
            stream_batches=by_source["dynamodb"],
        )
        traces = (requests + sum(by_source.values())) * _SAMPLED
        found = [
            ("api requests", "requests", Decimal(requests)),
            ("lambda requests", "invocations", Decimal(logs.invocations.total())),
            ("lambda time", "GB-seconds, this machine's", logs.gb_seconds),
            *(("write units", word, units.get(word, zero)) for word in _WRITES),
            ("read units", "read units", units.get("read units", zero)),
            ("stream reads", "batches read from streams", Decimal(by_source["dynamodb"])),
            ("events", "events", units.get("events", zero)),
            ("archived gigabytes", "GB of events, in the archive", units.get("archived gigabytes", zero)),
            ("queue requests", "messages from the bus", Decimal(sent)),
            ("queue requests", "receives, deletes by Lambda", Decimal(2 * by_source["sqs"])),
            ("queue requests", "calls of functions", units.get("queue requests", zero)),
            ("transitions", "tasks of the saga, retries too", Decimal(tasks)),
            ("transitions", "its other states", Decimal(others)),
            ("mails", "mails", units.get("mails", zero)),
            ("files", "invoices and credit notes, as PDF", units.get("files", zero)),
            ("log gigabytes", "GB of log lines", Decimal(logs.size) / 10**9),
            ("traces", "traces, one of twenty", traces),
            ("discoveries", "look-ups of peers", units.get("discoveries", zero)),
            ("secret calls", "secrets read", units.get("secret calls", zero)),
            ("parameter calls", "parameters read", units.get("parameter calls", zero)),
        ]
        return [Line(word, what, used) for word, what, used in found]


class Counted:
    """The counts of one phase. `executions` are named before its end."""

    bill: Bill
    usage: Usage
    batches: Batches

    def __init__(self, orders: int) -> None:
        self.orders = orders
        self.executions: list[str] = []


def stop_schedules(scheduler: Any) -> None:
    """Stops the sweepers and the prober: they run by the clock, so they are no order's cost."""
    for page in scheduler.get_paginator("list_schedules").paginate():
        for one in page["Schedules"]:
            found = scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
            kept = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
            scheduler.update_schedule(**{name: found[name] for name in kept}, State="DISABLED")


def measure(console: Console, invoices: Sequence[Invoice], limit: int, concurrency: int) -> Told:
    with own_shop(console, MeteredShop) as shop:
        found = state.load()
        standing = count_standing(found)
        stop_schedules(state.client(found, "scheduler"))
        plan = make_plan(invoices, limit + _WARM_UP, secrets.token_hex(3))
        client = Shop(found.base_url)
        admin = client.login(found.admin.email, found.admin.password)
        with console.status(f"{len(plan.variants)} products, {len(plan.customers)} customers"):
            product_ids = catalogue.import_products(admin, plan, concurrency)
            catalogue.stock_products(admin, plan, product_ids, concurrency)
            catalogue.give_coupon(admin, plan)
            sessions = customers.join_all(client, plan, concurrency)
        guest = Guest(client, GuestCarts(HOME / f"replay-{plan.run}-guests.jsonl"))
        placer = Placer(plan, sessions, guest, product_ids, _PATIENCE)
        bus, name = found.outputs["BusName"], f"{found.queues_prefix}{_TAP}"
        with Tap(state.client(found, "sqs"), state.client(found, "events"), bus, name) as tap:
            bench = Bench(shop, found, placer, concurrency, tap)
            warm, counted = plan.invoices[:_WARM_UP], plan.invoices[_WARM_UP:]
            with console.status(f"{len(warm)} orders to warm up"):
                early = bench.place(warm)
            with console.status(f"{len(counted)} orders"), bench.counted(len(counted)) as order:
                placed = bench.place(counted)
                order.executions = [one.order["order_id"] for one in placed]
            with console.status("a look at each"), bench.counted(len(counted)) as look:
                views = [one.read() for one in placed]
        views = [*(one.read() for one in early), *views]
        outcomes = [Outcome(i, view) for i, view in zip(plan.invoices, views, strict=True)]
        with console.status("the audit"):
            charges_of = partial(ledger.charges_of, state.client(found, "dynamodb"), found.tables["payments"])
            entries = Auditor(admin, charges_of, plan, product_ids, concurrency, _PATIENCE).audit(outcomes)
        client.close()
    wrong = [entry.book for entry in entries if not entry.balances]
    if wrong or shop.meter.trouble:
        raise SystemExit(f"no bill: books that do not balance: {wrong}; calls not counted: {shop.meter.trouble[:5]}")
    seen = order.usage.events["order.delivered"]
    if seen != len(counted):
        raise SystemExit(f"no bill: {len(counted)} parcels were delivered, and {seen} seen on the wire")
    lines = sum(len(invoice.lines) for invoice in counted)
    today = date.today().isoformat()  # noqa: DTZ011  # the day here
    return Told(order.bill, look.bill, order.usage, standing, today, concurrency, lines, order.batches)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--file", type=Path, default=FILE, help="the invoices, as for make replay")
    arguments.add_argument("--limit", type=int, default=60, help="how many orders are counted")
    arguments.add_argument("--concurrency", type=int, default=4)
    arguments.add_argument("--write-docs", action="store_true", help="write docs/cost.md")
    chosen = arguments.parse_args()
    console = Console()
    if not chosen.file.exists():
        console.print(
            f"[yellow]The bill was not counted:[/] there are no invoices at {chosen.file}; name some with --file."
        )
        return 0 if chosen.file == FILE else 2
    invoices = read_file(chosen.file).invoices
    try:
        told = measure(console, invoices, chosen.limit, chosen.concurrency)
    except (Trouble, ShopError) as trouble:
        console.print(f"[red]No bill:[/] {trouble}")
        return 1
    told.show(console)
    target = HOME / "bench" / "bill.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(told.as_json(), indent=2) + "\n")
    if chosen.write_docs:
        (ROOT / "docs" / "cost.md").write_text(told.page())
        console.print("wrote docs/cost.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
