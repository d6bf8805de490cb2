from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from carts.domain import (
    Cart,
    CartFull,
    Line,
    MixedCurrencies,
    Offer,
    ProductDiscontinued,
    merge_line,
    ordered_lines,
    put_line,
)
from carts.events import PUBLISHES
from carts.usecases import cart_of
from mercato.money import Money


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


LANTERN = Offer("lantern", "Lantern", pounds(1250), version=3, is_sold=True)


@pytest.fixture
def line(noon: datetime) -> Line:
    return Line("lantern", "Lantern", 2, pounds(1250), 3, noon)


def test_a_line_has_the_price_of_the_offer(line: Line, noon: datetime) -> None:
    assert put_line(Cart("c"), LANTERN, 2, noon) == line
    assert line.total == pounds(2500)


def test_a_cart_adds_up_and_an_empty_one_is_zero(line: Line) -> None:
    mug = replace(line, product_id="mug", quantity=3, unit_price=pounds(475))

    assert Cart("c", lines=(line, mug)).total("GBP") == pounds(3925)
    assert Cart("c").total("GBP") == pounds(0)


def test_what_is_not_sold_is_not_put_in(noon: datetime) -> None:
    with pytest.raises(ProductDiscontinued):
        put_line(Cart("c"), replace(LANTERN, is_sold=False), 1, noon)


def test_a_cart_of_500_lines_is_full_but_for_its_own_products(line: Line, noon: datetime) -> None:
    others = tuple(replace(line, product_id=f"p{number}") for number in range(499))
    full = Cart("c", lines=(*others, line))

    assert put_line(full, LANTERN, 9, noon).quantity == 9
    with pytest.raises(CartFull):
        put_line(full, replace(LANTERN, product_id="other"), 1, noon)


def test_a_cart_holds_one_currency(line: Line, noon: datetime) -> None:
    in_euro = replace(LANTERN, price=Money(amount=1, currency="EUR"))

    with pytest.raises(MixedCurrencies):
        put_line(Cart("c", lines=(line,)), replace(in_euro, product_id="other"), 1, noon)
    assert put_line(Cart("c", lines=(line,)), in_euro, 1, noon).unit_price.currency == "EUR"


def test_merged_lines_add_up_to_the_limit_at_the_newer_price(line: Line, noon: datetime) -> None:
    later = noon + timedelta(hours=1)
    guests = replace(line, quantity=5, unit_price=pounds(1400), price_version=4)

    assert merge_line(None, guests, later) == replace(guests, changed_at=later)
    assert merge_line(line, guests, later) == replace(guests, quantity=7, changed_at=later)
    assert merge_line(guests, line, later) == replace(guests, quantity=7, changed_at=later)
    assert merge_line(replace(line, quantity=9_999), guests, later).quantity == 10_000


def test_an_order_takes_its_products_as_they_were_before_it(line: Line, noon: datetime) -> None:
    mug = replace(line, product_id="mug", changed_at=noon + timedelta(milliseconds=1))
    cart = Cart("c", lines=(line, mug, replace(line, product_id="quilt")))

    assert ordered_lines(cart, ["lantern", "mug"], noon) == [line]


def test_lines_keep_their_order_and_come_once(line: Line) -> None:
    mug, quilt = replace(line, product_id="mug"), replace(line, product_id="quilt")
    cart = Cart("c").with_line(quilt).with_line(line).with_line(mug)

    assert cart.with_line(replace(mug, quantity=9)).lines == (line, replace(mug, quantity=9), quilt)
    assert cart.without_line("mug").lines == cart.without_line("mug").without_line("mug").lines == (line, quilt)


def test_a_customer_has_one_cart_and_no_other_customer_has_it() -> None:
    assert cart_of("ada") == cart_of("ada")
    assert cart_of("ada") != cart_of("bob")


def test_the_example_of_each_event_is_valid() -> None:
    for model in PUBLISHES:
        assert model.model_validate(model.EXAMPLE).model_dump(mode="json") == model.EXAMPLE
