"""The bill told: in the terminal, as a page of the documentation, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.bill import REMEDIES, Bill, Line
from tests.bench.prices import PRICES_OF, REGION
from tests.bench.standing import Standing
from tests.bench.usage import Usage

_BAR = 40
_SMALLEST_SLICE = Decimal("0.01")
_DEAREST = 3
NOT_IN_IT = (
    "Not in it: data that is kept and data sent to the internet, detailed metrics of the API, taxes, and what the "
    "payment provider takes; free tiers and discounts are not taken off."
)
HOW = (
    "An order is everything from `POST /api/orders` to the delivered parcel, its mails included; the shopper's own "
    "looks at it come on top. Calls are counted on the wire between the functions and the local cloud. Write units are "
    "the local cloud's own ConsumedCapacity (transactions twice, indexes once, refused writes too), read units are "
    "computed from the items of the answers. Receives and deletes of Lambda's pollers are one each per invocation of a "
    "queue's consumer, messages come from the bus by its rules, transitions from the executions' histories, invocations, "
    "time and log bytes from the log lines. Traces: one of twenty, and at most as many as there are requests and batches."
)


@dataclass(frozen=True)
class Told:
    """All that was found: the order's bill, that of one look at an order, the calls, and the month without orders."""

    order: Bill
    look: Bill
    usage: Usage
    standing: Sequence[Standing]
    counted_on: str  # the day
    concurrency: int
    product_lines: int

    def show(self, console: Console) -> None:
        calls = Table(title=f"AWS calls of the functions, {self.order.orders} orders", title_justify="left")
        for name in ("service", "action", "per order"):
            calls.add_column(name, justify="right" if name == "per order" else "left")
        for (service, action), count in self.actions():
            calls.add_row(service, action, f"{Decimal(count) / self.order.orders:.2f}")
        calls.add_row("", "all", f"{Decimal(self.usage.calls.total()) / self.order.orders:.2f}", style="bold")
        console.print(calls)
        self._show_bill(console)
        self._show_chart(console)
        for line in self.notes():
            console.print(line, highlight=False)

    def _show_bill(self, console: Console) -> None:
        table = Table(
            title=f"A million orders at list price, {REGION}, {PRICES_OF}", title_justify="left", show_footer=True
        )
        for name in ("service", "what", "an order", "a million", "$ each", "$"):
            table.add_column(name, justify="left" if name in ("service", "what") else "right")
        for line in self.order.lines:
            table.add_row(*_cells(self.order, line))
        table.columns[0].footer, table.columns[-1].footer = "total", f"{self.order.total:,.2f}"
        console.print(table)
        without = f"without Lambda's time, which is this machine's: ${self.order.total_without_time:,.2f}"
        console.print(f"{without}; one look at an order (GET /api/orders/…): ${self.look.total:,.2f} a million")

    def _show_chart(self, console: Console) -> None:
        table = Table(title="Shares", title_justify="left", box=None, show_header=False)
        services = self.order.by_service()
        longest = max(services.values())
        for service, dollars in services.items():
            share = dollars / self.order.total
            table.add_row(service, f"[cyan]{'█' * round(dollars / longest * _BAR)}[/]", f"{share:.1%}")
        console.print(table)

    def notes(self) -> list[str]:
        said = [f"What dominates, and what could be done:"]
        for line in self.order.dearest(_DEAREST):
            share = self.order.dollars(line) / self.order.total
            said.append(f"- {line.price.service}, {line.what} ({share:.0%}): {REMEDIES[line.word]}")
        month = sum((one.dollars for one in self.standing), Decimal(0))
        each = ", ".join(f"{one.what} ${one.dollars:,.2f}" for one in self.standing)
        return [
            *said,
            f"A month without a single order: ${month:,.2f} ({each}; what the schedules' runs do is not in it).",
        ]

    def actions(self) -> list[tuple[tuple[str, str], int]]:
        """Calls by service and action, most first."""
        found: Counter[tuple[str, str]] = Counter()
        for (_, service, action), count in self.usage.calls.items():
            found[service, action] += count
        return found.most_common()

    def page(self) -> str:
        """docs/cost.md."""
        bill = self.order
        rows = "\n".join("| " + " | ".join(_cells(bill, line)) + " |" for line in bill.lines)
        calls = "\n".join(f"| {s} | {a} | {Decimal(n) / bill.orders:.2f} |" for (s, a), n in self.actions())
        slices = "\n".join(
            f'  "{service}" : {dollars:.2f}'
            for service, dollars in bill.by_service().items()
            if dollars / bill.total >= _SMALLEST_SLICE
        )
        pages = "\n".join(f"- {page}" for page in sorted({line.price.page for line in bill.lines}))
        notes = "\n".join(self.notes()[1:-1])
        return f"""# What an order costs

Written by `python -m tests.bench.bench_bill --write-docs` on {self.counted_on}; counted on {bill.orders} real invoices \
with {self.product_lines} lines, {self.concurrency} at a time, on the local cloud. Prices: list, {REGION}, {PRICES_OF} \
([prices.py](../tests/bench/prices.py)). `make bench` counts anew.

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

At {self.concurrency} orders at a time nearly every batch holds one message. With more traffic they fill up: fewer \
invocations, receives and deletes for the same events.

## How it is counted

{HOW}

{NOT_IN_IT}

{self.notes()[-1]}

## The functions' AWS calls

| service | action | an order |
|---|---|--:|
{calls}

## The prices' pages

{pages}
"""

    def as_json(self) -> dict[str, Any]:
        """Money and counts as text: they are exact."""
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
            "events": dict(sorted(self.usage.events.items())),
            "standing_dollars_a_month": {one.what: _rounded(one.dollars) for one in self.standing},
        }


def _cells(bill: Bill, line: Line) -> tuple[str, ...]:
    used = bill.per_order(line)
    price = line.price
    return (
        price.service,
        f"{line.what}",
        _amount(used),
        f"{used * 1_000_000:,.0f}",
        f"{price.dollars.normalize():f} per {price.per:,}" if price.per > 1 else f"{price.dollars.normalize():f}",
        f"{bill.dollars(line):,.2f}",
    )


def _amount(used: Decimal) -> str:
    return f"{used:,.2f}" if used >= 1 or not used else f"{used:.4f}"


def _rounded(value: Decimal) -> str:
    return f"{value:.4f}"
