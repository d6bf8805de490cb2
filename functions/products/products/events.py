"""The events that products publishes. The sequence of each event is the product's version."""

from __future__ import annotations

from typing import Any, ClassVar

from mercato.events import EventModel
from mercato.money import Money
from products.domain import Changed

_ID = "0198d6a4-7c1e-7b52-9f10-3f6d1c2b4a58"


class ProductCreated(EventModel):
    TYPE: ClassVar[str] = "product.created"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "product_id": _ID,
        "sku": "85123A",
        "name": "White hanging heart t-light holder",
        "price": {"amount": 255, "currency": "GBP"},
    }

    product_id: str
    sku: str
    name: str
    price: Money


class ProductUpdated(EventModel):
    """Something other than the price has changed."""

    TYPE: ClassVar[str] = "product.updated"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": _ID, "name": "White hanging heart t-light holder"}

    product_id: str
    name: str


class ProductPriceChanged(EventModel):
    TYPE: ClassVar[str] = "product.price_changed"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "product_id": _ID,
        "old_price": {"amount": 255, "currency": "GBP"},
        "new_price": {"amount": 295, "currency": "GBP"},
    }

    product_id: str
    old_price: Money
    new_price: Money


class ProductDiscontinued(EventModel):
    TYPE: ClassVar[str] = "product.discontinued"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": _ID}

    product_id: str


PUBLISHES: tuple[type[EventModel], ...] = (ProductCreated, ProductUpdated, ProductPriceChanged, ProductDiscontinued)


def announcements(changed: Changed) -> list[EventModel]:
    """The events of a change: none if nothing changed."""
    before, after = changed.before, changed.after
    if before is None:
        return [ProductCreated(product_id=after.product_id, sku=after.sku, name=after.name, price=after.price)]
    if before.is_active and not after.is_active:
        return [ProductDiscontinued(product_id=after.product_id)]
    events: list[EventModel] = []
    if (before.name, before.description, before.category) != (after.name, after.description, after.category):
        events.append(ProductUpdated(product_id=after.product_id, name=after.name))
    if before.price != after.price:
        events.append(ProductPriceChanged(product_id=after.product_id, old_price=before.price, new_price=after.price))
    return events
