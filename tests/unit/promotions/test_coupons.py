"""The rules of coupons: what they take, why they are rejected, and what a change may change."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.money import Money
from promotions.domain import (
    CODE,
    Basket,
    Coupon,
    CouponChanged,
    CouponEnded,
    Evaluation,
    Goods,
    InvalidCoupon,
    Kind,
    Reason,
    Standing,
    changed_coupon,
    checked,
    customer_of,
    ended_coupon,
    evaluate,
    new_code,
    normalise_code,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TEN = Coupon("TEN", "10 % off", Kind.PERCENTAGE, NOON, basis_points=1000)


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


FIVE_OFF = Coupon("FIVE", "5 pounds off", Kind.AMOUNT, NOON, amount=pounds(500))
NO_POSTAGE = Coupon("POST", "Free delivery", Kind.FREE_SHIPPING, NOON)
BASKET = Basket((Goods("mug", 2500, "kitchen"), Goods("pot", 2000, "garden")), "GBP")


def asked(*coupons: Coupon, basket: Basket = BASKET, used: tuple[int, int] = (0, 0)) -> Evaluation:
    """`used`: the uses of each coupon by all, and by this customer."""
    known = {one.code: Standing(one, *used) for one in coupons}
    return evaluate([one.code for one in coupons], known, basket, NOON)


def taken(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    assert evaluation.rejected == ()
    return {one.coupon.code: dict(one.parts) for one in evaluation.accepted}


def reasons(evaluation: Evaluation) -> list[tuple[str, Reason]]:
    return [(one.code, one.reason) for one in evaluation.rejected]


def test_a_percentage_is_rounded_once_half_up_and_divided_by_the_largest_remainder() -> None:
    odd = Basket((Goods("a", 333), Goods("b", 333), Goods("c", 339)), "GBP")  # 10 % of 10.05 is 1.005
    assert taken(asked(TEN, basket=odd)) == {"TEN": {"a": 34, "b": 33, "c": 34}}
    assert taken(asked(replace(TEN, basis_points=1250))) == {"TEN": {"mug": 313, "pot": 250}}


def test_an_amount_takes_no_more_than_the_goods_cost() -> None:
    assert taken(asked(FIVE_OFF)) == {"FIVE": {"mug": 278, "pot": 222}}
    assert taken(asked(replace(FIVE_OFF, amount=pounds(10**6)))) == {"FIVE": {"mug": 2500, "pot": 2000}}


def test_a_coupon_for_products_or_a_category_takes_from_these_alone() -> None:
    assert taken(asked(replace(TEN, product_ids=("pot",)))) == {"TEN": {"pot": 200}}
    assert taken(asked(replace(TEN, category="kitchen"))) == {"TEN": {"mug": 250}}
    assert taken(asked(replace(TEN, product_ids=("pot",), category="kitchen"))) == {"TEN": {"mug": 250, "pot": 200}}


def test_percentages_come_first_so_the_order_of_the_codes_changes_nothing() -> None:
    both = [replace(TEN, combines=True), replace(FIVE_OFF, combines=True), replace(NO_POSTAGE, combines=True)]
    one, other = asked(*both), asked(*reversed(both))
    assert one == other
    assert taken(one) == {"TEN": {"mug": 250, "pot": 200}, "FIVE": {"mug": 278, "pot": 222}, "POST": {}}
    assert [found.is_free_shipping for found in one.accepted] == [False, False, True]


def test_of_coupons_that_do_not_combine_the_first_counts() -> None:
    assert reasons(asked(TEN, replace(FIVE_OFF, combines=True))) == [("FIVE", Reason.NOT_COMBINABLE)]
    assert reasons(asked(replace(FIVE_OFF, combines=True), TEN)) == [("TEN", Reason.NOT_COMBINABLE)]


@pytest.mark.parametrize(
    ("coupon", "used", "reason"),
    [
        (replace(TEN, ended_at=NOON), (0, 0), Reason.EXPIRED),
        (replace(TEN, valid_until=NOON), (0, 0), Reason.EXPIRED),
        (replace(TEN, valid_from=NOON + HOUR), (0, 0), Reason.NOT_YET),
        (replace(TEN, limit=3), (3, 0), Reason.EXHAUSTED),
        (replace(TEN, limit_per_customer=1), (0, 1), Reason.USED_UP),
        (replace(TEN, minimum=pounds(4501)), (0, 0), Reason.BELOW_MINIMUM),
        (replace(TEN, product_ids=("tea",)), (0, 0), Reason.NOTHING_APPLIES),
        (replace(TEN, minimum=Money(amount=1, currency="EUR")), (0, 0), Reason.OTHER_CURRENCY),
        (replace(FIVE_OFF, amount=Money(amount=1, currency="EUR")), (0, 0), Reason.OTHER_CURRENCY),
    ],
)
def test_a_code_is_rejected_with_a_stable_reason(coupon: Coupon, used: tuple[int, int], reason: Reason) -> None:
    found = asked(coupon, used=used)
    assert (found.accepted, reasons(found)) == ((), [(coupon.code, reason)])


@pytest.mark.parametrize(
    ("coupon", "used"),
    [
        (replace(TEN, valid_from=NOON, valid_until=NOON + HOUR), (0, 0)),
        (replace(TEN, limit=3), (2, 0)),
        (replace(TEN, limit_per_customer=2), (0, 1)),
        (replace(TEN, minimum=pounds(4500)), (0, 0)),
    ],
)
def test_a_code_is_good_up_to_its_bounds(coupon: Coupon, used: tuple[int, int]) -> None:
    assert taken(asked(coupon, used=used)) == {"TEN": {"mug": 250, "pot": 200}}


def test_a_code_that_nothing_is_left_for_is_rejected_so_that_no_use_is_lost() -> None:
    whole = replace(TEN, basis_points=10_000, combines=True)
    found = asked(replace(FIVE_OFF, combines=True), whole)
    assert reasons(found) == [("FIVE", Reason.NOTHING_APPLIES)]
    twice = asked(replace(NO_POSTAGE, combines=True), replace(NO_POSTAGE, code="ZWEI", combines=True))
    assert reasons(twice) == [("ZWEI", Reason.NOTHING_APPLIES)]


def test_an_unknown_code_is_rejected_and_the_others_are_not() -> None:
    found = evaluate(["NO", "TEN"], {"TEN": Standing(TEN)}, BASKET, NOON)
    assert reasons(found) == [("NO", Reason.UNKNOWN)]
    assert [one.coupon.code for one in found.accepted] == ["TEN"]


PRICES = st.lists(st.integers(0, 10**7), min_size=1, max_size=8)
BENEFITS = st.one_of(
    st.integers(1, 10_000).map(lambda points: replace(TEN, basis_points=points)),
    st.integers(1, 10**8).map(lambda amount: replace(FIVE_OFF, amount=pounds(amount))),
)


@given(PRICES, st.lists(BENEFITS, min_size=1, max_size=5), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_parts_add_up_and_no_line_becomes_cheaper_than_free(
    prices: list[int], coupons: list[Coupon], applies: list[bool]
) -> None:
    basket = Basket(tuple(Goods(str(number), price) for number, price in enumerate(prices)), "GBP")
    only = tuple(line.product_id for line, is_meant in zip(basket.goods, applies, strict=False) if is_meant)
    several = [
        replace(one, code=f"C-{number}", combines=True, product_ids=only if number % 2 else ())
        for number, one in enumerate(coupons)
    ]
    found = asked(*several, basket=basket)
    left = dict(zip(map(str, range(len(prices))), prices, strict=True))
    for one in found.accepted:
        meant = [product_id for product_id in left if one.coupon.applies_to(Goods(product_id, 0))]
        price = sum(left[product_id] for product_id in meant)
        points, amount = one.coupon.basis_points, one.coupon.amount
        expected = (2 * price * points + 10_000) // 20_000 if points else min(amount.amount, price) if amount else 0
        assert sum(one.parts.values()) == expected > 0
        assert all(part > 0 for part in one.parts.values())
        left = {product_id: price - one.parts.get(product_id, 0) for product_id, price in left.items()}
        assert min(left.values()) >= 0
    assert len(found.accepted) + len(found.rejected) == len(several)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"basis_points": None}, "basis_points"),
        ({"amount": pounds(1)}, "amount"),
        ({"minimum": pounds(0)}, "minimum"),
        ({"valid_from": NOON, "valid_until": NOON}, "valid_until"),
        ({"kind": Kind.FREE_SHIPPING, "basis_points": None, "category": "kitchen"}, "kind"),
        ({"kind": Kind.AMOUNT, "basis_points": None, "amount": pounds(0)}, "amount"),
        (
            {
                "kind": Kind.AMOUNT,
                "basis_points": None,
                "amount": pounds(1),
                "minimum": Money(amount=1, currency="EUR"),
            },
            "minimum",
        ),
    ],
)
def test_a_coupon_that_contradicts_itself_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCoupon) as refused:
        checked(replace(TEN, **changes))
    assert field in [error["field"] for error in refused.value.extra["errors"]]


def test_a_change_names_the_version_that_it_saw_and_its_retry_finds_it_done() -> None:
    changed = changed_coupon(TEN, 1, {"basis_points": 2000})
    assert (changed.version, changed.basis_points) == (2, 2000)
    assert changed_coupon(changed, 1, {"basis_points": 2000}) is changed
    with pytest.raises(CouponChanged) as refused:
        changed_coupon(changed, 1, {"basis_points": 3000})
    assert refused.value.extra == {"version": 2}
    with pytest.raises(InvalidCoupon):
        changed_coupon(TEN, 1, {"limit": 3})
    with pytest.raises(InvalidCoupon):
        changed_coupon(replace(TEN, limit_per_customer=1), 1, {"limit_per_customer": None})


def test_an_ended_coupon_stays_ended() -> None:
    ended = ended_coupon(TEN, NOON)
    assert (ended.ended_at, ended.version) == (NOON, 2)
    assert ended_coupon(ended, NOON + HOUR) is ended
    with pytest.raises(CouponEnded):
        changed_coupon(ended, 2, {"basis_points": 2000})


def test_codes_are_compared_without_case_and_generated_ones_are_well_formed() -> None:
    assert normalise_code(" autumn-10 ") == "AUTUMN-10"
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(re.fullmatch(CODE, code) and len(code) == 14 and code == normalise_code(code) for code in codes)


def test_a_guest_is_counted_by_the_mailbox_and_an_account_by_its_id() -> None:
    one = customer_of("", "Ada.Lovelace+shop@GMail.com")
    assert one == customer_of("", "adalovelace@googlemail.com")
    assert "ada" not in one
    assert customer_of("", "ada.l@example.com") != customer_of("", "adal@example.com")
    assert customer_of("", "Ada+1@example.com") == customer_of("", "ada@example.com")
    assert customer_of("u-1", "ada@example.com") == "account:u-1"
    assert customer_of("guest:c-1", "ada@example.com") == customer_of("guest:c-2", "Ada@example.com")
    assert customer_of("guest:c-1", None) == "account:guest:c-1"
