"""Plans a replay before any request: the invoices, and the products that they need.

Prices change from invoice to invoice, and the shop refuses an order whose price is not the catalogue's. So an article
at another price is another product, sku `<code>@<pence>/<run>`: 85123A at £2.55 is `85123A@255/3F9A1C`. No invoice is
altered, no price is averaged, and invoices can be placed side by side. The run's name is in the sku so that no
other order changes the stock that this run's audit counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.replay.rows import Invoice, Line


@dataclass(frozen=True)
class Variant:
    """A product to be made: an article at one price. `units` is how many the run's invoices sell."""

    sku: str
    name: str
    price: int
    units: int

    @property
    def stocked(self) -> int:
        """What is put on the shelf: all that is sold, and some more, so that an oversale would not go unseen."""
        return self.units + max(20, self.units // 10)


@dataclass(frozen=True)
class Plan:
    run: str
    invoices: Sequence[Invoice]
    variants: Sequence[Variant]

    @property
    def customers(self) -> list[str]:
        """Each once, in the order of their first invoice; the empty name is the walk-in customer."""
        return list(dict.fromkeys(invoice.customer for invoice in self.invoices))

    @property
    def walk_ins(self) -> int:
        return sum(not invoice.customer for invoice in self.invoices)

    @property
    def lines(self) -> int:
        return sum(len(invoice.lines) for invoice in self.invoices)

    @property
    def total(self) -> int:
        return sum(invoice.total for invoice in self.invoices)

    def sku(self, line: Line) -> str:
        return sku_of(line.code, line.price, self.run)


def make_plan(invoices: Sequence[Invoice], limit: int, run: str) -> Plan:
    """The first `limit` sales of the file. An article's name is the one it has first."""
    chosen = invoices[:limit]
    units: dict[str, int] = {}
    first: dict[str, Line] = {}
    for line in (line for invoice in chosen for line in invoice.lines):
        sku = sku_of(line.code, line.price, run)
        units[sku] = units.get(sku, 0) + line.quantity
        first.setdefault(sku, line)
    return Plan(run, chosen, [Variant(sku, line.name, line.price, units[sku]) for sku, line in first.items()])


def sku_of(code: str, price: int, run: str) -> str:
    return f"{code}@{price}/{run}".upper()


def chunks[T](things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
