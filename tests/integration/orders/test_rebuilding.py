"""Snapshots and summary rows are made of the events, and can be made again."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from rich.console import Console

from infra.local.orders.command import order_ids, tell
from mercato import dynamo
from mercato.eventstore import EventStore
from mercato.items import Item
from orders.facts import OrderRefunded
from orders.order import Order
from orders.store import OrderStore, Rebuilt
from tests.integration.orders.conftest import Shop

LONG = 130


def row(shop: Shop, order_id: str) -> Item | None:
    return shop.table.get(f"order#{order_id}", "SUMMARY")


def snapshots(shop: Shop, order_id: str) -> list[int]:
    return [int(item["sk"]) for item in shop.table.query_all(f"S#order#{order_id}")]


def long_order(shop: Shop, noon: datetime) -> Order:
    """One that was refunded, penny by penny, more often than a snapshot is made."""
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


def test_a_store_without_its_snapshots_says_the_same(shop: Shop, noon: datetime) -> None:
    order = long_order(shop, noon)
    for item in list(shop.table.query_all(f"S#order#{order.id}")):
        shop.table.write(dynamo.delete(item["pk"], item["sk"]))
    assert OrderStore(shop.table).load(order.id) == order
