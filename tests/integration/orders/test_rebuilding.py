"""Snapshots and summary rows are derived from the events, and can be rebuilt."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from infra.operator.orders import order_ids, orders, tell
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import Table
from mercato.store.event_store import EventStore
from orders.facts import OrderConfirmed, OrderRefunded
from orders.order import Order
from orders.store import OrderStore, Rebuilt
from tests.integration.orders.conftest import Shop

LONG = 130


def row(shop: Shop, order_id: str) -> Item | None:
    return shop.table.get(f"order#{order_id}", "SUMMARY")


def snapshots(shop: Shop, order_id: str) -> list[int]:
    return [int(item["sk"]) for item in shop.table.query_all(f"S#order#{order_id}")]


def long_order(shop: Shop, noon: datetime) -> Order:
    """An order with so many refunds of a penny that several snapshots were due."""
    order = shop.order(shop.place()["order_id"])
    for number in range(LONG):
        penny = OrderRefunded(refund_id=f"ref-{number}", amount=order.total.zero("GBP"), reason="x")
        order = shop.store.append(order.id, order, [penny], noon)
    return order


def test_a_long_order_is_loaded_from_its_snapshot_and_is_the_same_order(shop: Shop, noon: datetime) -> None:
    order = long_order(shop, noon)
    assert snapshots(shop, order.id) == [100]
    assert shop.store.load(order.id) == order == shop.store.load(order.id, up_to=order.version)


def test_what_is_right_is_made_again_and_equal(shop: Shop, noon: datetime) -> None:
    order = long_order(shop, noon)
    before = row(shop, order.id)
    assert shop.store.rebuild(order.id, noon) == Rebuilt(LONG + 1, 1, 1, was_right=True, equal=True)
    assert row(shop, order.id) == before
    assert snapshots(shop, order.id) == [LONG + 1]


@pytest.mark.parametrize("damage", ["gone", "wrong"])
def test_a_summary_row_that_is_gone_or_wrong_is_told_and_mended(shop: Shop, noon: datetime, damage: str) -> None:
    order_id = shop.place()["order_id"]
    before = row(shop, order_id)
    assert before
    if damage == "gone":
        shop.table.write(dynamo.delete(f"order#{order_id}", "SUMMARY"))
    else:
        shop.table.write(dynamo.put(before | {"status": "delivered"}))
    assert shop.store.rebuild(order_id, noon) == Rebuilt(1, 0, 0, was_right=False, equal=True)
    assert row(shop, order_id) == before
    assert [item["order_id"] for item in shop.call("GET", "/api/orders")[1]["items"]] == [order_id]


def test_an_order_that_goes_on_meanwhile_is_never_put_back(
    shop: Shop, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, is_still_at = shop.place()["order_id"], EventStore.is_still_at

    def meanwhile(self: EventStore, stream_id: str, version: int) -> dynamo.Write:
        monkeypatch.setattr(EventStore, "is_still_at", is_still_at)
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
        return is_still_at(self, stream_id, version)

    monkeypatch.setattr(EventStore, "is_still_at", meanwhile)
    rebuilt = shop.store.rebuild(order_id, noon)
    assert rebuilt == Rebuilt(2, 0, 0, was_right=True, equal=True)
    found = row(shop, order_id)
    assert found
    assert (found["status"], found["version"]) == ("confirmed", 2)


def test_all_orders_are_found_and_the_result_is_told(shop: Shop, noon: datetime) -> None:
    ids = {shop.place(key=f"key-{number}")["order_id"] for number in range(3)}
    assert set(order_ids("OrdersTable")) == ids
    assert shop.store.rebuild("nothing", noon) is None
    out = io.StringIO()
    tell(Console(file=out, width=200), {"ord-1": Rebuilt(3, 1, 0, was_right=False, equal=True)})
    assert "was wrong, is right now: order ord-1" in out.getvalue()


def after_the_first_transaction(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    transact = Table.transact

    def then_act(self: Table, writes: list[dynamo.Write], **options: Any) -> None:
        monkeypatch.setattr(Table, "transact", transact)
        transact(self, writes, **options)
        act()

    monkeypatch.setattr(Table, "transact", then_act)


def before_the_next_load(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    load = OrderStore.load

    def act_first(self: OrderStore, order_id: str, *, up_to: int | None = None) -> Order | None:
        monkeypatch.setattr(OrderStore, "load", load)
        act()
        return load(self, order_id, up_to=up_to)

    monkeypatch.setattr(OrderStore, "load", act_first)


@pytest.mark.parametrize("at", [after_the_first_transaction, before_the_next_load])
def test_an_order_that_goes_on_while_it_is_proven_is_equal(
    shop: Shop, noon: datetime, monkeypatch: pytest.MonkeyPatch, at: Callable[..., None]
) -> None:
    order_id = shop.place()["order_id"]
    at(monkeypatch, lambda: shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1"))
    assert shop.store.rebuild(order_id, noon) == Rebuilt(1, 0, 0, was_right=True, equal=True)
    found = row(shop, order_id)
    assert found
    assert (found["status"], found["version"]) == ("confirmed", 2)


@pytest.mark.parametrize("at", [after_the_first_transaction, before_the_next_load])
def test_an_order_whose_snapshot_is_due_while_it_is_proven_is_equal(
    shop: Shop, noon: datetime, monkeypatch: pytest.MonkeyPatch, at: Callable[..., None]
) -> None:
    """Also if the caller's clock has microseconds, as here."""
    store, order_id = OrderStore(shop.table, snapshot_every=2), shop.place()["order_id"]
    order = shop.order(order_id)
    now = order.placed_at + timedelta(days=1, microseconds=456)
    made: list[Order] = []
    at(monkeypatch, lambda: made.append(store.append(order_id, order, [OrderConfirmed(payment_id="pay-1")], now)))
    assert store.rebuild(order_id, noon) == Rebuilt(1, 0, 0, was_right=True, equal=True)
    assert snapshots(shop, order_id) == [2]
    assert store.load(order_id) == store.load(order_id, up_to=2) == made[0]


