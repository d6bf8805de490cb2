"""Lines, shortages and adjustments."""

from __future__ import annotations

import pytest

from inventory.domain import (
    Adjusted,
    Adjustment,
    Audit,
    BelowZero,
    DuplicateProduct,
    Line,
    OutOfStock,
    Shortage,
    Stock,
    UnknownProduct,
    adjust,
    adjust_all,
    check_distinct,
    merge,
    shortages,
)


def test_lines_of_one_product_are_one_line_and_their_order_does_not_matter() -> None:
    there = merge([Line("b", 1), Line("a", 2), Line("b", 3)])
    back = merge([Line("b", 3), Line("b", 1), Line("a", 2)])
    assert there == back == (Line("a", 2), Line("b", 4))


def test_a_shortage_says_what_could_be_had() -> None:
    stocks = {"a": Stock("a", on_hand=5, reserved=3), "b": Stock("b", on_hand=9)}
    assert shortages([Line("a", 3), Line("b", 9), Line("c", 1)], stocks) == [
        Shortage("a", 3, 2),
        Shortage("c", 1, None),
    ]


def test_out_of_stock_names_products_and_what_is_left_of_them() -> None:
    error = OutOfStock([Shortage("a", 3, 2), Shortage("b", 9, 0)])
    assert str(error) == "Not enough stock of a (asked 3, 2 left), b (asked 9, 0 left)."
    assert error.extra == {
        "products": [
            {"product_id": "a", "requested": 3, "available": 2},
            {"product_id": "b", "requested": 9, "available": 0},
        ]
    }


def test_an_error_over_many_products_stays_readable() -> None:
    error = OutOfStock([Shortage(f"p-{number}", 1, 0) for number in range(265)])
    assert str(error).endswith("p-19 (asked 1, 0 left) and 245 more.")
    assert len(error.extra["products"]) == 265


def test_reserved_goods_cannot_be_adjusted_away() -> None:
    with pytest.raises(BelowZero) as refused:
        adjust(Stock("a", on_hand=5, reserved=3), Adjustment("a", -3, "broken"))
    assert refused.value.extra == {"product_id": "a", "available": 2}


def test_what_is_free_can_be_adjusted_away() -> None:
    left = adjust(Stock("a", on_hand=5, reserved=3), Adjustment("a", -2, "broken"))
    assert left == Adjusted("a", on_hand=3, available=0)


def test_an_adjustment_of_unknown_products_names_them_all() -> None:
    with pytest.raises(UnknownProduct) as refused:
        adjust_all({"a": Stock("a")}, [Adjustment(product_id, 1, "found") for product_id in "abc"])
    assert refused.value.product_ids == ("b", "c")


def test_a_product_may_stand_once_in_a_bulk_adjustment() -> None:
    with pytest.raises(DuplicateProduct):
        check_distinct([Adjustment("a", 1, "found"), Adjustment("a", 2, "found")])


@pytest.mark.parametrize(("ledger_sum", "ledger_entries"), [(4, 2), (5, 3)])
def test_a_ledger_with_another_sum_or_a_missing_entry_proves_nothing(ledger_sum: int, ledger_entries: int) -> None:
    assert Audit("a", 5, 2, 5, 2).balanced
    assert not Audit("a", 5, 2, ledger_sum, ledger_entries).balanced
