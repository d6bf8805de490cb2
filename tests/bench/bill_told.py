"""Prints the bill in the terminal, and writes it as a page of the documentation and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.bill import MILLION, REMEDIES, Bill, Line
from tests.bench.choices import choices
from tests.bench.prices import CHOSEN, PRICES, PRICES_OF, REGION
from tests.bench.standing import Standing
from tests.bench.usage import Usage

_BAR = 40
_SMALLEST_SLICE = Decimal("0.01")
_DEAREST = 3
_HEADS = ("service", "what", "an order", "a million", "$ each", "$")
NOT_IN_IT = (
    "Not in it: data that is kept, data sent to the internet, the API's access log (0.4 kB a request), taxes, and what "
    "the payment provider takes. Free tiers and discounts are not taken off. In eu-west-1, where samconfig.toml "
    "deploys, all of it is some 3 % dearer (DynamoDB 13 %, logs 14 %)."
)
HOW = (
    "An order is everything from `POST /api/orders` to the delivered parcel, its mails included. Looks at it, log-ins "
    "and the shelves are not in it, and the schedules stand still meanwhile.\n\n"
    "- Calls and events: on the wire between the functions and the local cloud.\n"
    "- Write units: the local cloud's own ConsumedCapacity, with transactions twice and indexes once. Read units: "
    "computed from the items of the answers, since the local cloud's know no sizes.\n"
    "- Invocations, time and log bytes: from the log lines of the functions.\n"
    "- SQS: messages from the bus by its rules; a receive and a delete for each invocation of a queue's consumer.\n"
    "- Transitions: states entered, and retries, from the executions' histories.\n"
    "- Traces: one of twenty of all requests and batches. X-Ray's default rule first takes one a second, so that a "
    "shop with little to do pays for nearly all of its traces: up to $44 for a million orders.\n"
    "- Before the bill is written, the books of all its orders must balance."
)


@dataclass(frozen=True)
class Batches:
    """How full the batches were: messages per receive, and events per read of the streams."""

    messages: int
    receives: int
    records: int
    stream_batches: int

    @property
    def fewer_receives(self) -> int:
        """The number of receives that batches saved."""
        return max(self.messages - self.receives, 0)

    @property
    def fewer_reads(self) -> int:
        """The number of the relay's invocations that batches saved."""
        return max(self.records - self.stream_batches, 0)


