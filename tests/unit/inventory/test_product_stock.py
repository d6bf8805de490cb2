"""A hot product's items: from which ones an order takes, and what moves between them."""

from __future__ import annotations

import pytest

from inventory.domain import BelowZero, Level, Line, Movement, Stock, level_of
from inventory.product_stock import ProductStock, place
from inventory.reservation import Reservation, State, hand_over_next, hold_next, release_next
from inventory.resharding import Close, Merge, Open, Shift, gather, next_change


def product(*counts: int, root: int = 0, closing: tuple[int, ...] = ()) -> ProductStock:
    """A product with these available counts, on the root and on shards 1, 2, …"""
    shards = tuple(
        Stock("p-1", on_hand=count, level=level_of(count, 5), shard=shard)
        for shard, count in enumerate(counts, start=1)
    )
    total = root + sum(counts)
    numbers = tuple(stock.shard for stock in shards)
    top = Stock("p-1", root, level=level_of(total, 5), shards=numbers, closing=frozenset(closing))
    return ProductStock(top, shards)


@pytest.mark.parametrize(
    ("found", "quantity", "shares"),
    [
        (product(9, 20, 30), 10, ((2, 10),)),
        (product(3, 4, 2), 4, ((2, 4),)),
        (product(3, 4, 2, root=5), 5, ((0, 5),)),
        (product(3, 4, 2), 6, ((2, 4), (1, 2))),
        (product(3, 4, 2, root=1), 10, ((2, 4), (1, 3), (3, 2), (0, 1))),
        (product(30, 4, closing=(1,)), 3, ((2, 3),)),
        (product(30, 4, closing=(1,)), 9, ((1, 9),)),
    ],
)
def test_a_line_comes_from_one_item_where_one_has_enough_and_else_from_the_richest(
    found: ProductStock, quantity: int, shares: tuple[tuple[int, int], ...]
) -> None:
    taken = found.take(quantity, choose=lambda able: able[0])
    assert (sum(count for _, count in taken), taken) == (quantity, shares)


def test_what_was_taken_from_a_shard_goes_back_there_or_to_the_root_that_took_it_over() -> None:
    reservation = Reservation("o-1", (Line("p-1", 5), Line("p-2", 1)))
    taken = place(hold_next(reservation, 48), {"p-1": product(3, 4)}, {}, lambda able: able[0])
    assert taken.after.shares == {"p-1": ((2, 4), (1, 1))}
    assert taken.movements == (
        Movement("p-1", reserved=4, shard=2),
        Movement("p-1", reserved=1, shard=1),
        Movement("p-2", reserved=1),
    )
    assert taken.after.state is State.RESERVED
    back = place(release_next(taken.after, 48, "cancelled"), {}, {}, lambda able: able[0])
    assert [(movement.shard, movement.reserved) for movement in back.movements] == [(2, -4), (1, -1), (0, -1)]
    merged = place(hand_over_next(taken.after, 48), {"p-1": product()}, {}, lambda able: able[0])
    assert merged.movements == (Movement("p-1", -5, -5), Movement("p-2", -1, -1))


def test_a_product_known_as_hot_is_tried_on_one_of_its_shards() -> None:
    step = hold_next(Reservation("o-1", (Line("p-1", 2),)), 48)
    assert place(step, {}, {"p-1": (4, 7)}, lambda able: able[1]).movements == (Movement("p-1", reserved=2, shard=7),)


@pytest.mark.parametrize(
    ("found", "wanted", "change"),
    [
        (product(root=50), 4, Open(4)),
        (product(0, 0, root=51), 2, Shift(((1, 26), (2, 25)))),
        (product(10, 2, root=12), 2, Shift(((2, 10), (1, 2)))),
        (product(40, 0), 2, Shift(((1, -20),))),
        (product(20, 19), 2, None),
        (product(20, 19, 5), 2, Close((3,))),
        (product(20, 19, 5, closing=(3,)), 2, Merge(3)),
        (product(20, 19), 0, Close((1, 2))),
        (product(root=50), 0, None),
    ],
)
def test_a_product_becomes_hot_and_cool_one_change_at_a_time(found: ProductStock, wanted: int, change: object) -> None:
    assert next_change(found, wanted) == change


def test_more_than_there_is_cannot_be_gathered() -> None:
    class Fixed:
        def stock(self, product_id: str) -> ProductStock:
            return product(3, 4)

        def apply(self, *_: object) -> None:
            raise AssertionError("nothing may move")

    with pytest.raises(BelowZero):
        gather("p-1", 8, "boss", None, Fixed())  # type: ignore[arg-type]


def test_the_level_is_of_all_items_together() -> None:
    assert [product(2, 2).level, product(3, 3).level, product(0, 0).level] == [Level.LOW, Level.OK, Level.OUT]
