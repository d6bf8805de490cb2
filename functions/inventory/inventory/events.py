"""The events that inventory publishes. Subject: the order of reserved and released, the product of the others."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from mercato.events import EventModel


class ReservedLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    product_id: str
    quantity: int


class InventoryReserved(EventModel):
    """All lines of an order are held for it. One line per product."""

    TYPE: ClassVar[str] = "inventory.reserved"
    EXAMPLE: ClassVar[dict[str, Any]] = {"order_id": "o-1", "lines": [{"product_id": "p-1", "quantity": 2}]}

    order_id: str
    lines: list[ReservedLine]


class InventoryReleased(EventModel):
    """What was held for an order is free again."""

    TYPE: ClassVar[str] = "inventory.released"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "order_id": "o-1",
        "lines": [{"product_id": "p-1", "quantity": 2}],
        "reason": "payment-declined",
    }

    order_id: str
    lines: list[ReservedLine]
    reason: str


class LowStock(EventModel):
    """What is available came to a new level at or below the threshold; once per crossing, from above or from zero."""

    TYPE: ClassVar[str] = "inventory.low_stock"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": "p-1", "available": 5, "level": "low"}

    product_id: str
    available: int
    level: Literal["low", "out"]


class Restocked(EventModel):
    """What is available rose above the threshold; once per crossing."""

    TYPE: ClassVar[str] = "inventory.restocked"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": "p-1", "available": 100}

    product_id: str
    available: int


PUBLISHES: tuple[type[EventModel], ...] = (InventoryReserved, InventoryReleased, LowStock, Restocked)
