"""Consumes the stock's events, and those of deleted pictures. Naturally idempotent: only an event newer than the last
one changes a product, and a file that is gone is deleted again without effect.
"""

from __future__ import annotations

from typing import Literal

from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.telemetry.logs import log
from products.domain import Availability
from products.wiring import ports

consumer = Consumer("products")
handler = consumer.handler


class LowStock(Reads):
    product_id: str
    available: int
    level: Literal["low", "out"]


class Restocked(Reads):
    product_id: str


class ImageRemoved(Reads):
    product_id: str
    image_id: str


@consumer.on("product.image_removed")
def delete_files(event: Event, image: ImageRemoved) -> None:
    """The picture is gone from the product already, so that a crash in between leaves files that this event's next
    delivery finds, and never a product with a picture whose files are missing.
    """
    ports().bucket.keep_only(image.product_id, image.image_id, ())


@consumer.on("inventory.low_stock")
def show_low_stock(event: Event, stock: LowStock) -> None:
    _show(event, stock.product_id, Availability(stock.level), stock.available)


@consumer.on("inventory.restocked")
def show_in_stock(event: Event, stock: Restocked) -> None:
    _show(event, stock.product_id, Availability.IN_STOCK, None)


def _show(event: Event, product_id: str, availability: Availability, available: int | None) -> None:
    """Stores the available count only while it is low."""
    if not ports().products.set_availability(product_id, availability, available, event.sequence):
        log.info("stale event ignored", extra={"product_id": product_id, "sequence": event.sequence})
