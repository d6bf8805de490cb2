"""Hot products: several items that together are one stock."""

from __future__ import annotations

import random
from typing import Any

import pytest

from inventory.domain import OutOfStock
from tests.integration.inventory.conftest import balanced, take


def test_a_hot_product_is_spread_and_shows_its_whole_stock(shop: Any) -> None:
    shop.stocked(a=102)
    answer = shop.set_shards("a", 4)
    assert answer == (200, {"product_id": "a", "on_hand": 102, "reserved": 0, "available": 102, "shards": 4})
    assert shop.available("a") == [0, 26, 26, 25, 25]
    assert shop.call("GET", "/inventory/a")[1] == {"product_id": "a", "on_hand": 102, "reserved": 0, "available": 102}
    assert shop.counts("a") == (102, 0, 102)
    balanced(shop)


def test_saying_so_twice_changes_nothing_more(hot: Any) -> None:
    before = hot.items("a")
    assert hot.set_shards("a", 4)[0] == 200
    assert hot.items("a") == before


@pytest.mark.parametrize(
    ("product_id", "body", "status"),
    [
        ("a", {"shards": 0}, 422),
        ("a", {"shards": 17}, 422),
        ("a", {"shards": "2"}, 422),
        ("a", {}, 422),
        ("nowhere", {"shards": 2}, 404),
    ],
)
def test_what_cannot_be_spread_is_refused(shop: Any, product_id: str, body: Any, status: int) -> None:
    shop.stocked(a=10)
    assert shop.call("PUT", f"/inventory/{product_id}/shards", body)[0] == status
    assert list(shop.items("a")) == [0]


def test_only_admins_make_a_product_hot(shop: Any) -> None:
    shop.stocked(a=10)
    assert shop.call("PUT", "/inventory/a/shards", {"shards": 2}, role="customer")[0] == 403
    assert shop.call("PUT", "/inventory/a/shards", {"shards": 2}, role=None)[0] == 401
    assert list(shop.items("a")) == [0]


def test_an_order_takes_from_one_shard_and_writes_no_other_item(hot: Any) -> None:
    before = hot.items("a")
    take("o-1", 3, shard=2)
    after = hot.items("a")
    assert [shard for shard in before if before[shard] != after[shard]] == [2]
    assert hot.available("a") == [0, 25, 22, 25, 25]
    assert hot.counts("a") == (100, 3, 97)


def test_a_process_that_knows_the_product_goes_to_a_shard_at_once(hot: Any, faults: Any) -> None:
    hot.reserve("o-1", a=1)
    faults.count = 0
    hot.reserve("o-2", a=1)
    assert faults.count == 1


def test_a_shard_that_has_too_little_is_passed_over_and_a_line_is_split_only_where_it_must_be(hot: Any) -> None:
    take("o-1", 20, shard=2)
    take("o-2", 10, shard=2)
    assert hot.available("a") == [0, 15, 5, 25, 25]
    take("o-3", 27, shard=2)
    assert hot.available("a") == [0, 15, 5, 0, 23]
    take("o-4", 43, shard=2)
    assert hot.available("a") == [0, 0, 0, 0, 0]
    balanced(hot)
    for order_id in ("o-1", "o-2", "o-3", "o-4"):
        hot.release(order_id)
    assert hot.available("a") == [0, 25, 25, 25, 25]
    balanced(hot)


@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("quantity", [20, 24, 25])
def test_an_order_that_would_empty_a_shard_counts_what_another_one_takes_of_it_in_between(
    hot: Any, faults: Any, quantity: int, call: int
) -> None:
    """The other one writes the shard alone, and not the root on whose version the first one depends."""
    faults.count, faults.die_at, faults.meanwhile = 0, call, lambda: take("o-2", 2, shard=1)
    take("o-1", quantity, shard=1)
    faults.die_at = -1
    if faults.meanwhile:  # the first order has fewer transactions
        faults.meanwhile()
    assert hot.counts("a") == (100, quantity + 2, 98 - quantity)
    assert [left for left in hot.available("a") if left < 0] == []
    balanced(hot)


