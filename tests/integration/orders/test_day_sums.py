"""The sums by day equal the sums of the facts, whatever the order, the duplicates and the batches of the events."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner

from infra.operator import orders as command
from mercato.clock import utc_now
from mercato.ids import derived_id
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.dynamo import Table
from orders import day_sums, domain
from orders.day_sums import Days, DaySums, Sums, fold
from orders.facts import Fact, OrderConfirmed, OrderRefunded
from orders.order import Address, Line, Order
from orders.store import OrderStore
from tests.integration.interrupter import Interrupter
from tests.integration.orders.conftest import ADDRESS, Shop

ALL = (date.min, date.max)
HEARD = ("order.confirmed", "order.cancelled", "order.refunded", "order.needs_attention")


def pounds(amount: int, currency: str = "GBP") -> Money:
    return Money(amount=amount, currency=currency)


class Ledger:
    """Orders with their facts, each at its own time."""

    def __init__(self, store: OrderStore, noon: datetime) -> None:
        self.store = store
        self.noon = noon
        self.orders: dict[str, Order] = {}

    def place(self, name: str, price: int, day: int = 0, currency: str = "GBP") -> str:
        order_id = derived_id(name)
        line = Line(product_id="mug", sku="MUG", name="mug", quantity=1, unit_price=pounds(price, currency))
        facts = domain.place(order_id, "cust-1", (line,), "tok_ok", "same")
        at = self.noon + timedelta(days=day)
        self.orders[order_id] = self.store.place(order_id, facts, Address(**ADDRESS), at)
        return order_id

    def add(self, order_id: str, day: int, *facts: Fact) -> None:
        at = self.noon + timedelta(days=day)
        self.orders[order_id] = self.store.append(order_id, self.orders[order_id], facts, at)

    def refund(self, order_id: str, amount: int, day: int, refund_id: str = "ref-1") -> None:
        currency = self.orders[order_id].total.currency
        self.add(order_id, day, OrderRefunded(refund_id=refund_id, amount=pounds(amount, currency), reason="x"))

    def cancel(self, order_id: str, day: int) -> None:
        self.add(order_id, day, *domain.cancel(self.orders[order_id], "out-of-stock", "none left"))

    def books(self) -> Days:
        found: Days = {}
        for order_id in self.orders:
            for key, sums in fold(self.store.history(order_id))[0].items():
                found[key] = found.get(key, Sums()) + sums
        return found


@pytest.fixture
def ledger(shop: Shop, noon: datetime) -> Ledger:
    return Ledger(shop.store, noon)


@pytest.fixture
def sums(shop: Shop) -> DaySums:
    return DaySums(shop.table)


def some_days(ledger: Ledger) -> None:
    """Three orders over three days, one of them in another currency."""
    kept, undone, euro = ledger.place("kept", 1000), ledger.place("undone", 250, 1), ledger.place("euro", 70, 1, "EUR")
    ledger.add(kept, 0, OrderConfirmed(payment_id="pay-1"))
    ledger.cancel(undone, 2)
    ledger.refund(euro, 20, 1, "ref-1")
    ledger.refund(euro, 50, 2, "ref-2")


EXPECTED = {
    ("2026-11-22", "GBP"): Sums(orders=1, gross=1000),
    ("2026-11-23", "GBP"): Sums(orders=1, gross=250),
    ("2026-11-23", "EUR"): Sums(orders=1, gross=70, refunded=20),
    ("2026-11-24", "GBP"): Sums(cancelled=1, cancelled_amount=250),
    ("2026-11-24", "EUR"): Sums(refunded=50),
}


def test_each_fact_counts_on_its_own_day_and_in_its_own_currency(ledger: Ledger) -> None:
    some_days(ledger)
    assert ledger.books() == EXPECTED


@pytest.mark.parametrize("seed", range(8))
def test_events_in_any_order_and_more_than_once_sum_each_fact_once(
    ledger: Ledger, sums: DaySums, shop: Shop, seed: int
) -> None:
    """Also while their orders continue: the event of an earlier fact finds the later ones."""
    chance = random.Random(seed)
    acts: list[Callable[[], object]] = []
    for number in range(6):
        order_id = ledger.place(f"order-{number}", chance.randint(1, 10**9), chance.randint(0, 2))
        for refund in range(chance.randint(0, 3)):
            amount = chance.randint(0, 10**6)
            acts.append(partial(ledger.refund, order_id, amount, 3 + refund, f"ref-{refund}"))
        if chance.random() < 0.4:
            acts.append(partial(ledger.cancel, order_id, 4))
        acts += [partial(sums.sum_order, order_id)] * chance.randint(1, 3)
    chance.shuffle(acts)
    for act in acts:
        act()
    for order_id in chance.sample(list(ledger.orders), len(ledger.orders)):  # the event of each order's last fact
        sums.sum_order(order_id)
    assert sums.between(*ALL) == ledger.books()
    for order_id, order in ledger.orders.items():
        assert sums.catch_up(order_id, 1) == order.version


@pytest.mark.parametrize("call", range(4))
def test_of_two_that_sum_an_order_at_once_each_fact_is_summed_by_one(
    ledger: Ledger, sums: DaySums, shop: Shop, call: int
) -> None:
    order_id = ledger.place("order", 1000)
    sums.sum_order(order_id)
    ledger.refund(order_id, 300, 1)
    other = DaySums(shop.table)
    interrupter = Interrupter()
    interrupter.at(call, lambda: other.sum_order(order_id))
    sums.sum_order(order_id)
    assert sums.between(*ALL) == ledger.books()
    assert interrupter.act is None, "the other came in between"


def test_an_order_with_facts_of_more_days_than_a_transaction_takes_is_summed_whole(
    ledger: Ledger, sums: DaySums
) -> None:
    order_id = ledger.place("order", 1000)
    for day in range(1, 203):
        ledger.refund(order_id, 1, day, f"ref-{day}")
    sums.sum_order(order_id)
    assert len(sums.between(*ALL)) == 203
    assert sums.between(*ALL) == ledger.books()


@pytest.mark.parametrize("event_type", HEARD)
def test_an_event_of_an_order_brings_the_sums_up_to_date(shop: Shop, event_type: str) -> None:
    order_id = shop.place()["order_id"]
    assert days(shop, **around_now()) == []
    for _ in range(2):
        assert shop.hear(event_type, {"order_id": order_id}) == []
    [day] = days(shop, **around_now())
    assert (day["orders"], day["gross"]) == (1, {"amount": 4500, "currency": "GBP"})


def test_an_event_of_an_order_that_is_unknown_sums_nothing(shop: Shop) -> None:
    assert shop.hear("order.confirmed", {"order_id": "nothing"}) == []
    assert days(shop, **around_now()) == []


def around_now() -> dict[str, str]:
    """Yesterday to tomorrow: midnight may pass while a test runs."""
    today = utc_now().date()
    return {"from": str(today - timedelta(days=1)), "to": str(today + timedelta(days=1))}


def days(shop: Shop, **query: str) -> Any:
    query = {"from": "2026-01-01", "to": "2026-12-31"} | query
    status, answer, _ = shop.call("GET", "/api/ops/orders/days", role="admin", user="boss", query=query)
    assert status == 200, answer
    return answer["items"]


def test_the_days_are_told_newest_first_within_what_is_asked(ledger: Ledger, sums: DaySums, shop: Shop) -> None:
    some_days(ledger)
    for order_id in ledger.orders:
        sums.sum_order(order_id)
    found = days(shop)
    assert [(day["day"], day["gross"]["currency"]) for day in found] == sorted(EXPECTED, reverse=True)
    assert days(shop, **{"from": "2026-11-24", "to": "2026-11-24"})[0] == {
        "day": "2026-11-24",
        "orders": 0,
        "gross": {"amount": 0, "currency": "GBP"},
        "cancelled": 1,
        "cancelled_amount": {"amount": 250, "currency": "GBP"},
        "refunded": {"amount": 0, "currency": "GBP"},
    }
    assert days(shop, to="2026-11-21") == []


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ({"from": "2026-11-22"}, "invalid-request"),
        ({"from": "2026-11-22", "to": "2026-11-21"}, "days-out-of-range"),
        ({"from": "2025-11-22", "to": "2026-11-23"}, "days-out-of-range"),
        ({"from": "2026-02-30", "to": "2026-11-23"}, "invalid-request"),
        ({"from": "0", "to": "2026-11-23"}, "invalid-request"),
        ({"from": "2026-11-22T00:00:00", "to": "2026-11-23"}, "invalid-request"),
    ],
)
def test_days_that_are_no_range_of_a_year_at_most_are_refused(shop: Shop, query: dict[str, str], slug: str) -> None:
    status, problem, _ = shop.call("GET", "/api/ops/orders/days", role="admin", user="boss", query=query)
    assert (status, problem["type"]) == (422, f"urn:mercato:problem:{slug}")


# ---- the rebuild


def rebuild(table: Table) -> Any:
    result = CliRunner().invoke(command.orders, ["rebuild-sums", "--table", table.name])
    assert result.exit_code == 0, result.output
    return result.output


def test_sums_that_were_damaged_are_told_and_replaced(ledger: Ledger, sums: DaySums, shop: Shop) -> None:
    some_days(ledger)
    for order_id in ledger.orders:
        sums.sum_order(order_id)
    item = next(item for shard in range(8) for item in shop.table.query_all(f"DAYS#1#{shard}"))
    shop.table.write(dynamo.put(item | {"gross": item["gross"] + 1}))
    assert sums.between(*ALL) != ledger.books()
    told = rebuild(shop.table)
    assert told.count("was wrong") == 1
    assert "3 orders are summed in generation 2" in told
    assert sums.between(*ALL) == ledger.books()
    assert sums.generations() == day_sums.Generations(live=2, building=None, last=2)
    assert "was wrong" not in rebuild(shop.table)
    left = {item["sk"] for order_id in ledger.orders for item in shop.table.query_all(f"order#{order_id}")}
    assert {sk for sk in left if sk.startswith("SUMMED")} == {"SUMMED#3"}
    assert not list(shop.table.query_all("DAYS#1#0")), "an old generation is deleted"


def test_orders_of_before_there_were_sums_are_summed_by_a_rebuild(ledger: Ledger, sums: DaySums, shop: Shop) -> None:
    some_days(ledger)
    rebuild(shop.table)
    assert sums.between(*ALL) == EXPECTED


@pytest.mark.parametrize("call", [0, 1, 2, 4, 7, 10, 14, 18, 21, 24, 28, 32, 36])
def test_a_rebuild_and_orders_that_go_on_meanwhile_agree(ledger: Ledger, sums: DaySums, shop: Shop, call: int) -> None:
    """At each of the rebuild's calls to DynamoDB, one order is placed and another refunded, and both are summed."""
    some_days(ledger)
    for order_id in ledger.orders:
        sums.sum_order(order_id)
    kept = derived_id("kept")

    def go_on() -> None:
        ledger.refund(kept, 10, 5)
        new = ledger.place("new", 5000, 5)
        DaySums(shop.table).sum_order(new)
        DaySums(shop.table).sum_order(kept)

    interrupter = Interrupter()
    interrupter.at(call, go_on)
    told = rebuild(shop.table)
    assert interrupter.act is None, "the rebuild has as many calls"
    assert "was wrong" not in told
    assert sums.between(*ALL) == ledger.books()


