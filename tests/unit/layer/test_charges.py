"""Charges: division to the minor unit, and the shares that are refunded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.charges import Charge, Kind, allocate, refund_of, tax_of, total_of
from mercato.money import CurrencyMismatch, Money


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


def charge(kind: Kind = Kind.GOODS, amount: int = 1000, tax: int = 167, quantity: int = 3) -> Charge:
    return Charge(
        kind=kind,
        product_id="mug" if kind is not Kind.SHIPPING else None,
        description="A mug",
        quantity=quantity,
        amount=pounds(amount),
        tax=pounds(tax),
        rate="0.2000",
        tax_class="standard",
        jurisdiction="GB",
    )


def test_the_largest_remainder_gets_the_unit_that_is_left_and_of_equal_ones_the_first() -> None:
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(10, [1, 2, 5]) == [1, 3, 6]  # 1.25, 2.5, 6.25
    assert allocate(-100, [1, 1, 1]) == [-34, -33, -33]


def test_what_has_no_weight_gets_nothing() -> None:
    assert allocate(7, [0, 3, 0]) == [0, 7, 0]
    assert allocate(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="weights that are all 0"):
        allocate(1, [0, 0])


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=50))
def test_the_parts_add_up_and_each_is_within_a_unit_of_its_share(amount: int, weights: list[int]) -> None:
    if not sum(weights):
        weights[0] = 1
    parts = allocate(amount, weights)
    assert sum(parts) == amount
    whole = sum(weights)
    assert all(abs(part * whole - amount * weight) < whole for part, weight in zip(parts, weights, strict=True))


def test_the_last_piece_takes_the_rest() -> None:
    charges = [charge(), charge(Kind.DISCOUNT, -100, -17)]
    refunds = [refund_of(charges, "mug", piece, piece + 1) for piece in range(3)]
    assert [(one.quantity, one.amount.amount, one.tax.amount) for one in refunds] == [
        (1, 300, 50),
        (1, 300, 50),
        (1, 300, 50),
    ]
    charges = [charge(amount=1001, tax=168)]
    assert [refund_of(charges, "mug", piece, piece + 1).amount.amount for piece in range(3)] == [333, 334, 334]


def test_what_is_refunded_is_described_as_the_goods_are() -> None:
    refunded = refund_of([charge(), charge(Kind.DISCOUNT, -100, -17), charge(Kind.SHIPPING)], "mug", 0, 2)
    assert refunded == charge(amount=600, tax=100, quantity=2)


@given(
    amount=st.integers(0, 10**9),
    discount=st.floats(0, 1),
    rate=st.integers(0, 30),
    quantity=st.integers(1, 50),
    cuts=st.lists(st.integers(1, 49), max_size=10),
)
def test_the_refunds_of_all_pieces_are_what_was_charged_in_any_division(
    amount: int, discount: float, rate: int, quantity: int, cuts: list[int]
) -> None:
    off = min(amount, int(amount * discount))
    charges = [
        charge(amount=amount, tax=amount * rate // (100 + rate), quantity=quantity),
        charge(Kind.DISCOUNT, -off, -(off * rate // (100 + rate)), quantity),
    ]
    edges = sorted({0, quantity, *(cut for cut in cuts if cut < quantity)})
    refunds = [refund_of(charges, "mug", start, end) for start, end in itertools.pairwise(edges)]
    assert total_of(refunds) == total_of(charges)
    assert tax_of(refunds) == tax_of(charges)
    assert all(one.amount.amount >= 0 for one in refunds)


def test_charges_of_two_currencies_have_no_sum() -> None:
    euros = charge().model_copy(update={"amount": Money(amount=1, currency="EUR")})
    with pytest.raises(CurrencyMismatch):
        total_of([charge(), euros])
