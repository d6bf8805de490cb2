"""A hot product's shards change during orders, and processes end half-way."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from inventory import reservation
from inventory.domain import LOW_AT, Level, OutOfStock, level_of
from inventory.reservation import AlreadyShipped, ReservationReleased
from mercato.errors import TransientError
from tests.integration.inventory.conftest import balanced, take


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
    """Random orders, shipments, deliveries and changes of the shards. In every sixth transaction the process ends or
    another act runs.
    """
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
        told = [data["available"] for _, data in shop.events(product_id)]
        levels = [level_of(count, LOW_AT) for count in told]
        assert all(before is not after or after is Level.LOW for before, after in pairwise(levels))
        assert levels[-1] is level_of(on_hand - reserved, LOW_AT)
        assert levels[-1] is not Level.LOW or told[-1] >= on_hand - reserved
    balanced(shop)