@pytest.mark.parametrize("call", range(3))
def test_an_event_that_began_before_the_rebuild_and_ends_after_it_is_summed_once(
    ledger: Ledger, sums: DaySums, shop: Shop, call: int
) -> None:
    some_days(ledger)
    for order_id in ledger.orders:
        sums.sum_order(order_id)
    kept = derived_id("kept")
    ledger.refund(kept, 10, 5)
    interrupter = Interrupter()
    interrupter.at(call, lambda: rebuild(shop.table))
    sums.sum_order(kept)
    assert interrupter.act is None
    assert sums.between(*ALL) == ledger.books()


def test_a_rebuild_that_died_is_ended_by_the_next_run(ledger: Ledger, sums: DaySums, shop: Shop) -> None:
    some_days(ledger)
    for order_id in ledger.orders:
        sums.sum_order(order_id)
    begun = sums.begin_rebuild()
    assert begun.building == 2
    sums.catch_up(derived_id("kept"), 2)  # and here the process ended
    ledger.refund(derived_id("kept"), 10, 5)
    sums.sum_order(derived_id("kept"))
    assert sums.between(*ALL) == ledger.books(), "the live sums go on"
    assert "3 orders are summed in generation 2" in rebuild(shop.table)
    assert sums.between(*ALL) == ledger.books()


@pytest.mark.parametrize("call", [3, 10, 20, 30, 36, 60])
def test_of_two_rebuilds_at_once_neither_calls_sums_wrong_that_the_other_has_replaced(
    ledger: Ledger, sums: DaySums, shop: Shop, call: int
) -> None:
    some_days(ledger)
    for order_id in ledger.orders:
        sums.sum_order(order_id)
    interrupter, told = Interrupter(), list[str]()
    interrupter.at(call, lambda: told.append(rebuild(shop.table)))
    result = CliRunner().invoke(command.orders, ["rebuild-sums", "--table", shop.table.name])
    assert interrupter.act is None, "the rebuild has as many calls"
    assert "was wrong, is right now" not in told[0] + result.output
    assert result.exit_code == 0 or "another run of this command has ended the rebuild" in result.output
    assert sums.between(*ALL) == ledger.books()
    assert sums.generations().building is None
