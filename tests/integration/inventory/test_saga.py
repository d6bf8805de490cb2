"""Reserving and releasing an order's stock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from inventory.domain import OutOfStock, UnknownProduct
from inventory.reservation import RESERVED_FOR, AlreadyShipped, ReservationReleased
from mercato.clock import utc_now


def test_a_reserve_holds_every_line_and_says_so(shop: Any) -> None:
    shop.stocked(a=20, b=10)
    reserved = shop.reserve("o-1", a=3, b=4)
    assert reserved == {"order_id": "o-1", "expires_at": reserved["expires_at"]}
    assert datetime.fromisoformat(reserved["expires_at"]) - utc_now() < RESERVED_FOR
    assert shop.counts("a") == (20, 3, 17)
    assert shop.counts("b") == (10, 4, 6)
    lines = [{"product_id": "a", "quantity": 3}, {"product_id": "b", "quantity": 4}]
    assert shop.events("o-1") == [("inventory.reserved", {"order_id": "o-1", "lines": lines})]


def test_lines_of_the_same_product_count_together(shop: Any) -> None:
    shop.stocked(a=5)
    lines = [{"product_id": "a", "quantity": 3}, {"product_id": "a", "quantity": 3}]
    with pytest.raises(OutOfStock) as refused:
        shop.task("ReserveInventory", order_id="o-1", lines=lines)
    assert refused.value.extra == {"products": [{"product_id": "a", "requested": 6, "available": 5}]}
    assert shop.counts("a") == (5, 0, 5)


def test_reserving_twice_holds_once(shop: Any) -> None:
    shop.stocked(a=20)
    assert shop.reserve("o-1", a=3) == shop.reserve("o-1", a=3)
    assert shop.counts("a") == (20, 3, 17)
    assert len(shop.events("o-1")) == 1


def test_one_short_line_holds_nothing_and_every_short_line_is_named(shop: Any) -> None:
    shop.stocked(a=20, b=1, c=0)
    with pytest.raises(OutOfStock) as refused:
        shop.reserve("o-1", a=3, b=2, c=1)
    assert refused.value.extra["products"] == [
        {"product_id": "b", "requested": 2, "available": 1},
        {"product_id": "c", "requested": 1, "available": 0},
    ]
    assert [shop.counts(product) for product in "abc"] == [(20, 0, 20), (1, 0, 1), (0, 0, 0)]
    assert shop.events("o-1") == []


def test_an_unknown_product_is_not_merely_out_of_stock(shop: Any) -> None:
    shop.stocked(a=20, b=1)
    with pytest.raises(UnknownProduct) as refused:
        shop.reserve("o-1", a=3, b=2, nowhere=1)
    assert refused.value.extra == {"product_ids": ["nowhere"]}
    assert shop.counts("a") == (20, 0, 20)


def test_a_refusal_stays_a_refusal_even_when_stock_arrives(shop: Any) -> None:
    shop.stocked(a=1)
    with pytest.raises(OutOfStock):
        shop.reserve("o-1", a=2)
    shop.adjust("a", 10)
    with pytest.raises(OutOfStock) as again:
        shop.reserve("o-1", a=2)
    assert again.value.extra["products"] == [{"product_id": "a", "requested": 2, "available": 1}]
    assert shop.counts("a") == (11, 0, 11)


def test_the_last_one_is_sold_once(shop: Any) -> None:
    shop.stocked(a=1)
    shop.reserve("o-1", a=1)
    with pytest.raises(OutOfStock):
        shop.reserve("o-2", a=1)
    assert shop.counts("a") == (1, 1, 0)


def test_a_release_gives_everything_back_once(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    assert [shop.release("o-1"), shop.release("o-1", "again")] == [{"order_id": "o-1"}] * 2
    assert shop.counts("a") == (20, 0, 20)
    lines = [{"product_id": "a", "quantity": 3}]
    assert shop.events("o-1")[1:] == [
        ("inventory.released", {"order_id": "o-1", "lines": lines, "reason": "payment-declined"})
    ]


def test_a_release_that_comes_first_makes_a_late_reserve_fail(shop: Any) -> None:
    shop.stocked(a=20)
    assert shop.release("o-1") == {"order_id": "o-1"}
    with pytest.raises(ReservationReleased):
        shop.reserve("o-1", a=3)
    assert shop.counts("a") == (20, 0, 20)
    assert shop.events("o-1") == []


def test_a_reserve_after_reserve_and_release_fails(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    shop.release("o-1")
    with pytest.raises(ReservationReleased):
        shop.reserve("o-1", a=3)
    assert shop.counts("a") == (20, 0, 20)


def test_a_release_after_a_refusal_changes_nothing(shop: Any) -> None:
    shop.stocked(a=1)
    with pytest.raises(OutOfStock):
        shop.reserve("o-1", a=2)
    shop.release("o-1")
    assert shop.counts("a") == (1, 0, 1)
    assert shop.events("o-1") == []


def test_what_has_shipped_cannot_be_released(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    assert shop.ship("o-1") == []
    with pytest.raises(AlreadyShipped):
        shop.release("o-1")
    assert shop.counts("a") == (17, 0, 17)


def test_a_reserve_repeated_after_shipping_holds_nothing_more(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    shop.ship("o-1")
    assert shop.reserve("o-1", a=3)["order_id"] == "o-1"
    assert shop.counts("a") == (17, 0, 17)
