"""The money of an order in currencies without decimals and with three: what is shown, charged, taxed and refunded."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout import quotes
from checkout.domain import Discount, Evaluated, Found, Offer
from checkout.pricing import Priced, Terms, price
from checkout.quotes import Quote, differences
from checkout.taxes import FIRST, Rounding, TableOfRates
from mercato.charges import Charge, refund_of, tax_of, total_of
from mercato.money import Money
from shipping.rates import Parcel, first_table, price_parcel
from tests.unit.checkout.sessions import TODAY, listing, session
from tests.unit.checkout.test_quotes import NOON, SECRET

CURRENCIES = ["JPY", "KWD", "GBP"]


def priced(lines: list[tuple[str, int]], unit: int, off: int, currency: str, terms: Terms) -> Priced:
    """Goods at `unit` and with a discount of `off`, sent by the rates of a new shop in this currency."""
    unit_price = Money(amount=unit, currency=currency)
    goods = {name: replace(listing(name, unit), price=unit_price) for name, _ in lines}
    value = Money.sum((one.price * count for one, (_, count) in zip(goods.values(), lines, strict=True)), currency)
    parcel = Parcel("GB", sum(count for _, count in lines), goods=value)
    offers = tuple(
        Offer(one.carrier, one.service, one.name, one.price, one.days)
        for one in price_parcel(first_table("sandbox", currency), parcel)
    )
    off_first = Discount(lines[0][0], "AUTUMN", min(off, unit), code="AUTUMN")
    found = Found(goods, offers, Evaluated((off_first,), {"AUTUMN": 1}))
    return price(session(*lines), found, TableOfRates(FIRST), terms, TODAY)


def refunds(charges: tuple[Charge, ...], name: str, cuts: list[int]) -> list[Charge]:
    return [refund_of(charges, name, before, after) for before, after in pairwise(cuts)]


@given(
    st.sampled_from(CURRENCIES),
    st.integers(1, 10**7),
    st.integers(0, 10**4),
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.builds(Terms, st.booleans(), st.sampled_from(Rounding)),
    st.randoms(use_true_random=False),
)
def test_every_refund_of_an_order_adds_up_to_what_its_quote_said(
    currency: str, unit: int, off: int, counts: list[int], terms: Terms, random: object
) -> None:
    lines = [(f"p{number}", count) for number, count in enumerate(counts)]
    shown = priced(lines, unit, off, currency, terms)
    assert shown.is_whole
    found = session(*lines)
    quote = quotes.read(quotes.sign(Quote.of(found, shown, NOON), SECRET), SECRET)
    assert differences(quote, found, shown) == []
    assert {one.amount.currency for one in quote.charges} == {currency}
    back = [
        one
        for name, count in lines
        for one in refunds(
            quote.charges,
            name,
            sorted({0, count, *random.choices(range(count + 1), k=3)}),  # type: ignore[attr-defined]
        )
    ]
    delivery = [one for one in quote.charges if one.product_id is None]
    assert total_of([*back, *delivery]) == total_of(quote.charges)
    assert tax_of([*back, *delivery]) == tax_of(quote.charges)


@pytest.mark.parametrize(
    ("currency", "total", "tax"), [("JPY", "2895 JPY", "483 JPY"), ("KWD", "2.895 KWD", "0.483 KWD")]
)
def test_a_total_is_written_with_the_decimals_of_its_currency(currency: str, total: str, tax: str) -> None:
    charges = priced([("mug", 2)], 1250, 50, currency, Terms()).charges
    assert (str(total_of(charges)), str(tax_of(charges))) == (total, tax)
