from collections.abc import Callable

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mercato.money import MAX_AMOUNT, AmountTooLarge, CurrencyMismatch, InvalidAmount, Money
from tests.kit.template import MAIN, load_template

amounts = st.integers(-(10**9), 10**9)


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250, "GBP", "12.50 GBP"),
        (5, "GBP", "0.05 GBP"),
        (0, "GBP", "0.00 GBP"),
        (-5, "GBP", "-0.05 GBP"),
        (-1250, "EUR", "-12.50 EUR"),
        (1250, "JPY", "1250 JPY"),
        (1250, "KWD", "1.250 KWD"),
        (100000, "VND", "100000 VND"),
        (655957, "XOF", "655957 XOF"),
        (1250, "OMR", "1.250 OMR"),
        (12345, "CLF", "1.2345 CLF"),
        (MAX_AMOUNT, "GBP", "10000000000.00 GBP"),
    ],
)
def test_money_is_written_in_major_units(amount: int, currency: str, text: str) -> None:
    assert str(Money(amount=amount, currency=currency)) == text


@given(amounts, st.sampled_from(["GBP", "JPY", "VND", "KWD", "CLF"]))
def test_what_is_written_can_be_read_back(amount: int, currency: str) -> None:
    money = Money(amount=amount, currency=currency)
    assert Money.parse(str(money).split()[0], currency) == money


@given(amounts, amounts)
def test_sums_are_exact(one: int, other: int) -> None:
    assert pounds(one) + pounds(other) == pounds(one + other)
    assert pounds(one) - pounds(other) == pounds(one - other)


def test_a_price_times_a_count() -> None:
    assert pounds(199) * 3 == pounds(597)


def test_a_sum_of_nothing_is_zero() -> None:
    assert Money.sum([], "GBP") == Money.zero("GBP") == pounds(0)
    assert Money.sum([pounds(1), pounds(2)], "GBP") == pounds(3)


def test_currencies_never_mix() -> None:
    euros = Money(amount=1, currency="EUR")
    mixes: list[Callable[[], object]] = [
        lambda: pounds(1) + euros,
        lambda: pounds(1) - euros,
        lambda: pounds(1) < euros,
        lambda: pounds(1) <= euros,
        lambda: Money.sum([pounds(1), euros], "GBP"),
    ]
    for mix in mixes:
        with pytest.raises(CurrencyMismatch):
            mix()


def test_a_sum_past_the_limit_is_refused_in_words_and_not_as_a_bug() -> None:
    overflows: list[Callable[[], Money]] = [
        lambda: pounds(MAX_AMOUNT) + pounds(1),
        lambda: pounds(-MAX_AMOUNT) - pounds(1),
        lambda: pounds(10**9) * 10**6,
    ]
    for overflow in overflows:
        with pytest.raises(AmountTooLarge):
            overflow()


@pytest.mark.parametrize("amount", [1.0, 12.5, "12", None, True, MAX_AMOUNT + 1, -MAX_AMOUNT - 1])
def test_an_amount_is_an_integer_within_bounds(amount: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": amount, "currency": "GBP"})


@pytest.mark.parametrize("currency", ["", "gbp", "GB", "POUND", "G1P", "GBP\n", None])
def test_a_currency_is_three_capitals(currency: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": 1, "currency": currency})


def test_a_float_never_comes_near_money() -> None:
    with pytest.raises(ValidationError):
        pounds(100) * 1.5  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "1.234", "1,50", "£1", "1e3", ".5", "5.", "+1", "NaN", "١", " 1", "1 "])
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        Money.parse(text, "GBP")


ISO_4217 = {one.code: one.exponent for one in iso4217.Currency if one.exponent is not None}


def test_every_currency_of_iso_4217_has_its_decimals_and_the_shop_takes_each() -> None:
    written = {code: str(Money(amount=0, currency=code)).split()[0] for code in ISO_4217}
    assert {code: len(text.partition(".")[2]) for code, text in written.items()} == ISO_4217
    assert sorted(ISO_4217) == load_template(MAIN)["Parameters"]["Currency"]["AllowedValues"]
