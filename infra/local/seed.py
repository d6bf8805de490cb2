"""A shop that opens with something on its shelves: a small catalogue of made-up goods, and stock of each."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.operator.client import Refused, Session, poll

_CATALOGUE = Path(__file__).with_name("catalogue.csv")
_STOCK = 100


@dataclass(frozen=True)
class Goods:
    sku: str
    product_id: str


def open_shelves(admin: Session) -> list[Goods]:
    """Imports the catalogue as an admin does, and stocks it."""
    report = admin.post("/products/imports", csv=_CATALOGUE.read_text(), key=f"opening-catalogue-{uuid.uuid4()}")
    goods = [Goods(product["sku"], product["product_id"]) for product in report["products"]]
    adjustments = [{"product_id": item.product_id, "delta": _STOCK, "reason": "opening stock"} for item in goods]
    # The stock of a product opens when inventory has consumed its event, a moment later.
    poll(lambda: _adjust(admin, adjustments), bool, what="opening stock", within=90)
    return goods


def _adjust(admin: Session, adjustments: list[dict[str, Any]]) -> bool:
    try:
        admin.post("/inventory/adjustments", {"adjustments": adjustments}, key="opening-stock")
    except Refused as refused:
        if refused.status != 404:
            raise
        return False
    return True
