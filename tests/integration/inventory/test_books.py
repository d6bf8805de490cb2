"""The books balance after any sequence of changes to the stock."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from inventory import reservation
from inventory.domain import LOW_AT, Level, OutOfStock, level_of
from inventory.reservation import AlreadyShipped, ReservationReleased
from mercato.errors import TransientError

PRODUCTS = ("a", "b", "c")


@pytest.mark.parametrize("seed", range(4))
def test_a_day_in_the_shop_balances(shop: Any, faults: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random orders, retries, releases, shipments and deliveries. In every sixth transaction the process ends before or
    after it.
    """
    monkeypatch.setattr(reservation, "LINES_PER_CHUNK", 2)
    chance = random.Random(seed)
    shop.stocked(**dict.fromkeys(PRODUCTS, 12))
    orders = {f"o-{number}": {p: chance.randint(1, 4) for p in PRODUCTS} for number in range(8)}
    for step in range(60):
        order_id = chance.choice(list(orders))
        faults.count, faults.die_at, faults.after_effect = 0, chance.randint(0, 5), chance.random() < 0.5
        try:
            match chance.choice(["reserve", "reserve", "release", "ship", "deliver"]):
                case "reserve":
                    shop.reserve(order_id, **orders[order_id])
                case "release":
                    shop.release(order_id)
                case "ship" if shop.state(order_id) in ("reserved", "shipping"):
                    shop.ship(order_id)
                case _:
                    body = {"delta": chance.choice([-1, 3]), "reason": "count"}
                    path = f"/inventory/{chance.choice(PRODUCTS)}/adjustments"
                    assert shop.call("POST", path, body, key=f"day-{step}")[0] in (201, 409, 503)
        except (OutOfStock, ReservationReleased, AlreadyShipped, TransientError):
            continue
    faults.die_at = -1
    for order_id in orders:
        if shop.state(order_id) == "shipping":
            shop.ship(order_id)
        elif shop.state(order_id) in ("reserving", "releasing"):
            shop.release(order_id)
    assert {shop.state(order_id) for order_id in orders} <= {None, "reserved", "released", "shipped"}
    for product_id in PRODUCTS:
        held = sum(lines[product_id] for order_id, lines in orders.items() if shop.state(order_id) == "reserved")
        on_hand, reserved, available = shop.counts(product_id)
        assert (reserved, available >= 0) == (held, True)
        told = [data["available"] for _, data in shop.events(product_id)]
        levels = [level_of(count, LOW_AT) for count in told]
        assert all(before is not after or after is Level.LOW for before, after in pairwise(levels))
        assert levels[-1] is level_of(on_hand - reserved, LOW_AT)
        assert levels[-1] is not Level.LOW or told[-1] >= on_hand - reserved
