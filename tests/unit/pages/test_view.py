"""How pages write amounts, times, days and ids."""

from __future__ import annotations

import pytest

from pages import view


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (480_000, "GBP", "£4,800.00"),
        (123_456_789, "EUR", "€1,234,567.89"),
        (-5, "GBP", "-£0.05"),
        (1_250, "JPY", "¥1,250"),
        (-120_000, "CHF", "-CHF 1,200.00"),
    ],
)
def test_an_amount_has_separators_of_thousands(amount: int, currency: str, written: str) -> None:
    assert view.money({"amount": amount, "currency": currency}) == written


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("12.85 GBP", "£12.85"),
        ("3 pieces, 1222.50 EUR", "3 pieces, €1,222.50"),
        ("A price must be above zero, not -1.50 GBP.", "A price must be above zero, not -£1.50."),
        ("Between 5.00 USD and 500 JPY", "Between $5.00 and ¥500"),
        ("12.5 GBP, 12.505 GBP, 1,000.00 GBP and 9.50 GBPS", "12.5 GBP, 12.505 GBP, 1,000.00 GBP and 9.50 GBPS"),
        ("Hub 3.20 GEN 2, 12.50 CHF", "Hub 3.20 GEN 2, 12.50 CHF"),
        ("100000000000004.75 GBP is too much", "100000000000004.75 GBP is too much"),
    ],
)
def test_an_amount_in_a_message_is_written_as_the_page_writes_it(said: str, shown: str) -> None:
    assert view.amounts(said) == shown


def test_a_time_says_its_zone_and_a_day_has_its_month() -> None:
    assert view.when("2026-11-28T03:23:45.123Z") == "28 Nov 2026, 03:23 UTC"
    assert view.clock("2026-11-28T03:23:45.123Z") == "03:23:45 UTC"
    assert view.day("2026-11-08") == "8 Nov 2026"


def test_ids_of_one_minute_can_be_told_apart() -> None:
    users = ("01a22a03-d36d-7f79-a910-cd9004ff771b", "01a22a03-8027-7bb2-9c33-6edd14deb915")
    assert [view.short(one) for one in users] == ["…04ff771b", "…14deb915"]
    assert view.short("fc41d1ae-546d-5d5e-91fa-5ef2b2341f00") == "fc41d1ae"
