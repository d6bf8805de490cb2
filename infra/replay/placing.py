"""Places each invoice as one order and waits until the order is final for the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.operator.client import Json, Session, ShopError, TooLate
from infra.replay.books import SHIPPED, OrderFact, is_final
from infra.replay.customers import address_of
from infra.replay.parallel import each
from infra.replay.plan import Plan
from infra.replay.rows import Invoice

CURRENCY = "GBP"
_CLOCKS_DIFFER = timedelta(seconds=1)
AT_REST = SHIPPED | {"cancelled", "needs_attention"}


@dataclass(frozen=True)
class Outcome:
    """The result of placing an invoice. `order` is the order's last view, and empty if placing failed.

    Both times are None for an order that an interrupted run had placed already. Times are in seconds.
    """

    invoice: Invoice
    order: Json = field(default_factory=dict)
    trouble: str = ""
    accepted_after: float | None = None
    confirmed_after: float | None = None

    @property
    def placed(self) -> bool:
        return bool(self.order)

    @property
    def fact(self) -> OrderFact:
        return fact_of(self.order)


def fact_of(order: Json) -> OrderFact:
    units: dict[str, int] = {}
    for line in order["lines"]:
        units[line["product_id"]] = units.get(line["product_id"], 0) + line["quantity"]
    for line in (line for made in order.get("returns", []) for line in made["received"]):
        units[line["product_id"]] -= line["restock"]
    return OrderFact(
        order_id=order["order_id"],
        status=order["status"],
        payment_status=order["payment_status"],
        total=order["total"]["amount"],
        units=units,
        reason=order.get("reason") or "",
        delivery=sum(one["amount"]["amount"] for one in order.get("charges", []) if one["kind"] == "shipping"),
    )


@dataclass(frozen=True)
class Placer:
    """Places the plan's invoices. Each thread waits for its order, so `concurrency` bounds the unfinished orders."""

    plan: Plan
    customers: Mapping[str, Session]
    product_ids: Mapping[str, str]
    patience: float
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def place_all(self, concurrency: int, done: Callable[[Outcome], Any] = lambda _: None) -> list[Outcome]:
        return each(self.place, self.plan.invoices, concurrency, done)

    def place(self, invoice: Invoice) -> Outcome:
        session, sent = self.customers[invoice.customer], self.utc_now()
        try:
            order = self.send(invoice)
        except ShopError as error:
            return Outcome(invoice, trouble=str(error))
        is_new = datetime.fromisoformat(order["placed_at"]) >= sent - _CLOCKS_DIFFER
        outcome = Outcome(invoice, order, accepted_after=(self.utc_now() - sent).total_seconds() if is_new else None)
        try:
            order = session.wait_for_order(order["order_id"], has_ended, what="is final", within=self.patience)
        except TooLate as late:
            return replace(outcome, order=late.last, trouble=str(late))
        except ShopError as error:
            return replace(outcome, trouble=str(error))
        confirmed = moment_of(order, "confirmed") if is_new else None
        return replace(outcome, order=order, confirmed_after=(confirmed - sent).total_seconds() if confirmed else None)

    def send(self, invoice: Invoice) -> Json:
        """Places the invoice and returns without waiting for the order to be final."""
        return self.customers[invoice.customer].place_order(
            self._lines(invoice),
            token="tok_ok",
            address=address_of(invoice.customer, invoice.country),
            key=f"replay-{self.plan.run}-{invoice.number}",
        )

    def _lines(self, invoice: Invoice) -> list[Json]:
        return [
            {
                "product_id": self.product_ids[self.plan.sku(line)],
                "quantity": line.quantity,
                "unit_price": {"amount": line.price, "currency": CURRENCY},
            }
            for line in invoice.lines
        ]

    def follow_to_dispatch(
        self, outcomes: Sequence[Outcome], concurrency: int, within: float, done: Callable[[Any], Any] = lambda _: None
    ) -> list[Outcome]:
        """Waits until all sold orders are shipped, because units on hand decrease only at dispatch."""
        clock = next(iter(self.customers.values())).shop.clock
        deadline = clock.monotonic() + within

        def follow(outcome: Outcome) -> Outcome:
            if not outcome.placed or outcome.order["status"] in AT_REST:
                return outcome
            left = max(deadline - clock.monotonic(), 0.0)
            session = self.customers[outcome.invoice.customer]
            try:
                order = session.wait_for_order(outcome.order["order_id"], is_at_rest, what="is shipped", within=left)
            except TooLate as late:
                return replace(outcome, order=late.last, trouble=str(late))
            except ShopError as error:
                return replace(outcome, trouble=str(error))
            return replace(outcome, order=order)

        return each(follow, outcomes, concurrency, done)


def is_at_rest(order: Json) -> bool:
    """Tells whether the order will neither release nor ship stock without an operator."""
    return order["status"] in AT_REST


def has_ended(order: Json) -> bool:
    """Tells whether the order is final for the books or waits for an operator."""
    return is_final(fact_of(order)) or order["status"] == "needs_attention"


def moment_of(order: Json, status: str) -> datetime | None:
    """Returns the first time at which the order's timeline has the status, or None."""
    found = next((entry["at"] for entry in order["timeline"] if entry["status"] == status), None)
    return datetime.fromisoformat(found) if found else None
