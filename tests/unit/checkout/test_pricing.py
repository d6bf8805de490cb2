"""What a session costs, and what keeps it from being placed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checkout.domain import (
    CheckoutChanged,
    Discount,
    Line,
    MixedCurrencies,
    NoRateForDestination,
    NoTaxRate,
    ProductNotForSale,
    ServiceNotOffered,
    ShortOfStock,
    TooManyLines,
    change,
    merge,
)
from checkout.pricing import Terms
from checkout.taxes import TaxTable
from mercato.charges import Kind, tax_of, total_of
from mercato.money import AmountTooLarge, Money
from tests.unit.checkout.sessions import LONDON, World, listing, pounds, session


def kinds(world: World) -> list[tuple[str, int, int]]:
    return [(one.kind.value, one.amount.amount, one.tax.amount) for one in world.price(session()).charges]


def test_the_charges_are_the_goods_and_the_chosen_delivery_each_with_its_tax() -> None:
    priced = World().price(session())
    assert priced.is_whole
    assert kinds(World()) == [("goods", 2500, 417), ("goods", 2000, 333), ("shipping", 395, 66)]
    assert (total_of(priced.charges), tax_of(priced.charges)) == (pounds(4895), pounds(816))
    assert {(one.rate, one.jurisdiction) for one in priced.charges} == {("0.2000", "GB")}


def test_with_exclusive_prices_the_tax_is_added() -> None:
    assert kinds(World(terms=Terms(inclusive=False))) == [
        ("goods", 3000, 500),
        ("goods", 2400, 400),
        ("shipping", 474, 79),
    ]


def test_a_discount_stands_beside_its_goods_and_has_their_rate() -> None:
    world = World(discounts=[Discount("mug", "AUTUMN", 500)])
    assert kinds(world)[:2] == [("goods", 2500, 417), ("discount", -500, -83)]
    (off,) = [one for one in world.price(session()).charges if one.kind is Kind.DISCOUNT]
    assert (off.product_id, off.quantity, off.rate) == ("mug", 2, "0.2000")


def test_without_an_address_there_is_neither_delivery_nor_tax_and_no_obstacle_either() -> None:
    priced = World().price(session(address=None))
    assert [(one.kind, one.tax.amount) for one in priced.charges] == [(Kind.GOODS, 0), (Kind.GOODS, 0)]
    assert (priced.is_whole, priced.obstacles) == (False, ())


def test_without_a_chosen_service_there_is_no_quote() -> None:
    priced = World().price(session(service=None))
    assert (priced.is_whole, priced.offer, priced.obstacles) == (False, None, ())


@pytest.mark.parametrize(
    ("change", "kind", "product_id"),
    [
        ({"is_sold": False}, ProductNotForSale, "mug"),
        ({"available": 1}, ShortOfStock, "mug"),
        ({"tax_class": "books"}, NoTaxRate, None),
        ({"price": Money(amount=1, currency="EUR")}, MixedCurrencies, None),
    ],
)
def test_a_product_that_cannot_be_sold_is_an_obstacle(change: dict[str, object], kind: type, product_id: str) -> None:
    world = World()
    world.listings["mug"] = replace(world.listings["mug"], **change)  # type: ignore[arg-type]
    priced = world.price(session())
    assert [(type(one), one.product_id) for one in priced.obstacles] == [(kind, product_id)]
    assert not priced.is_whole


def test_an_unknown_product_is_an_obstacle_and_the_rest_is_priced() -> None:
    world = World()
    del world.listings["mug"]
    priced = world.price(session())
    assert [type(one) for one in priced.obstacles] == [ProductNotForSale]
    assert [line.product_id for line in priced.lines] == ["pot"]


def test_a_place_without_delivery_and_a_service_that_is_not_offered_are_obstacles() -> None:
    priced = World(offers=[]).price(session())
    assert [type(one) for one in priced.obstacles] == [NoRateForDestination]
    priced = World().price(session(service="drone"))
    assert [type(one) for one in priced.obstacles] == [ServiceNotOffered]


def test_every_obstacle_is_told() -> None:
    world = World(offers=[], taxes=TaxTable(version=1, rates=()))
    world.listings["mug"] = listing("mug", 1250, available=0)
    found = [type(one) for one in world.price(session()).obstacles]
    assert found == [ShortOfStock, NoRateForDestination, NoTaxRate]


def test_a_total_that_no_money_can_hold_is_refused() -> None:
    world = World(listings={"mug": listing("mug", 10**12)})
    with pytest.raises(AmountTooLarge):
        world.price(session(("mug", 2)))


def test_one_product_in_two_lines_is_one_line() -> None:
    lines = merge(
        [Line(product_id="mug", quantity=1), Line(product_id="pot", quantity=1), Line(product_id="mug", quantity=2)]
    )
    assert [(line.product_id, line.quantity) for line in lines] == [("mug", 3), ("pot", 1)]
    with pytest.raises(TooManyLines):
        merge([Line(product_id=str(number), quantity=1) for number in range(251)])
    with pytest.raises(TooManyLines):
        merge([Line(product_id="mug", quantity=60_000)] * 2)


def test_a_change_names_the_version_that_it_saw() -> None:
    changed = change(session(), 1, {"service": "express"})
    assert (changed.version, changed.service, changed.shipping_address) == (2, "express", LONDON)
    with pytest.raises(CheckoutChanged) as refused:
        change(changed, 1, {"service": "standard"})
    assert refused.value.extra == {"version": 2}
