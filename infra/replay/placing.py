"""Places each invoice as one order, waits until the order is final for the books, and returns some goods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.operator.client import Clock, Json, Session, ShopError, TooLate, poll
from infra.replay.books import SHIPPED, Charged, OrderFact, is_final
from infra.replay.buyers import Account, Basket, Bought, Guest, check_out
from infra.replay.customers import address_of, email_of
from infra.replay.parallel import each
from infra.replay.plan import Plan, is_guests, is_quoted
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
    bought: Bought | None = None
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
    returns = order.get("returns", [])
    came_back: dict[str, int] = {}
    for line in (line for made in returns for line in made["received"]):
        units[line["product_id"]] -= line["restock"]
        came_back[line["product_id"]] = came_back.get(line["product_id"], 0) + line["quantity"]
    charges = order.get("charges", [])
    undone = [charge for made in returns for charge in made["charges"]]
    return OrderFact(
        order_id=order["order_id"],
        status=order["status"],
        payment_status=order["payment_status"],
        total=order["total"]["amount"],
        units=units,
        reason=order.get("reason") or "",
        charges=[_charge(charge) for charge in charges],
        codes=order.get("codes", []),
        tax=order["tax"]["amount"] if "tax" in order else 0,
        refunded=order["refunded"]["amount"] if "refunded" in order else 0,
        returned=[_charge(charge) for charge in undone],
        came_back=came_back,
    )


def _charge(charge: Json) -> Charged:
    return Charged(
        charge["kind"],
        charge["product_id"],
        charge["quantity"],
        charge["amount"]["amount"],
        charge["tax"]["amount"],
        charge["rate"],
    )


@dataclass(frozen=True)
class Placer:
    """Places the plan's invoices. Each thread waits for its order, so `concurrency` bounds the unfinished orders."""

    plan: Plan
    customers: Mapping[str, Session]
    guest: Guest
    product_ids: Mapping[str, str]
    patience: float
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def clock(self) -> Clock:
        return self.guest.clock

    def place_all(self, concurrency: int, done: Callable[[Outcome], Any] = lambda _: None) -> list[Outcome]:
        return each(self.place, self.plan.invoices, concurrency, done)

    def place(self, invoice: Invoice) -> Outcome:
        sent = self.utc_now()
        try:
            bought = self.send(invoice)
        except ShopError as error:
            return Outcome(invoice, trouble=str(error))
        order = bought.order
        is_new = datetime.fromisoformat(order["placed_at"]) >= sent - _CLOCKS_DIFFER
        accepted_after = (self.utc_now() - sent).total_seconds() if is_new else None
        outcome = Outcome(invoice, order, bought, accepted_after=accepted_after)
        outcome = self._wait(outcome, has_ended, "is final", self.patience)
        confirmed = moment_of(outcome.order, "confirmed") if is_new else None
        return replace(outcome, confirmed_after=(confirmed - sent).total_seconds() if confirmed else None)

    def send(self, invoice: Invoice) -> Bought:
        """Places the invoice through the checkout and returns without waiting for the order to be final.

        The walk-in customer is a guest. An invoice that is too long for a checkout is ordered by its lines.
        """
        basket = self._basket(invoice)
        if is_guests(invoice):
            return check_out(self.guest, basket)
        account = Account(self.customers[invoice.customer])
        if is_quoted(invoice):
            return check_out(account, basket)
        return account.order_lines(basket, [{"amount": line.price, "currency": CURRENCY} for line in invoice.lines])

    def _basket(self, invoice: Invoice) -> Basket:
        return Basket(
            key=f"replay-{self.plan.run}-{invoice.number}",
            items=[
                {"product_id": self.product_ids[self.plan.sku(line)], "quantity": line.quantity}
                for line in invoice.lines
            ],
            address=address_of(invoice.customer, invoice.country),
            email=email_of(invoice.customer, self.plan.run),
            codes=[self.plan.coupon] if invoice.number in self.plan.discounted else [],
        )

    def follow_to_dispatch(
        self, outcomes: Sequence[Outcome], concurrency: int, within: float, done: Callable[[Any], Any] = lambda _: None
    ) -> list[Outcome]:
        """Waits until all sold orders are shipped, because units on hand decrease only at dispatch."""
        deadline = self.clock.monotonic() + within

        def follow(outcome: Outcome) -> Outcome:
            if not outcome.placed or outcome.order["status"] in AT_REST:
                return outcome
            return self._wait(outcome, is_at_rest, "is shipped", max(deadline - self.clock.monotonic(), 0.0))

        return each(follow, outcomes, concurrency, done)

    def return_some(
        self, outcomes: Sequence[Outcome], admin: Session, concurrency: int, done: Callable[[Any], Any] = lambda _: None
    ) -> list[Outcome]:
        """Some buyers send the first line of their delivered order back. Staff approves it and receives all of it."""

        def follow(outcome: Outcome) -> Outcome:
            is_returning = outcome.invoice.number in self.plan.returning
            return self._return(outcome, admin) if is_returning and outcome.order.get("status") in SHIPPED else outcome

        return each(follow, outcomes, concurrency, done)

    def _return(self, outcome: Outcome, admin: Session) -> Outcome:
        outcome = self._wait(outcome, is_delivered, "is delivered", self.patience)
        if outcome.trouble or outcome.bought is None:
            return outcome
        order, key = outcome.order, f"return-{self.plan.run}-{outcome.invoice.number}"
        line = {name: order["lines"][0][name] for name in ("product_id", "quantity")}
        came = {"product_id": line["product_id"], "restock": line["quantity"]}
        try:
            made = outcome.bought.ask_back({"lines": [line], "reason": "damaged"}, key)
            path = f"/orders/{order['order_id']}/returns/{made['return_id']}"
            admin.post(f"{path}/approve", key=f"{key}-approve")
            admin.post(f"{path}/receive", {"lines": [came]}, key=f"{key}-receive")
        except ShopError as error:
            return replace(outcome, trouble=str(error))
        return self._wait(outcome, is_refunded, "is refunded", self.patience)

    def _wait(self, outcome: Outcome, until: Callable[[Json], bool], what: str, within: float) -> Outcome:
        """The outcome with the order's last view, and with the trouble if the order does not get there."""
        assert outcome.bought
        what = f"order {outcome.order['order_id']} {what}"
        try:
            order = poll(outcome.bought.read, until, what=what, within=within, clock=self.clock)
        except TooLate as late:
            return replace(outcome, order=late.last, trouble=str(late))
        except ShopError as error:
            return replace(outcome, trouble=str(error))
        return replace(outcome, order=order)


def is_delivered(order: Json) -> bool:
    return order["status"] in ("delivered", "refunded")


def is_refunded(order: Json) -> bool:
    """Tells whether the money of every return is back."""
    return all(made["refunded"] is not None for made in order["returns"])


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
