"""The event store beside the `eventsourcing` library: an append, a rebuild, and what reading costs as history grows.

All is our own CPU: our table is a dictionary in this process (bench/memory_table.py), so that DynamoDB's own time, some
milliseconds a call, comes on top. The library's recorders are its in-memory one and SQLite in a file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from rich.console import Console
from rich.table import Table as Grid

from infra.paths import HOME
from mercato.money import Money
from mercato.store.event_store import EventStore, Expected
from mercato.store.snapshots import EVERY, Codec, Snapshots
from mercato.store.stored_event import NewEvent, StoredEvent
from orders import domain
from orders.facts import OrderRefunded
from orders.order import Address, Line
from orders.store import OrderStore
from tests.bench.memory_table import MemoryTable

SIZES = (10, 100, 1000, 10_000)
TAIL = 50  # events after the last snapshot
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TEXT = "x" * 300  # a payload of about 400 bytes, as ours are
ADDRESS = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
PRICE = Money(amount=1250, currency="GBP")
Row = dict[str, Any]


class Counter(Aggregate):
    """An aggregate of the library, a sum of numbers."""

    total = 0

    @event("Counted")
    def count(self, number: int, text: str) -> None:
        self.total += number


class Counting(Application[uuid.UUID]):
    is_snapshotting_enabled = True


def fold(state: dict[str, int] | None, found: StoredEvent) -> dict[str, int]:
    return {"total": (state["total"] if state else 0) + found.data["number"]}


def timed(act: Callable[[], Any], rounds: int) -> float:
    """Seconds of CPU of the best round, so that other load on the machine does not count."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        act()
        best = min(best, time.process_time() - began)
    return best


def measure_ours(size: int, rounds: int) -> Row:
    table = MemoryTable()
    streams = EventStore(table, "counter")
    snapshots: Snapshots[dict[str, int]] = Snapshots(table, "counter", Codec(1, dict, dict))

    def append() -> None:
        for version in range(size):
            streams.append("a", version, [NewEvent(f"e{version}", "Counted", 1, NOON, {"number": 1, "text": TEXT})])

    appended = timed(append, 1)
    rebuilt = timed(lambda: streams.fold("a", fold, None), rounds)
    assert streams.fold("a", fold, None) == ({"total": size}, size)
    kept = max(size - TAIL, 0)
    if kept > EVERY:
        snapshots.save("a", kept, {"total": kept}, NOON)
    loaded = timed(lambda: snapshots.load(streams, "a", fold), rounds)
    return row("ours", size, appended, rebuilt, loaded)


def measure_append(name: str, append: Callable[[EventStore, int, NewEvent], int], size: int) -> Row:
    """The cost of one more event in a stream that has some."""

    def counted(number: int) -> NewEvent:
        return NewEvent(f"e{number}", "Counted", 1, NOON, {"number": 1, "text": TEXT})

    def write(streams: EventStore) -> None:
        for version in range(size):
            append(streams, version, counted(version))

    table = MemoryTable(counts=True)
    streams = EventStore(table, "counter")
    write(streams)
    table.restart()
    append(streams, size, counted(size))
    costs = {"calls": table.calls, "write_units": table.write_units, "read_units": table.units}
    return {"append": name} | costs | {"us": timed(lambda: write(EventStore(MemoryTable(), "counter")), 3) / size * 1e6}


def measure_appends(size: int = 1000) -> list[Row]:
    return [
        measure_append("after a version", lambda streams, version, one: streams.append("a", version, [one]), size),
        measure_append("wherever it is", lambda streams, _, one: streams.append("a", Expected.ANY, [one]), size),
        measure_append("fast, one writer", lambda streams, version, one: streams.append_fast("a", version, one), size),
    ]


def measure_theirs(name: str, size: int, rounds: int, env: dict[str, str]) -> Row:
    app = Counting(env=env)
    counter = Counter()
    app.save(counter)

    def append() -> None:
        for _ in range(size - 1):
            counter.count(1, TEXT)
            app.save(counter)

    appended = timed(append, 1)
    rebuilt = timed(lambda: app.repository.get(counter.id), rounds)
    if size > TAIL:
        app.take_snapshot(counter.id, version=size - TAIL)
    loaded = timed(lambda: app.repository.get(counter.id), rounds)
    found: Any = app.repository.get(counter.id)
    assert found.total == size - 1
    return row(name, size, appended, rebuilt, loaded)


