"""Plans a replay before any request: the invoices and the products that they need.

Prices change from invoice to invoice, and the shop refuses an order whose price is not the catalogue's. So an article
at another price is another product, sku `<code>@<pence>/<run>`: 85123A at £2.55 is `85123A@255/3F9A1C`. The plan
alters no invoice and averages no price, and invoices can be placed in parallel. The run's name is in the sku so that
no other order changes the stock that this run's audit counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from infra.replay.rows import Invoice, Line

LONGEST_QUOTE = 250  # lines that a checkout takes
_DISCOUNTED = 5  # every fifth order has the run's coupon
_RETURNED = 10  # of every tenth delivered order the first line comes back


@dataclass(frozen=True)
class Variant:
    """A product to import: an article at one price. `units` is the number that the run's invoices sell."""

    sku: str
    name: str
    price: int
    units: int

    @property
    def stocked(self) -> int:
        """The units to add to stock: the sold units and a reserve, so that the audit can see an oversale."""
        return self.units + max(20, self.units // 10)


@dataclass(frozen=True)
class Plan:
    run: str
    invoices: Sequence[Invoice]
    variants: Sequence[Variant]

    @property
    def customers(self) -> list[str]:
        """The distinct customers, in the order of their first invoice. The empty name is the walk-in customer."""
        return list(dict.fromkeys(invoice.customer for invoice in self.invoices))

    @property
    def accounts(self) -> list[str]:
        """The customers who need an account: not the walk-in customer, unless an invoice is too long for a guest."""
        return [
            customer
            for customer in self.customers
            if customer or any(not one.customer and not is_quoted(one) for one in self.invoices)
        ]

    @property
    def guests(self) -> int:
        return sum(is_guests(invoice) for invoice in self.invoices)

    @property
    def unquoted(self) -> list[Invoice]:
        return [invoice for invoice in self.invoices if not is_quoted(invoice)]

    @property
    def coupon(self) -> str:
        """The code of the run's coupon."""
        return f"REPLAY-{self.run}".upper()

    @property
    def discounted(self) -> Set[str]:
        """The numbers of the invoices whose orders have the coupon."""
        return {invoice.number for invoice in [one for one in self.invoices if is_quoted(one)][::_DISCOUNTED]}

    @property
    def returning(self) -> Set[str]:
        """The numbers of the invoices of which goods come back."""
        return {invoice.number for invoice in self.invoices[::_RETURNED]}

    @property
    def lines(self) -> int:
        return sum(len(invoice.lines) for invoice in self.invoices)

    @property
    def total(self) -> int:
        return sum(invoice.total for invoice in self.invoices)

    def sku(self, line: Line) -> str:
        return sku_of(line.code, line.price, self.run)


def is_quoted(invoice: Invoice) -> bool:
    """Whether a checkout takes so many lines. A longer invoice is ordered by its lines alone."""
    return len(invoice.lines) <= LONGEST_QUOTE


def is_guests(invoice: Invoice) -> bool:
    return not invoice.customer and is_quoted(invoice)


def make_plan(invoices: Sequence[Invoice], limit: int, run: str) -> Plan:
    """Plans the first `limit` sales of the file. An article's first description is its product's name."""
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