def test_a_row_that_somebody_spoils_meanwhile_is_not_equal(
    shop: Shop, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = shop.place()["order_id"]
    before = row(shop, order_id)
    assert before
    after_the_first_transaction(monkeypatch, lambda: shop.table.write(dynamo.put(before | {"status": "delivered"})))
    assert shop.store.rebuild(order_id, noon) == Rebuilt(1, 0, 0, was_right=True, equal=False)


def orphan_row(shop: Shop, order_id: str = "ghost") -> None:
    like = row(shop, shop.place()["order_id"])
    assert like
    ghost = {"pk": f"order#{order_id}", "order_id": order_id, "gsi1sk": f"{like['placed_at']}#{order_id}"}
    shop.table.write(dynamo.put(like | ghost))


def orphan_snapshots(shop: Shop, noon: datetime, order_id: str = "ghost") -> None:
    for version in (100, 200):
        stale = {"pk": f"S#order#{order_id}", "sk": f"{version:010d}", "schema": 1, "state": "{}"}
        shop.table.write(dynamo.put(stale))


def test_a_row_of_no_order_is_found_dropped_and_counted_as_wrong(shop: Shop, noon: datetime) -> None:
    orphan_row(shop)
    real = shop.place()["order_id"]
    assert sorted(order_ids("OrdersTable")) == sorted(["ghost", real])
    assert shop.store.rebuild("ghost", noon) == Rebuilt(0, 0, 0, was_right=False, equal=True)
    assert [item["order_id"] for item in shop.call("GET", "/api/orders")[1]["items"]] == [real]
    assert list(order_ids("OrdersTable")) == [real]
    assert shop.store.rebuild("ghost", noon) is None


def test_snapshots_of_no_order_are_found_dropped_and_counted_as_wrong(shop: Shop, noon: datetime) -> None:
    orphan_snapshots(shop, noon)
    assert list(order_ids("OrdersTable")) == ["ghost"]
    assert shop.store.rebuild("ghost", noon) == Rebuilt(0, 2, 0, was_right=False, equal=True)
    assert snapshots(shop, "ghost") == []
    assert list(order_ids("OrdersTable")) == []


def test_a_row_whose_order_comes_meanwhile_is_kept(shop: Shop, noon: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id, is_still_at = derived_id("cust-1", "key-1"), EventStore.is_still_at

    def meanwhile(self: EventStore, stream_id: str, version: int) -> dynamo.Write:
        monkeypatch.setattr(EventStore, "is_still_at", is_still_at)
        shop.place()
        return is_still_at(self, stream_id, version)

    monkeypatch.setattr(EventStore, "is_still_at", meanwhile)
    assert shop.store.rebuild(order_id, noon) == Rebuilt(1, 0, 0, was_right=True, equal=True)
    assert [item["order_id"] for item in shop.call("GET", "/api/orders")[1]["items"]] == [order_id]


def test_the_command_rebuilds_a_named_table_without_a_running_shop(
    shop: Shop, noon: datetime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MERCATO_STATE", str(tmp_path / "none.json"))
    monkeypatch.setenv("COLUMNS", "200")
    orphan_row(shop)
    orphan_snapshots(shop, noon)
    done = CliRunner().invoke(orders, ["rebuild", "--table", "OrdersTable"])
    assert done.exit_code == 0, done.output
    assert "had a row or snapshots and no events, they are dropped: order ghost" in done.output
    figures = next(line for line in done.output.splitlines() if line.startswith("│"))
    assert [cell.strip() for cell in figures.strip("│").split("│")] == ["1", "1", "2", "0", "1", "1", "2"]
    again = CliRunner().invoke(orders, ["rebuild", "--table", "OrdersTable"])
    assert (again.exit_code, "ghost" in again.output) == (0, False)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (Rebuilt(1, 0, 0, was_right=True, equal=False), "✘ is not equal: order "),
        (TransientError("busy"), "✘ could not be looked at, run it again (busy): order "),
    ],
)
def test_the_command_ends_with_1_where_it_could_not_prove_an_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, end: Rebuilt | TransientError, told: str
) -> None:
    """The command continues with the other orders."""
    first, second = sorted(shop.place(key=f"key-{number}")["order_id"] for number in range(2))
    rebuild = OrderStore.rebuild

    def one_fails(self: OrderStore, order_id: str, now: datetime) -> Rebuilt | None:
        if order_id != first:
            return rebuild(self, order_id, now)
        if isinstance(end, TransientError):
            raise end
        return end

    monkeypatch.setattr(OrderStore, "rebuild", one_fails)
    shop.table.write(dynamo.delete(f"order#{second}", "SUMMARY"))
    done = CliRunner().invoke(orders, ["rebuild", "--table", "OrdersTable"], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert told + first in done.output
    assert f"was wrong, is right now: order {second}" in done.output


def test_a_store_without_its_snapshots_says_the_same(shop: Shop, noon: datetime) -> None:
    order = long_order(shop, noon)
    for item in list(shop.table.query_all(f"S#order#{order.id}")):
        shop.table.write(dynamo.delete(item["pk"], item["sk"]))
    assert OrderStore(shop.table).load(order.id) == order
