"""When the shop must be told about a product's stock."""

from __future__ import annotations

import pytest

from inventory.domain import Level, Movement, Stock, bounds, level_of, level_to_tell


def stock(available: int, level: Level) -> Stock:
    return Stock("p-1", on_hand=available, level=level)


@pytest.mark.parametrize(
    ("available", "level"),
    [(6, Level.OK), (5, Level.LOW), (1, Level.LOW), (0, Level.OUT)],
)
def test_the_threshold_itself_is_low_and_nothing_is_out(available: int, level: Level) -> None:
    assert level_of(available, low_at=5) is level


def test_taking_from_plenty_crosses_nothing() -> None:
    assert level_to_tell(stock(10, Level.OK), Movement("p-1", reserved=4), low_at=5) is None


def test_the_first_movement_to_the_threshold_crosses_it_and_the_next_does_not() -> None:
    assert level_to_tell(stock(6, Level.OK), Movement("p-1", reserved=1), low_at=5) is Level.LOW
    assert level_to_tell(stock(5, Level.LOW), Movement("p-1", reserved=1), low_at=5) is None


def test_taking_the_last_one_is_out_even_from_above_the_threshold() -> None:
    assert level_to_tell(stock(8, Level.OK), Movement("p-1", reserved=8), low_at=5) is Level.OUT


def test_a_little_stock_after_none_is_low_again() -> None:
    assert level_to_tell(stock(0, Level.OUT), Movement("p-1", on_hand=2), low_at=5) is Level.LOW


def test_more_units_within_the_low_level_are_told_and_fewer_are_not() -> None:
    assert level_to_tell(stock(1, Level.LOW), Movement("p-1", on_hand=3), low_at=5) is Level.LOW
    assert level_to_tell(stock(1, Level.LOW), Movement("p-1", reserved=-3), low_at=5) is Level.LOW
    assert level_to_tell(stock(4, Level.LOW), Movement("p-1", on_hand=-3), low_at=5) is None
    assert level_to_tell(stock(6, Level.OK), Movement("p-1", on_hand=3), low_at=5) is None


def test_goods_that_leave_change_no_level() -> None:
    assert level_to_tell(Stock("p-1", 5, 2, level=Level.LOW), Movement("p-1", -2, -2), low_at=5) is None


def test_a_new_threshold_takes_effect_at_the_next_movement() -> None:
    assert level_to_tell(stock(8, Level.OK), Movement("p-1", reserved=1), low_at=10) is Level.LOW


@pytest.mark.parametrize("available", range(12))
def test_every_count_lies_within_the_bounds_of_its_level_and_of_no_other(available: int) -> None:
    def within(level: Level) -> bool:
        least, most = bounds(level, 5)
        return available >= least and (most is None or available <= most)

    assert [level for level in Level if within(level)] == [level_of(available, 5)]
