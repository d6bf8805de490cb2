"""Products and how they change. Pure: a change returns a new product, and the store writes the difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound
from mercato.money import Money
from mercato.text import SKU, Description, ProductName, TaxClass
from products.images import Images

# Suppliers write the same article as 85123A and 85123a. The shop stores upper case.
Sku = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=1, max_length=64, pattern=SKU),
]

# Of one piece with its packaging; 0 where the weight does not matter to any rate of shipping.
WeightGrams = Annotated[int, Field(ge=0, le=1_000_000)]
STANDARD = "standard"


class Status(StrEnum):
    ACTIVE = "active"
    DISCONTINUED = "discontinued"


class Availability(StrEnum):
    IN_STOCK = "in_stock"
    LOW = "low"
    OUT = "out"


class ProductNotFound(NotFound):
    """No product has this id."""


class SkuTaken(Conflict):
    """Another product already has this SKU."""


class StaleVersion(Conflict):
    """The product has changed since the caller read it."""


class ProductDiscontinued(Conflict):
    """A discontinued product cannot be changed."""


class InvalidPrice(Invalid):
    """A price must be above zero and in the shop's currency."""


class TooManyProducts(Invalid):
    """The request names more products than one answer may have, or an id that is too long."""


class InvalidFilters(Invalid):
    """These filters cannot stand beside each other."""


class InvalidPriceRange(Invalid):
    """The lowest price of the range is above the highest."""


class Draft(BaseModel):
    """The fields of a product in a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    sku: Sku
    name: ProductName
    description: Description = ""
    category: ProductName | None = None
    price: Money
    weight_grams: WeightGrams = 0
    tax_class: TaxClass = STANDARD


@dataclass(frozen=True)
class Product:
    """`version` counts the changes of the catalogue. The stock's events set `availability`, `available` (None above the
    low-stock threshold) and `stock_sequence`, and do not change the version. Nor do the pictures, whose changes
    `images_version` counts: an operator's edit need not be repeated because a picture has become ready. `index_rules`
    is the number of the rules that made the product's entries in lists and searches (words.py), 0 for products from
    before there were numbers.
    """

    product_id: str
    sku: str
    name: str
    description: str
    category: str | None
    price: Money
    created_at: datetime
    status: Status = Status.ACTIVE
    availability: Availability = Availability.OUT
    available: int | None = 0
    stock_sequence: int = 0
    version: int = 1
    index_rules: int = 0
    weight_grams: int = 0
    tax_class: str = STANDARD
    images: Images = ()
    images_version: int = 0

    @property
    def is_active(self) -> bool:
        return self.status is Status.ACTIVE


class Changes(TypedDict, total=False):
    """New values of a product's fields. None changes nothing; "" removes the category."""

    name: str | None
    description: str | None
    category: str | None
    price: Money | None
    weight_grams: int | None
    tax_class: str | None


@dataclass(frozen=True)
class Changed:
    """A product before (None if it is new) and after a change."""

    before: Product | None
    after: Product


def check_price(price: Money, currency: str) -> None:
    if price.amount <= 0:
        raise InvalidPrice(f"A price must be above zero, not {price}.")
    if price.currency != currency:
        raise InvalidPrice(f"This shop sells in {currency}, not in {price.currency}.")


def create(draft: Draft, currency: str, product_id: str, now: datetime) -> Product:
    """Returns a new product. It is out of stock until an event of the stock changes that."""
    check_price(draft.price, currency)
    return Product(
        product_id=product_id,
        sku=draft.sku,
        name=draft.name,
        description=draft.description,
        category=draft.category,
        price=draft.price,
        created_at=now,
        weight_grams=draft.weight_grams,
        tax_class=draft.tax_class,
    )


def change(product: Product, currency: str, **changes: Unpack[Changes]) -> Product:
    """The product with the given fields, or the same object if they change nothing."""
    if not product.is_active:
        raise ProductDiscontinued(f"{product.sku} is discontinued.")
    fields = {name: value for name, value in changes.items() if value is not None}
    if price := changes.get("price"):
        check_price(price, currency)
    if "category" in fields:
        fields["category"] = fields["category"] or None
    changed = replace(product, **fields)  # type: ignore[arg-type]  # Changes has the types of the fields
    return product if changed == product else replace(changed, version=product.version + 1)


def has(product: Product, currency: str, **fields: Unpack[Changes]) -> bool:
    """Whether the product is sold with these fields."""
    return product.is_active and change(product, currency, **fields) is product


def discontinue(product: Product) -> Product:
    """Idempotent."""
    if not product.is_active:
        return product
    return replace(product, status=Status.DISCONTINUED, version=product.version + 1)
