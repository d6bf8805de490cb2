"""What a customer may order, and at which price."""

from __future__ import annotations

import pytest

from mercato.money import Money
from orders import domain
from orders.domain import MixedCurrencies, OrderTooLarge, PriceChanged, UnknownProduct, Wanted
from orders.order import Line
from tests.unit.orders.test_domain import line, pounds


def wanted(product_id: str = "mug", quantity: int = 1, price: int = 1250) -> Wanted:
    return Wanted(product_id, quantity, pounds(price))


def test_an_order_of_two_currencies_is_refused() -> None:
    euros = line("pot").model_copy(update={"unit_price": Money(amount=1, currency="EUR")})
    with pytest.raises(MixedCurrencies) as refused:
        domain.total_of([line(), euros])
    assert refused.value.extra == {"currencies": ["EUR", "GBP"]}


def test_a_total_beyond_what_money_holds_is_refused() -> None:
    with pytest.raises(OrderTooLarge):
        domain.total_of([line(quantity=100_000, price=10**9)])


def test_lines_of_one_product_are_one_line() -> None:
    assert domain.merge([wanted(quantity=2), wanted("pot"), wanted(quantity=3)]) == [wanted(quantity=5), wanted("pot")]


def test_merging_does_not_get_past_the_limit_of_one_line() -> None:
    with pytest.raises(OrderTooLarge):
        domain.merge([wanted(quantity=100_000), wanted(quantity=1)])


def for_sale(*lines: Line) -> dict[str, Line]:
    return {found.product_id: found for found in lines}


def test_lines_get_the_catalogue_s_names_and_prices() -> None:
    sold = line("mug", quantity=2)
    assert domain.check_lines([wanted(quantity=2)], for_sale(sold, line("pot"))) == (sold,)


def test_products_that_are_not_for_sale_are_named() -> None:
    with pytest.raises(UnknownProduct) as refused:
        domain.check_lines([wanted("pot"), wanted("cup"), wanted()], for_sale(line("mug")))
    assert refused.value.extra == {"product_ids": ["cup", "pot"]}


@pytest.mark.parametrize("now", [1249, 1251])
def test_a_price_that_is_not_the_one_seen_is_refused_up_or_down(now: int) -> None:
    sold = for_sale(line("mug", price=now), line("pot", price=1))
    with pytest.raises(PriceChanged) as refused:
        domain.check_lines([wanted(), wanted("pot", price=1)], sold)
    assert refused.value.extra == {
        "changed": [
            {
                "product_id": "mug",
                "seen": {"amount": 1250, "currency": "GBP"},
                "now": {"amount": now, "currency": "GBP"},
            }
        ]
    }
