"""What inventory does on the events of other services."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from inventory.events import PUBLISHES
from mercato.store.dynamo import KeyRange


@pytest.fixture
def dlq(shop: Any) -> Any:
    """Reads the dead letters, with their reasons."""
    queue = boto3.resource("sqs", "us-east-1").create_queue(QueueName="shop-inventory-dlq")

    def reasons() -> list[str]:
        found = queue.receive_messages(MessageAttributeNames=["All"], MaxNumberOfMessages=10)
        return [message.message_attributes["reason"]["StringValue"] for message in found]

    return reasons


def test_a_new_product_has_a_stock_of_nothing_and_hears_it_twice(shop: Any) -> None:
    shop.publish("product.created", "a", {"product_id": "a", "sku": "A", "name": "Lamp"})
    shop.adjust("a", 20)
    assert shop.publish("product.created", "a", {"product_id": "a"}) == []
    assert shop.counts("a") == (20, 0, 20)


def test_shipping_takes_the_goods_once(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    assert [shop.ship("o-1"), shop.ship("o-1")] == [[], []]
    assert shop.counts("a") == (17, 0, 17)
    entries = [
        (entry["delta"], entry["cause"]) for entry in shop.table.query_all("STOCK#a", KeyRange(prefix="LEDGER#"))
    ]
    assert (-3, "o-1") in entries
    assert len(entries) == 2


@pytest.mark.parametrize("released", [False, True])
def test_an_order_that_ships_without_a_reservation_is_put_aside(shop: Any, dlq: Any, released: bool) -> None:
    shop.stocked(a=20)
    if released:
        shop.release("o-1")
    assert shop.ship("o-1") == []
    assert dlq() == ["not-reserved"]
    assert shop.counts("a") == (20, 0, 20)


def test_an_event_without_what_we_need_is_put_aside(shop: Any, dlq: Any) -> None:
    assert shop.publish("product.created", "a", {"sku": "A"}) == []
    assert dlq() == ["malformed"]


def test_the_example_of_every_event_is_one(shop: Any) -> None:

    for model in PUBLISHES:
        assert json.loads(model(**model.EXAMPLE).model_dump_json()) == model.EXAMPLE


def test_what_was_returned_is_on_the_shelf_again_once_with_a_ledger_entry(shop: Any) -> None:
    shop.stocked(a=20, b=5)
    lines = [{"product_id": "a", "quantity": 2}, {"product_id": "b", "quantity": 1}]
    for _ in range(2):
        assert shop.publish("order.return_accepted", "o-1", {"return_id": "ret-1", "lines": lines}) == []
    assert (shop.counts("a"), shop.counts("b")) == ((22, 0, 22), (6, 0, 6))
    entry = list(shop.table.query_all("STOCK#a", KeyRange(prefix="LEDGER#")))[-1]
    assert (entry["delta"], entry["actor"], entry["reason"]) == (2, "order.return_accepted", "return ret-1")


def test_what_was_lost_on_its_way_does_not_come_back(shop: Any) -> None:
    shop.stocked(a=20)
    lost = {"return_id": "ret-1", "lines": [{"product_id": "a", "quantity": 2}], "reason": "lost"}
    assert shop.publish("order.return_accepted", "o-1", lost) == []
    assert shop.counts("a") == (20, 0, 20)
    undelivered = lost | {"return_id": "ret-2", "reason": "undelivered"}
    assert shop.publish("order.return_accepted", "o-1", undelivered) == []
    assert shop.counts("a") == (22, 0, 22)


def received(product_id: str, restock: int, write_off: int) -> dict[str, Any]:
    return {"product_id": product_id, "quantity": restock + write_off, "restock": restock, "write_off": write_off}


def test_what_was_received_is_restocked_and_what_cannot_be_sold_is_booked_as_a_loss(shop: Any) -> None:
    shop.stocked(a=20, b=5, c=1)
    lines = [received("a", 2, 1), received("b", 0, 1), received("c", 0, 0)]
    for _ in range(2):
        assert shop.publish("order.return_received", "o-1", {"return_id": "ret-1", "lines": lines}) == []
    assert (shop.counts("a"), shop.counts("b"), shop.counts("c")) == ((22, 0, 22), (5, 0, 5), (1, 0, 1))
    entries = {
        name: list(shop.table.query_all(f"STOCK#{name}", KeyRange(prefix="LEDGER#")))[1:] for name in ("a", "b", "c")
    }
    assert {name: [(one["kind"], one["delta"]) for one in found] for name, found in entries.items()} == {
        "a": [("adjustment", 3), ("write_off", -1)],
        "b": [("adjustment", 1), ("write_off", -1)],
        "c": [],
    }
    assert {one["actor"] for found in entries.values() for one in found} == {"order.return_received"}
    for name in ("a", "b", "c"):
        audit = shop.call("GET", f"/inventory/{name}/ledger/audit")[1]
        assert audit["balanced"], audit
    page = shop.call("GET", "/inventory/a/ledger")[1]["items"]
    assert [(one["kind"], one["delta"], one["balance"]) for one in page] == [
        ("write_off", -1, 22),
        ("adjustment", 3, 23),
        ("adjustment", 20, 20),
    ]


def test_units_that_only_come_to_be_written_off_are_never_for_sale(shop: Any) -> None:
    shop.stocked(a=0)
    lost = {"return_id": "ret-1", "lines": [received("a", 0, 3)]}
    assert shop.publish("order.return_received", "o-1", lost) == []
    assert shop.counts("a") == (0, 0, 0)
    assert "inventory.restocked" not in [kind for kind, _ in shop.events("a")]


def test_a_return_of_more_products_than_fit_into_one_transaction_is_taken_back_in_several(shop: Any) -> None:
    names = [f"p-{number:03}" for number in range(90)]
    for name in names:
        shop.publish("product.created", name, {"product_id": name})
    lines = [{"product_id": name, "quantity": 1} for name in names]
    assert shop.publish("order.return_accepted", "o-1", {"return_id": "ret-1", "lines": lines}) == []
    assert {shop.counts(name) for name in names} == {(1, 0, 1)}
    lines = [received(name, 1, 1) for name in names]
    assert shop.publish("order.return_received", "o-1", {"return_id": "ret-2", "lines": lines}) == []
    assert {shop.counts(name) for name in names} == {(2, 0, 2)}


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(2))
def test_a_return_that_dies_in_the_middle_is_finished_by_its_second_delivery(
    shop: Any, faults: Any, at: int, after_effect: bool
) -> None:
    names = [f"p-{number:03}" for number in range(50)]
    for name in names:
        shop.publish("product.created", name, {"product_id": name})
    lines = [received(name, 1, 1) for name in names]
    faults.count, faults.die_at, faults.after_effect = 0, at, after_effect
    assert shop.publish("order.return_received", "o-1", {"return_id": "ret-1", "lines": lines}) != []
    assert shop.publish("order.return_received", "o-1", {"return_id": "ret-1", "lines": lines}) == []
    assert {shop.counts(name) for name in names} == {(1, 0, 1)}
