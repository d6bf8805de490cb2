"""Hot products: stock on several items, and yet one stock."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from infra.local.inventory.command import read
from inventory import reservation, settings, usecases
from inventory.domain import LOW_AT, Line, OutOfStock, level_of
from inventory.reservation import AlreadyShipped, ReservationReleased
from mercato import aws
from mercato.errors import TransientError
from tests.conftest import NOON


@pytest.fixture
def hot(shop: Any) -> Any:
    """A hundred units on four shards."""
    shop.stocked(a=100)
    assert shop.set_shards("a", 4)[0] == 200
    return shop


def take(order_id: str, quantity: int, shard: int) -> None:
    """An order whose chance falls on this shard, where it may choose."""
    usecases.reserve(
        order_id,
        [Line("a", quantity)],
        settings.store(),
        NOON,
        choose=lambda able: shard if shard in able else able[0],
    )


def balanced(shop: Any) -> None:
    wrong = [book for book in read(aws.client("dynamodb"), shop.table.name) if not book.balances]
    assert wrong == []


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
    """The same events as of one item, whichever shards the orders meet."""
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


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_change_of_shards_that_dies_anywhere_is_finished_by_the_next(
    hot: Any, faults: Any, count: int, after_effect: bool
) -> None:
    take("o-1", 30, shard=3)
    for at in range(20):
        faults.count, faults.die_at, faults.after_effect = 0, at, after_effect
        status, _ = hot.set_shards("a", count)
        faults.die_at = -1
        if status == 200:  # it took fewer transactions than that
            break
        balanced(hot)
        assert hot.set_shards("a", count)[1]["shards"] == count
        assert hot.counts("a") == (100, 30, 70)
        hot.set_shards("a", 4)
    assert at >= 2


@pytest.mark.parametrize("act", ["reserve", "release", "ship", "adjust", "remove", "shards"])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_whatever_happens_in_the_middle_of_a_change_of_shards_is_kept(
    hot: Any, faults: Any, count: int, act: str
) -> None:
    for at in range(20):
        order = f"o-{at}"
        if act in ("release", "ship"):
            hot.reserve(order, a=3)
        on_hand, reserved, _ = hot.counts("a")

        def meanwhile(at: int = at, order: str = order) -> None:
            match act:
                case "reserve":
                    hot.reserve(order, a=3)
                case "release":
                    hot.release(order)
                case "ship":
                    assert hot.ship(order) == []
                case "shards":
                    assert hot.set_shards("a", 3)[0] == 200
                case _:
                    body = {"delta": 5 if act == "adjust" else -5, "reason": "count"}
                    assert hot.call("POST", "/inventory/a/adjustments", body, key=f"m-{at}")[0] == 201

        faults.count, faults.die_at, faults.meanwhile = 0, at, meanwhile
        assert hot.set_shards("a", count)[0] == 200
        happened, faults.meanwhile, faults.die_at = faults.meanwhile is None, None, -1
        moved = {"reserve": (0, 3), "release": (0, -3), "ship": (-3, -3), "adjust": (5, 0), "remove": (-5, 0)}
        if not happened:  # it took fewer transactions than that
            break
        more = moved.get(act, (0, 0))
        assert hot.counts("a")[:2] == (on_hand + more[0], reserved + more[1])
        balanced(hot)
        hot.set_shards("a", 4)
    assert at >= 2


def test_an_order_that_meets_a_change_of_shards_goes_on(hot: Any, faults: Any) -> None:
    hot.reserve("o-0", a=1)
    for number, count in enumerate((1, 5, 2, 1, 3), start=1):
        faults.count, faults.die_at = 0, 0
        faults.meanwhile = lambda count=count: hot.set_shards("a", count)
        hot.reserve(f"o-{number}", a=2)
        faults.count, faults.die_at = 0, 0
        faults.meanwhile = lambda count=count: hot.set_shards("a", count % 5 + 1)
        hot.release(f"o-{number}")
        faults.die_at = -1
    assert hot.counts("a") == (100, 1, 99)
    balanced(hot)


@pytest.mark.parametrize("seed", range(3))
def test_a_day_with_a_hot_product_balances(shop: Any, faults: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders, parcels, deliveries, hotter and cooler at random, every sixth transaction dying or met by another act."""
    monkeypatch.setattr(reservation, "LINES_PER_CHUNK", 1)
    chance = random.Random(seed)
    shop.stocked(a=30, b=12)
    orders = {f"o-{number}": {p: chance.randint(1, 4) for p in "ab"} for number in range(12)}

    def act(step: str) -> None:
        order_id = chance.choice(list(orders))
        try:
            match chance.choice(["reserve", "reserve", "release", "ship", "deliver", "shards", "shards"]):
                case "reserve":
                    shop.reserve(order_id, **orders[order_id])
                case "release":
                    shop.release(order_id)
                case "ship" if shop.state(order_id) in ("reserved", "shipping"):
                    shop.ship(order_id)
                case "shards":
                    assert shop.set_shards("a", chance.choice([1, 2, 3, 5]))[0] in (200, 503)
                case _:
                    body = {"delta": chance.choice([-1, -6, 7]), "reason": "count"}
                    path = f"/inventory/{chance.choice('aab')}/adjustments"
                    assert shop.call("POST", path, body, key=f"day-{step}")[0] in (201, 409, 503)
        except (OutOfStock, ReservationReleased, AlreadyShipped, TransientError):
            return

    for step in range(50):
        faults.count, faults.die_at, faults.after_effect = 0, chance.randint(0, 5), chance.random() < 0.5
        faults.meanwhile = (lambda step=step: act(f"{step}-meanwhile")) if chance.random() < 0.5 else None
        act(str(step))
    faults.die_at = -1
    balanced(shop)
    for order_id in orders:
        if shop.state(order_id) == "shipping":
            shop.ship(order_id)
        elif shop.state(order_id) in ("reserving", "releasing"):
            shop.release(order_id)
    for product_id in "ab":
        held = sum(lines[product_id] for order_id, lines in orders.items() if shop.state(order_id) == "reserved")
        on_hand, reserved, available = shop.counts(product_id)
        assert (reserved, available >= 0) == (held, True)
        levels = [level_of(data["available"], LOW_AT) for _, data in shop.events(product_id)]
        assert all(before is not after for before, after in pairwise(levels))
        assert levels[-1] is level_of(on_hand - reserved, LOW_AT)
    balanced(shop)
