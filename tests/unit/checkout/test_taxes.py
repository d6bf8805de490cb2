"""Taxes: which rate applies, and the tax that an amount contains, to the minor unit."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checkout.domain import NoTaxRate
from checkout.taxes import FIRST, Rate, Rounding, TableOfRates, TaxRate, TaxTable, findings, taxed

TODAY = date(2026, 11, 29)
FULL, LOW = Rate("0.2000", "standard", "GB"), Rate("0.0500", "reduced", "GB")
FINE = Rate("0.08875", "standard", "US-NY")


def rate(country: str | None, value: str, *, region: str | None = None, start: date = date(2020, 1, 1)) -> TaxRate:
    return TaxRate(country=country, region=region, tax_class="standard", rate=value, valid_from=start)


def table(*rates: TaxRate) -> TableOfRates:
    return TableOfRates(TaxTable(version=1, rates=rates))


def test_a_region_has_its_own_rate_or_its_country_s() -> None:
    found = table(rate("US", "0.0000"), rate("US", "0.0725", region="CA"))
    assert found.find("US", "CA", "standard", TODAY) == Rate("0.0725", "standard", "US-CA")
    assert found.find("US", "OR", "standard", TODAY) == Rate("0.0000", "standard", "US")
    assert found.find("US", None, "standard", TODAY) == Rate("0.0000", "standard", "US")


def test_a_rate_is_valid_from_its_day_on() -> None:
    found = table(rate("DE", "0.1900"), rate("DE", "0.2000", start=date(2027, 1, 1)))
    assert found.find("DE", None, "standard", date(2026, 12, 31)).rate == "0.1900"
    assert found.find("DE", None, "standard", date(2027, 1, 1)).rate == "0.2000"
    with pytest.raises(NoTaxRate):
        found.find("DE", None, "standard", date(2019, 12, 31))


def test_the_rate_of_all_other_countries_is_not_one_of_a_country_that_the_table_names() -> None:
    found = TableOfRates(FIRST)
    assert found.find("NZ", None, "standard", TODAY) == Rate("0.0000", "standard", "NZ")
    with pytest.raises(NoTaxRate, match="no tax rate for books goods in GB"):
        found.find("GB", None, "books", TODAY)
    with pytest.raises(NoTaxRate, match="in NZ"):
        found.find("NZ", None, "books", TODAY)


def test_a_country_without_a_rate_is_refused() -> None:
    with pytest.raises(NoTaxRate):
        table(rate("GB", "0.2000")).find("FR", None, "standard", TODAY)


@pytest.mark.parametrize(
    "bad", ["0.2", "20", "1.2000", "1.00001", "-0.1000", "0.20000", "0.088750", "0.0887501", ".2000"]
)
def test_a_rate_is_a_fraction_of_four_to_six_decimals_without_zeros_after_the_fourth(bad: str) -> None:
    with pytest.raises(ValidationError):
        rate("GB", bad)


@pytest.mark.parametrize(
    ("value", "tax", "added"),
    [("0.08875", 815, 888), ("0.047123", 450, 471), ("0.000001", 0, 0), ("1.0000", 5000, 10_000)],
)
def test_a_rate_of_more_decimals_is_used_as_it_is(value: str, tax: int, added: int) -> None:
    """$100.00 contain 8.1515… of New York City's 8.875 %, or get 8.875 added, of which half a cent is rounded up."""
    its = table(rate("US", value)).find("US", None, "standard", TODAY)
    (inside,) = taxed([(10_000, its)], inclusive=True, rounding=Rounding.LINE)
    (outside,) = taxed([(10_000, its)], inclusive=False, rounding=Rounding.LINE)
    assert (inside.tax, outside.tax) == (tax, added)


def test_a_region_needs_its_country_and_no_rate_begins_twice() -> None:
    rates = [rate("GB", "0.2000"), rate("GB", "0.2000", start=TODAY), rate("GB", "0.1000")]
    assert list(findings([*rates, rate(None, "0.1000", region="CA")])) == [
        (2, "another rate of this place and tax class begins on 2020-01-01"),
        (3, "region CA has no country"),
    ]


def test_an_inclusive_price_contains_its_tax_and_an_exclusive_one_gets_it() -> None:
    (inside,) = taxed([(1250, FULL)], inclusive=True, rounding=Rounding.LINE)
    assert (inside.amount, inside.tax) == (1250, 208)  # 208.33
    (outside,) = taxed([(1250, FULL)], inclusive=False, rounding=Rounding.LINE)
    assert (outside.amount, outside.tax) == (1500, 250)


def test_rounding_by_line_and_by_order_differ_by_what_they_say() -> None:
    prices = [(3, LOW)] * 10  # 0.1428 of tax in each: 0 in each line, 1 in their sum of 30
    by_line = taxed(prices, inclusive=True, rounding=Rounding.LINE)
    by_order = taxed(prices, inclusive=True, rounding=Rounding.ORDER)
    assert (sum(one.tax for one in by_line), sum(one.tax for one in by_order)) == (0, 1)


def test_half_a_unit_is_rounded_away_from_zero_so_that_a_whole_discount_takes_the_whole_tax() -> None:
    goods, off = taxed([(3, FULL), (-3, FULL)], inclusive=True, rounding=Rounding.LINE)  # 0.5
    assert (goods.tax, off.tax) == (1, -1)


PRICES = st.lists(st.tuples(st.integers(-(10**9), 10**9), st.sampled_from([FULL, LOW, FINE])), min_size=1, max_size=20)


@given(PRICES, st.booleans())
def test_by_order_the_lines_add_up_to_the_tax_of_their_sum(prices: list[tuple[int, Rate]], inclusive: bool) -> None:
    found = taxed(prices, inclusive=inclusive, rounding=Rounding.ORDER)
    for one in (FULL, LOW, FINE):
        whole = sum(price for price, its in prices if its == one)
        (expected,) = taxed([(whole, one)], inclusive=inclusive, rounding=Rounding.LINE)
        parts = [part for part, (_, its) in zip(found, prices, strict=True) if its == one]
        assert sum(part.tax for part in parts) == expected.tax
        assert sum(part.amount for part in parts) == expected.amount


@given(PRICES, st.sampled_from(Rounding))
def test_inclusive_equals_exclusive_within_a_unit_per_line(prices: list[tuple[int, Rate]], rounding: Rounding) -> None:
    """The price that exclusive prices lead to contains the tax that was added to them."""
    outside = taxed(prices, inclusive=False, rounding=Rounding.LINE)
    again = [(one.amount, its) for one, (_, its) in zip(outside, prices, strict=True)]
    inside = taxed(again, inclusive=True, rounding=rounding)
    assert abs(sum(one.tax for one in outside) - sum(one.tax for one in inside)) <= len(prices)
