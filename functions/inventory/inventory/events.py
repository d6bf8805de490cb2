"""The events that inventory publishes. The subject of reserved and released is the order, of the others the product."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from mercato.events import EventModel


class ReservedLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    product_id: str
    quantity: int


class InventoryReserved(EventModel):
    """All lines of an order are reserved. One line per product."""

    TYPE: ClassVar[str] = "inventory.reserved"
    EXAMPLE: ClassVar[dict[str, Any]] = {"order_id": "o-1", "lines": [{"product_id": "p-1", "quantity": 2}]}

    order_id: str
    lines: list[ReservedLine]


class InventoryReleased(EventModel):
    """The stock reserved for an order is available again."""

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
    """The available count crossed into a new level at or below the threshold, up or down, or rose within the low
    level. Once per crossing and rise.
    """

    TYPE: ClassVar[str] = "inventory.low_stock"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": "p-1", "available": 5, "level": "low"}

    product_id: str
    available: int
    level: Literal["low", "out"]


class Restocked(EventModel):
    """The available count rose above the threshold. Once per crossing."""

    TYPE: ClassVar[str] = "inventory.restocked"
    EXAMPLE: ClassVar[dict[str, Any]] = {"product_id": "p-1", "available": 100}

    product_id: str
    available: int


PUBLISHES: tuple[type[EventModel], ...] = (InventoryReserved, InventoryReleased, LowStock, Restocked)
