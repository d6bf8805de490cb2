"""low_stock and restocked are published once per crossing, in order, with the count at that crossing, and low_stock
once more for a rise within the low level.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from inventory import wiring
from inventory.domain import OutOfStock


def low(available: int, level: str) -> tuple[str, dict[str, Any]]:
    return "inventory.low_stock", {"product_id": "a", "available": available, "level": level}


def restocked(available: int) -> tuple[str, dict[str, Any]]:
    return "inventory.restocked", {"product_id": "a", "available": available}


def test_a_new_product_announces_nothing_until_it_has_stock(shop: Any) -> None:
    shop.stocked(a=0)
    assert shop.events("a") == []
    shop.adjust("a", 20)
    assert shop.events("a") == [restocked(20)]


def test_the_threshold_is_announced_once_however_many_orders_follow(shop: Any) -> None:
    shop.stocked(a=8)
    for number, quantity in enumerate((2, 1, 1, 1)):
        shop.reserve(f"o-{number}", a=quantity)
    assert shop.events("a") == [restocked(8), low(5, "low")]


def test_the_last_one_is_announced_as_out(shop: Any) -> None:
    shop.stocked(a=8)
    shop.reserve("o-1", a=4)
    shop.reserve("o-2", a=4)
    assert shop.events("a") == [restocked(8), low(4, "low"), low(0, "out")]


def test_a_release_that_rises_above_the_threshold_is_a_restock(shop: Any) -> None:
    shop.stocked(a=8)
    shop.reserve("o-1", a=8)
    shop.release("o-1")
    shop.reserve("o-2", a=1)
    assert shop.events("a") == [restocked(8), low(0, "out"), restocked(8)]


def test_a_few_after_none_are_announced_as_low_so_that_the_shop_can_sell_them(shop: Any) -> None:
    shop.stocked(a=2)
    assert shop.events("a") == [low(2, "low")]
    shop.adjust("a", 1)
    assert shop.events("a") == [low(2, "low"), low(3, "low")]


def test_the_last_event_never_tells_of_fewer_than_there_are(shop: Any) -> None:
    """A checkout refuses more units than the event told of."""
    shop.stocked(a=5)
    shop.reserve("o-1", a=3)
    shop.reserve("o-2", a=2)
    shop.release("o-1")
    shop.reserve("o-3", a=1)
    shop.release("o-2")
    shop.release("o-2")
    assert shop.counts("a") == (5, 1, 4)
    assert shop.events("a") == [low(5, "low"), low(0, "out"), low(3, "low"), low(4, "low")]


def test_shipping_and_refused_orders_announce_nothing(shop: Any) -> None:
    shop.stocked(a=8)
    shop.reserve("o-1", a=3)
    before = shop.events("a")
    shop.ship("o-1")
    with pytest.raises(OutOfStock):
        shop.reserve("o-2", a=6)
    assert shop.events("a") == before == [restocked(8), low(5, "low")]


def test_each_event_of_a_product_carries_a_higher_sequence(shop: Any) -> None:
    shop.stocked(a=8)
    shop.reserve("o-1", a=8)
    shop.release("o-1")
    items = [*shop.table.query_all("OUTBOX#a"), *shop.table.query_all("STOCK#a")]
    found = [json.loads(item["event"]) for item in items if "event" in item]
    assert sorted(int(event["sequence"]) for event in found) == [1, 2, 3]
    assert {event["subject"] for event in found} == {"a"}


def test_two_orders_that_cross_at_once_announce_one_crossing(shop: Any, faults: Any) -> None:
    shop.stocked(a=7)
    faults.count, faults.die_at, faults.meanwhile = 0, 1, lambda: shop.reserve("o-2", a=2)
    shop.reserve("o-1", a=2)
    assert shop.counts("a") == (7, 4, 3)
    assert shop.events("a") == [restocked(7), low(5, "low")]


def test_orders_of_a_well_stocked_product_read_nothing_and_do_not_mind_each_other(shop: Any, faults: Any) -> None:
    shop.stocked(a=100)
    faults.count, faults.die_at, faults.meanwhile = 0, 0, lambda: shop.reserve("o-2", a=2)
    shop.reserve("o-1", a=2)
    assert faults.count == 2
    assert shop.counts("a") == (100, 4, 96)


def test_a_new_threshold_is_applied_at_the_next_movement(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stocked(a=10)
    monkeypatch.setenv("LOW_STOCK_THRESHOLD", "9")
    wiring.ports.cache_clear()
    shop.reserve("o-1", a=1)
    shop.reserve("o-2", a=1)
    assert shop.events("a") == [restocked(10), low(9, "low")]