def row(store: str, size: int, appended: float, rebuilt: float, loaded: float) -> Row:
    return {
        "store": store,
        "events": size,
        "append_us": appended / size * 1e6,
        "rebuild_us": rebuilt / size * 1e6,
        "rebuild_ms": rebuilt * 1e3,
        "with_snapshot_ms": loaded * 1e3,
    }


def measure_stores(rounds: int) -> list[Row]:
    rows = []
    for size in SIZES:
        rows.append(measure_ours(size, rounds))
        rows.append(measure_theirs("library, memory", size, rounds, {}))
        with tempfile.TemporaryDirectory() as folder:
            env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(Path(folder) / "events.db")}
            rows.append(measure_theirs("library, SQLite", size, rounds, env))
    return rows


def place(store: OrderStore, number: int) -> Any:
    lines = (Line(product_id="mug", sku="MUG", name="Red mug", quantity=1, unit_price=PRICE),)
    order_id = f"00000000-0000-5000-8000-{number:012d}"
    return store.place(order_id, domain.place(order_id, "ada", lines, "tok_ok", "print"), ADDRESS, NOON)


def measure_order(size: int, rounds: int) -> Row:
    """The cost of an order with this many facts, which is far more than an order has."""
    table = MemoryTable(counts=True)
    store = OrderStore(table)
    order = place(store, 1)
    while order.version < size:
        refund = OrderRefunded(refund_id="r", amount=Money.zero("GBP"), reason="x")
        order = store.append(order.id, order, [refund], NOON)
    table.restart()
    store.load(order.id)
    calls, units = table.calls, table.units
    table.restart()
    store.load(order.id, up_to=size)
    units_of_all = table.units
    return {
        "read": "an order",
        "history": size,
        "calls": calls,
        "units": units,
        "ms": timed(lambda: store.load(order.id), rounds) * 1e3,
        "units_of_all": units_of_all,
        "ms_of_all": timed(lambda: store.load(order.id, up_to=size), 1) * 1e3,
    }


def measure_list(size: int, rounds: int) -> Row:
    table = MemoryTable(counts=True)
    store = OrderStore(table)
    for number in range(size):
        place(store, number)
    table.restart()
    store.list_of("ada", status=None, limit=20, cursor=None)
    look = {"read": "a customer's last 20 orders", "history": size, "calls": table.calls, "units": table.units}
    return look | {"ms": timed(lambda: store.list_of("ada", status=None, limit=20, cursor=None), rounds) * 1e3}


def show(console: Console, title: str, rows: list[Row]) -> None:
    grid = Grid(title=title)
    names = list(rows[0])
    for name in names:
        grid.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0][name], str) else "right")
    for found in rows:
        cells = [found.get(name, "") for name in names]
        grid.add_row(*[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells])
    console.print(grid)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--stores-as-json", action="store_true", help="For the run under python -O.")
    chosen = arguments.parse_args()
    stores = measure_stores(chosen.rounds)
    if chosen.stores_as_json:
        print(json.dumps(stores))
        return
    again = [sys.executable, "-O", "-m", "tests.bench.bench_eventstore", "--stores-as-json"]
    told = subprocess.run([*again, "--rounds", str(chosen.rounds)], check=True, capture_output=True, text=True)
    optimised: list[Row] = json.loads(told.stdout.splitlines()[-1])
    appends = measure_appends()
    orders = [measure_order(size, chosen.rounds) for size in SIZES]
    lists = [measure_list(size, chosen.rounds) for size in SIZES]
    console = Console()
    show(console, "Append and rebuild, CPU; the library is eventsourcing 9.5.6", stores)
    show(console, "The same under python -O", optimised)
    show(console, "One event of 400 bytes, appended", appends)
    show(console, "Reading an order, with its snapshots and without", orders)
    show(console, "Reading a customer's list", lists)
    target = HOME / "bench" / "eventstore.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    found = {"stores": stores, "stores_optimised": optimised, "appends": appends, "orders": orders, "lists": lists}
    target.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
