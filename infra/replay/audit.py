"""The audit after a replay. It reads and compares the facts of this run's orders and products only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.operator.client import Clock, Session, TooLate, poll
from infra.replay import books, ledger
from infra.replay.books import Difference, Entry, OrderFact, PaymentFact, StockFact
from infra.replay.buyers import SERVICE
from infra.replay.catalogue import DISCOUNT
from infra.replay.placing import Outcome
from infra.replay.plan import Plan
from infra.replay.tap import Seen, within

# A transaction that was in progress when the window closed is committed after this time.
COMMIT_GRACE = timedelta(seconds=10)


@dataclass(frozen=True)
class Auditor:
    """Reads the facts of one run. `charges_of` reads the payment provider's charges.

    `patience` is how long late events may take before a mismatch counts as a difference, in seconds.
    """

    admin: Session
    charges_of: Callable[[list[str]], list[PaymentFact]]
    plan: Plan
    product_ids: Mapping[str, str]
    concurrency: int
    patience: float

    def audit(self, outcomes: Sequence[Outcome]) -> list[Entry]:
        """Returns the entries for orders, money and goods. An invoice without an order is a difference too."""
        placed = [outcome for outcome in outcomes if outcome.placed]
        orders = [outcome.fact for outcome in placed]
        invoiced = {outcome.order["order_id"]: outcome.invoice.total for outcome in placed}
        order_ids = [order.order_id for order in orders]
        payments = ledger.payments_of(self.admin, order_ids, self.concurrency)
        parcels = {
            outcome.order["order_id"]: (outcome.invoice.country, outcome.invoice.pieces, outcome.invoice.total)
            for outcome in placed
        }
        shipping = ledger.shipping_of(self.admin, parcels, SERVICE)
        terms = books.Terms(self.plan.coupon, len(self.plan.discounted), DISCOUNT, shipping)
        stock = self.read_stock(orders)
        entries = [
            audit_placing(outcomes),
            books.audit_orders(orders),
            *books.audit_charges(orders, invoiced, terms),
            books.audit_money(orders, payments),
            books.audit_money(orders, self.charges_of(order_ids), "the provider's charges = sold"),
            *books.audit_stock(orders, stock),
            books.audit_coupon(orders, terms, self.uses()),
            *books.audit_returns(orders, payments),
            *self.audit_documents(orders, payments),
        ]
        return [*entries, books.audit_reservations(stock)]

    def uses(self) -> int:
        return int(self.admin.get(f"/promotions/coupons/{self.plan.coupon}")["used"]) if self.plan.discounted else 0

    def audit_documents(self, orders: Sequence[OrderFact], payments: Sequence[PaymentFact]) -> list[Entry]:
        """Documents are issued by events: compares again until they match or time is up. The numbers are those of each
        series that the documents are of: staff decides how documents are numbered, and a run may last into a new year.
        """
        order_ids = [payment.order_id for payment in payments]
        series: set[str] = set()

        def compare() -> list[Entry]:
            documents = ledger.documents_of(self.admin, order_ids, self.concurrency)
            series.update(*(fact.series for fact in documents))
            return [books.audit_documents(payments, documents), books.audit_taxes(orders, documents)]

        entries = _until_it_balances(compare, "the documents agree", self.patience, self.admin.shop.clock)
        return [*entries, books.audit_numbers(ledger.numbers_of(self.admin, sorted(series)))]

    def read_stock(self, orders: Sequence[OrderFact]) -> list[StockFact]:
        """Returns the stock of the run's products. Reads mismatching products again until they match or time is up."""
        wanted = {self.product_ids[variant.sku]: (variant.sku, variant.stocked) for variant in self.plan.variants}
        facts = {fact.product_id: fact for fact in ledger.stock_of(self.admin, wanted, self.concurrency)}

        def read_again() -> set[str]:
            late = books.unsettled(orders, facts.values())
            for fact in ledger.stock_of(self.admin, {one: wanted[one] for one in late}, self.concurrency):
                facts[fact.product_id] = fact
            return books.unsettled(orders, facts.values())

        try:
            poll(
                read_again,
                lambda late: not late,
                what="the stock agrees",
                within=self.patience,
                every=1.0,
                clock=self.admin.shop.clock,
            )
        except TooLate:
            # The audit compares the same figures again and reports each difference.
            return list(facts.values())
        return list(facts.values())


def audit_placing(outcomes: Sequence[Outcome]) -> Entry:
    book = "invoices placed as orders"
    differences = [
        Difference(book, f"invoice {outcome.invoice.number}", "an order", outcome.trouble)
        for outcome in outcomes
        if not outcome.placed
    ]
    return Entry(book, str(len(outcomes)), str(len(outcomes) - len(differences)), differences)


def audit_bus(
    written: Callable[[], Sequence[Seen]],
    received: Callable[[], Mapping[str, Seen]],
    start: datetime,
    end: datetime,
    patience: float,
    clock: Clock,
) -> Entry:
    """Compares the window's events in the tables with those on the bus. Waits `patience` seconds for late events."""
    in_tables = within(written(), start, end)

    def compare() -> list[Entry]:
        return [books.audit_events(in_tables, within(received().values(), start, end))]

    return _until_it_balances(compare, "the bus has caught up", patience, clock)[0]


def _until_it_balances(compare: Callable[[], list[Entry]], what: str, patience: float, clock: Clock) -> list[Entry]:
    """Returns the last entries, with their differences, if time is up."""

    def balance(entries: list[Entry]) -> bool:
        return all(entry.balances for entry in entries)

    try:
        return poll(compare, balance, what=what, within=patience, every=0.5, clock=clock)
    except TooLate as late:
        last: list[Entry] = late.last
        return last
