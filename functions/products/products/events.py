"""The events that products publishes. The sequence of each event is the product's version; that of a picture's event is
the number of changes of the product's pictures, and its subject is the picture.
"""

from typing import Any, ClassVar

from mercato.events import EventModel
from mercato.money import Money
from products.domain import STANDARD, Changed, Product
from products.images import Images, State, find

_ID = "0198d6a4-7c1e-7b52-9f10-3f6d1c2b4a58"
_IMAGE_ID = "0198d6a4-9b20-7d41-8a6c-52f0e7c1d934"


class ProductCreated(EventModel):
    """A product was added, and is for sale. It has no stock yet."""

    TYPE: ClassVar[str] = "product.created"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "product_id": _ID,
        "sku": "85123A",
        "name": "White hanging heart t-light holder",
        "price": {"amount": 255, "currency": "GBP"},
        "weight_grams": 120,
        "tax_class": "standard",
    }

    product_id: str
    sku: str
    name: str
    price: Money
    weight_grams: int = 0
    tax_class: str = STANDARD


class ProductUpdated(EventModel):
    """Something other than the price has changed. An event of an earlier release has no weight and no tax class."""

    TYPE: ClassVar[str] = "product.updated"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "product_id": _ID,
        "name": "White hanging heart t-light holder",
        "weight_grams": 120,
        "tax_class": "standard",
    }

    product_id: str
    name: str
    weight_grams: int | None = None
    tax_class: str | None = None


class ProductPriceChanged(EventModel):
    """The price of a product has changed. Orders that were placed before keep theirs."""

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
    """The product is no longer for sale. This is final."""

    TYPE: ClassVar[str] = "product.discontinued"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": _ID}

    product_id: str


class ImageEvent(EventModel):
    product_id: str
    image_id: str


class ProductImageReady(ImageEvent):
    """A picture was uploaded and scaled. The shop shows it once it has been described."""

    TYPE: ClassVar[str] = "product.image_ready"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": _ID, "image_id": _IMAGE_ID}


class ProductImageRefused(ImageEvent):
    """The file that was uploaded cannot be shown. `reason` is for the person who uploaded it."""

    TYPE: ClassVar[str] = "product.image_refused"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "product_id": _ID,
        "image_id": _IMAGE_ID,
        "reason": "The picture is animated. Upload a still one.",
    }

    reason: str


class ProductImageRemoved(ImageEvent):
    """A picture was deleted. Its files are deleted on this event."""

    TYPE: ClassVar[str] = "product.image_removed"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": _ID, "image_id": _IMAGE_ID}


PUBLISHES: tuple[type[EventModel], ...] = (
    ProductCreated,
    ProductUpdated,
    ProductPriceChanged,
    ProductDiscontinued,
    ProductImageReady,
    ProductImageRefused,
    ProductImageRemoved,
)


def announcements(changed: Changed) -> list[EventModel]:
    """The events of a change: none if nothing changed."""
    before, after = changed.before, changed.after
    if before is None:
        return [
            ProductCreated(
                product_id=after.product_id,
                sku=after.sku,
                name=after.name,
                price=after.price,
                weight_grams=after.weight_grams,
                tax_class=after.tax_class,
            )
        ]
    if before.is_active and not after.is_active:
        return [ProductDiscontinued(product_id=after.product_id)]
    events: list[EventModel] = []
    if _described(before) != _described(after):
        events.append(
            ProductUpdated(
                product_id=after.product_id,
                name=after.name,
                weight_grams=after.weight_grams,
                tax_class=after.tax_class,
            )
        )
    if before.price != after.price:
        events.append(ProductPriceChanged(product_id=after.product_id, old_price=before.price, new_price=after.price))
    return events


def _described(product: Product) -> tuple[object, ...]:
    return product.name, product.description, product.category, product.weight_grams, product.tax_class


def image_announcements(product_id: str, before: Images, after: Images) -> list[ImageEvent]:
    """The events of a change of pictures. A new place or description is none: it is seen at the next reading."""
    events: list[ImageEvent] = []
    for image in after:
        old = find(before, image.image_id)
        if old is None or old.state is image.state:
            continue
        about = {"product_id": product_id, "image_id": image.image_id}
        if image.state is State.READY:
            events.append(ProductImageReady(**about))
        elif image.state is State.REFUSED:
            events.append(ProductImageRefused(**about, reason=image.reason))
    gone = [image for image in before if find(after, image.image_id) is None]
    return events + [ProductImageRemoved(product_id=product_id, image_id=image.image_id) for image in gone]