@dataclass(frozen=True)
class Told:
    """All results: the bill of an order, the bill of one look at an order, the calls, and the month without orders."""

    order: Bill
    look: Bill
    usage: Usage
    standing: Sequence[Standing]
    counted_on: str  # the day
    concurrency: int
    product_lines: int
    batches: Batches

    def show(self, console: Console) -> None:
        self._show_calls(console)
        self._show_bill(console)
        self._show_chart(console)
        for line in (*self.notes(), self.single_messages(), self.month()):
            console.print(line, highlight=False)

    def _show_calls(self, console: Console) -> None:
        table = Table(title=f"AWS calls, {self.order.orders} orders", title_justify="left")
        table.add_column("service")
        table.add_column("action")
        table.add_column("an order", justify="right")
        for (service, action), count in self.actions():
            table.add_row(service, action, f"{Decimal(count) / self.order.orders:.2f}")
        table.add_row("", "all", f"{Decimal(self.usage.calls.total()) / self.order.orders:.2f}", style="bold")
        console.print(table)

    def _show_bill(self, console: Console) -> None:
        title = f"A million orders at list price, {REGION}, {PRICES_OF}"
        table = Table(title=title, title_justify="left", show_footer=True, padding=(0, 1, 0, 0))
        for name in _HEADS:
            table.add_column(name, justify="left" if name in ("service", "what") else "right", no_wrap=True)
        for line in self.order.lines:
            table.add_row(*_cells(self.order, line))
        table.columns[0].footer, table.columns[-1].footer = "total", f"{self.order.total:,.2f}"
        console.print(table)
        console.print(
            f"Without Lambda's time, which is this machine's and not AWS's: ${self.order.total_without_time:,.2f}"
        )
        console.print(f"One look at an order (GET /api/orders/…): ${self.look.total:,.2f} a million")

    def _show_chart(self, console: Console) -> None:
        table = Table(title="Shares", title_justify="left", box=None, show_header=False)
        services = self.order.by_service()
        longest = max(services.values())
        for service, dollars in services.items():
            share = dollars / self.order.total
            table.add_row(service, f"[cyan]{'█' * round(dollars / longest * _BAR)}[/]", f"{share:.1%}")
        console.print(table)

    def notes(self) -> list[str]:
        said = ["What dominates, and what could be done:"]
        for word, dollars in self.order.dearest(_DEAREST):
            price = PRICES[word]
            said.append(f"- {price.service}, {price.unit} ({dollars / self.order.total:.0%}): {REMEDIES[word]}")
        return said

    def single_messages(self) -> str:
        held = self.batches
        more = self.order.more_for_single_messages(
            Decimal(held.fewer_reads + held.fewer_receives), Decimal(held.fewer_receives)
        )
        return (
            f"A queue's batch held {held.messages / max(held.receives, 1):.1f} messages here, a stream's "
            f"{held.records / max(held.stream_batches, 1):.1f} events. AWS polls faster, and a shop with little to do "
            f"has one in each: ${more:,.2f} more for invocations, receives and deletes, and more of Lambda's time and "
            "log lines."
        )

    def month(self) -> str:
        dollars = sum((one.dollars for one in self.standing), Decimal(0))
        each = ", ".join(f"{one.what} ${one.dollars:,.2f}" for one in self.standing)
        return f"A month without a single order: ${dollars:,.2f} ({each}; what the schedules run is some $5 more)."

    def actions(self) -> list[tuple[tuple[str, str], int]]:
        """Calls by service and action, most first."""
        found: Counter[tuple[str, str]] = Counter()
        for (_, service, action), count in self.usage.calls.items():
            found[service, action] += count
        return found.most_common()

    def writers(self) -> list[tuple[str, Decimal]]:
        """Write units by function, most first."""
        return sorted(self.usage.written.items(), key=lambda one: -one[1])

    def page(self) -> str:
        """The text of docs/cost.md."""
        bill = self.order
        rows = "\n".join("| " + " | ".join(_cells(bill, line)) + " |" for line in bill.lines)
        calls = "\n".join(f"| {s} | {a} | {Decimal(n) / bill.orders:.2f} |" for (s, a), n in self.actions())
        written = "\n".join(f"| {function} | {units / bill.orders:.2f} |" for function, units in self.writers())
        slices = "\n".join(
            f'  "{service}" : {dollars:.2f}'
            for service, dollars in bill.by_service().items()
            if dollars / bill.total >= _SMALLEST_SLICE
        )
        priced = [line.price for line in bill.lines] + [*CHOSEN.values()]
        pages = "\n".join(f"- {page}" for page in sorted({price.page for price in priced}))
        notes = "\n".join(self.notes()[1:])
        chosen = "\n".join(f"| {one.what} | {one.counted} | {one.dollars:,.2f} | {one.note} |" for one in choices(bill))
        return f"""# What an order costs

Written by `python -m tests.bench.bench_bill --write-docs` on {self.counted_on}; counted on {bill.orders} real \
invoices with {self.product_lines} lines, {self.concurrency} at a time, on the local cloud. Prices: list, {REGION}, \
{PRICES_OF} ([prices.py](../tests/bench/prices.py)). `make bench` counts again.

**A million orders: ${bill.total:,.2f}**; without Lambda's time, which is the measuring machine's and not AWS's, \
${bill.total_without_time:,.2f}.

```mermaid
pie showData
  title Dollars for a million orders
{slices}
```

| service | what | an order | a million | $ each | $ |
|---|---|--:|--:|--:|--:|
{rows}
| **total** | | | | | **{bill.total:,.2f}** |

One look at an order (`GET /api/orders/…`): ${self.look.total:,.2f} a million.

## What dominates, and what could be done

{notes}

{self.single_messages()}

## How it is counted

{HOW}

{NOT_IN_IT}

{self.month()}

## What parameters add

Counted in the templates, for a month. SnapStart is not used (decision
[0215](decisions/0215-no-snapstart-for-now.md)); reserved concurrency costs nothing.

| what | counted | $ | |
|---|---|--:|---|
{chosen}

## The functions' AWS calls

| service | action | an order |
|---|---|--:|
{calls}

| function | write units an order |
|---|--:|
{written}

## The prices' pages

{pages}
"""

    def as_json(self) -> dict[str, Any]:
        """Money and counts as text, since they are exact."""
        functions: dict[str, dict[str, int]] = {}
        for (function, service, action), count in sorted(self.usage.calls.items()):
            functions.setdefault(function, {})[f"{service}:{action}"] = count
        return {
            "counted_on": self.counted_on,
            "prices_of": PRICES_OF,
            "region": REGION,
            "orders": self.order.orders,
            "product_lines": self.product_lines,
            "concurrency": self.concurrency,
            "dollars_per_million": _rounded(self.order.total),
            "dollars_per_million_without_lambda_time": _rounded(self.order.total_without_time),
            "dollars_per_million_looks": _rounded(self.look.total),
            "items": [
                {
                    "service": line.price.service,
                    "what": line.what,
                    "per_order": _rounded(self.order.per_order(line)),
                    "dollars_per_million": _rounded(self.order.dollars(line)),
                }
                for line in self.order.lines
            ],
            "calls_by_function": functions,
            "write_units_by_function": {function: _rounded(units) for function, units in self.writers()},
            "events": dict(sorted(self.usage.events.items())),
            "standing_dollars_a_month": {one.what: _rounded(one.dollars) for one in self.standing},
        }


def _cells(bill: Bill, line: Line) -> tuple[str, ...]:
    used, price = bill.per_order(line), line.price
    million, dollars = _amount(used * MILLION), f"{bill.dollars(line):,.2f}"
    return price.service, line.what, _amount(used), million, price.short, dollars


def _amount(used: Decimal) -> str:
    if used >= 1000:
        return f"{used:,.0f}"
    return f"{used:.2f}" if used >= 1 or not used else f"{used:.3g}" if used >= Decimal("0.001") else f"{used:.6f}"


def _rounded(value: Decimal) -> str:
    return f"{value:.4f}"
