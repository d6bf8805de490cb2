from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from mercato.money import Money
from products.domain import (
    Availability,
    Changed,
    Draft,
    InvalidPrice,
    Product,
    ProductDiscontinued,
    Status,
    change,
    create,
    discontinue,
)
from products.events import PUBLISHES, announcements


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


@pytest.fixture
def product(noon: datetime) -> Product:
    draft = Draft(sku="85123a", name=" White heart ", category="Lights", price=pounds(255))
    return create(draft, "GBP", "p1", noon)


def test_a_new_product_is_active_out_of_stock_and_trimmed(product: Product, noon: datetime) -> None:
    assert product == Product(
        product_id="p1",
        sku="85123A",
        name="White heart",
        description="",
        category="Lights",
        price=pounds(255),
        created_at=noon,
        status=Status.ACTIVE,
        availability=Availability.OUT,
        version=1,
    )


@pytest.mark.parametrize("price", [pounds(0), pounds(-1), Money(amount=1, currency="EUR")])
def test_a_price_is_above_zero_and_in_the_currency_of_the_shop(product: Product, price: Money, noon: datetime) -> None:
    with pytest.raises(InvalidPrice):
        create(Draft(sku="A", name="A", price=price), "GBP", "p2", noon)
    with pytest.raises(InvalidPrice):
        change(product, "GBP", price=price)


@pytest.mark.parametrize("field", [{"sku": ""}, {"sku": "-A"}, {"name": "\x07"}, {"category": " "}, {"colour": "red"}])
def test_a_draft_that_breaks_a_rule_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft.model_validate({"sku": "A", "name": "A", "price": pounds(1)} | field)


def test_a_change_moves_the_version_and_nothing_it_was_not_told_to(product: Product) -> None:
    assert change(product, "GBP", price=pounds(295)) == replace(product, price=pounds(295), version=2)
    assert change(product, "GBP", category="") == replace(product, category=None, version=2)


def test_a_change_that_changes_nothing_is_the_very_same_product(product: Product) -> None:
    assert change(product, "GBP", name="White heart", category="Lights", price=pounds(255)) is product


def test_a_discontinued_product_is_not_changed(product: Product) -> None:
    gone = discontinue(product)

    assert gone == replace(product, status=Status.DISCONTINUED, version=2)
    assert discontinue(gone) is gone
    with pytest.raises(ProductDiscontinued):
        change(gone, "GBP", name="Back")


def test_each_change_is_announced_by_what_it_changed(product: Product) -> None:
    def types(before: Product | None, after: Product) -> list[str]:
        return [event.TYPE for event in announcements(Changed(before, after))]

    assert types(None, product) == ["product.created"]
    assert types(product, product) == []
    assert types(product, change(product, "GBP", price=pounds(1))) == ["product.price_changed"]
    assert types(product, change(product, "GBP", description="Cotton")) == ["product.updated"]
    assert types(product, change(product, "GBP", name="Heart", price=pounds(1))) == [
        "product.updated",
        "product.price_changed",
    ]
    assert types(product, discontinue(product)) == ["product.discontinued"]


@pytest.mark.parametrize("model", PUBLISHES)
def test_the_example_of_each_event_is_valid(model: Any) -> None:
    assert model.model_validate(model.EXAMPLE).model_dump(mode="json") == model.EXAMPLE
