"""What a customer may order, and at which price."""

from __future__ import annotations

import pytest

from mercato.money import Money
from orders import domain
from orders.domain import Listing, MixedCurrencies, OrderTooLarge, PriceChanged, UnknownProduct, Wanted
from orders.order import Line
from tests.unit.orders.test_domain import line, pounds


def wanted(product_id: str = "mug", quantity: int = 1, price: int = 1250) -> Wanted:
    return Wanted(product_id, quantity, pounds(price))


def listing(product_id: str = "mug", price: int = 1250, *, for_sale: bool = True, name: str = "Mug") -> Listing:
    return Listing(product_id, product_id.upper(), name, pounds(price), for_sale)


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


def test_lines_get_the_catalogue_s_names_and_prices() -> None:
    assert domain.price_lines([wanted(quantity=2)], {"mug": listing()}) == (
        Line(product_id="mug", sku="MUG", name="Mug", quantity=2, unit_price=pounds(1250)),
    )


def test_a_name_of_any_length_is_kept_whole() -> None:
    name = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}" * 66
    (found,) = domain.price_lines([wanted()], {"mug": listing(name=name)})
    assert found.name == name


def test_products_that_are_missing_or_discontinued_are_named() -> None:
    with pytest.raises(UnknownProduct) as refused:
        domain.price_lines(
            [wanted("pot"), wanted("cup"), wanted()], {"mug": listing(), "cup": listing("cup", for_sale=False)}
        )
    assert refused.value.extra == {"product_ids": ["cup", "pot"]}


@pytest.mark.parametrize("now", [1249, 1251])
def test_a_price_that_is_not_the_one_seen_is_refused_up_or_down(now: int) -> None:
    with pytest.raises(PriceChanged) as refused:
        domain.price_lines([wanted(), wanted("pot", price=1)], {"mug": listing(price=now), "pot": listing("pot", 1)})
    assert refused.value.extra == {
        "changed": [
            {
                "product_id": "mug",
                "seen": {"amount": 1250, "currency": "GBP"},
                "now": {"amount": now, "currency": "GBP"},
            }
        ]
    }