def test_no_more_is_sold_than_there_is_in_all(hot: Any) -> None:
    for number in range(10):
        hot.reserve(f"o-{number}", a=9)
    with pytest.raises(OutOfStock) as refused:
        hot.reserve("o-x", a=11)
    assert refused.value.extra["products"] == [{"product_id": "a", "requested": 11, "available": 10}]
    hot.reserve("o-y", a=10)
    assert hot.counts("a") == (100, 100, 0)


def test_what_was_split_over_shards_is_shipped_from_them(hot: Any) -> None:
    hot.reserve("o-1", a=60)
    assert hot.ship("o-1") == []
    assert hot.ship("o-1") == []
    assert hot.counts("a") == (40, 0, 40)
    balanced(hot)


def test_a_product_that_cools_is_one_item_again_and_its_orders_find_their_goods(hot: Any) -> None:
    for shard in (1, 2, 3):
        take(f"o-{shard}", 5, shard=shard)
    assert hot.set_shards("a", 1)[1] == {
        "product_id": "a",
        "on_hand": 100,
        "reserved": 15,
        "available": 85,
        "shards": 1,
    }
    assert hot.available("a") == [85]
    hot.release("o-1")
    assert hot.ship("o-2") == []
    hot.reserve("o-4", a=1)
    assert hot.counts("a") == (95, 6, 89)
    balanced(hot)


def test_shards_are_numbered_for_good_so_that_an_old_order_never_meets_a_new_shard(hot: Any) -> None:
    take("o-1", 5, shard=1)
    hot.set_shards("a", 1)
    hot.set_shards("a", 4)
    assert list(hot.items("a")) == [0, 5, 6, 7, 8]
    hot.release("o-1")
    assert hot.available("a")[0] == 5
    assert hot.counts("a") == (100, 0, 100)
    balanced(hot)


def test_more_shards_share_what_the_first_had_and_fewer_take_it_over(hot: Any) -> None:
    hot.set_shards("a", 8)
    assert sorted(hot.available("a")) == [0, 12, 12, 12, 12, 13, 13, 13, 13]
    hot.set_shards("a", 2)
    assert hot.available("a") == [0, 50, 50]
    balanced(hot)


def test_a_delivery_is_spread_and_a_loss_is_gathered(hot: Any) -> None:
    hot.adjust("a", 40)
    assert hot.available("a") == [0, 35, 35, 35, 35]
    answer = hot.call("POST", "/inventory/a/adjustments", {"delta": -90, "reason": "water"}, key="k-x")
    assert answer == (201, {"product_id": "a", "on_hand": 50, "available": 50})
    assert hot.counts("a") == (50, 0, 50)
    hot.reserve("o-1", a=20)
    status, problem = hot.call("POST", "/inventory/a/adjustments", {"delta": -31, "reason": "fire"}, key="k-y")
    assert (status, problem["available"]) == (409, 30)
    balanced(hot)


def test_levels_are_crossed_by_the_sum_and_told_once(shop: Any) -> None:
    """The events equal those of a stock with one item, whichever shards the orders use."""
    shop.stocked(a=32)
    shop.set_shards("a", 4)
    chance = random.Random(3)
    for number in range(16):
        take(f"o-{number}", 2, shard=chance.choice([1, 2, 3, 4]))
    for number in range(16):
        shop.release(f"o-{number}")
    assert [(kind, data["available"]) for kind, data in shop.events("a")] == [
        ("inventory.restocked", 32),
        ("inventory.low_stock", 4),
        ("inventory.low_stock", 0),
        ("inventory.low_stock", 2),
        ("inventory.low_stock", 4),
        ("inventory.restocked", 6),
    ]


def test_an_order_of_many_hot_products_that_splits_every_line_fits_its_transactions(shop: Any) -> None:
    products = [f"p{number:02}" for number in range(18)]
    shop.stocked(**dict.fromkeys(products, 8))
    for product_id in products:
        shop.set_shards(product_id, 4)
    shop.reserve("o-1", **dict.fromkeys(products, 8))
    assert {shop.counts(product_id) for product_id in products} == {(8, 8, 0)}
    assert shop.ship("o-1") == []
    assert {shop.counts(product_id) for product_id in products} == {(0, 0, 0)}
    balanced(shop)
