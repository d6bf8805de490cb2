"""Seeds a new shop with a small catalogue of invented products, their stock and their pictures."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.local import pictures
from infra.operator.client import Refused, Session, poll
from mercato import spreadsheet
from mercato.money import Money

_CATALOGUE = Path(__file__).with_name("catalogue.csv")
_STOCK = 100


@dataclass(frozen=True)
class Goods:
    sku: str
    product_id: str


def open_shelves(admin: Session, currency: str) -> list[Goods]:
    """Imports the catalogue through the admin API and adds stock. Returns the products."""
    report = admin.post("/products/imports", csv=catalogue_in(currency), key=f"opening-catalogue-{uuid.uuid4()}")
    goods = [Goods(product["sku"], product["product_id"]) for product in report["products"]]
    adjustments = [{"product_id": item.product_id, "delta": _STOCK, "reason": "opening stock"} for item in goods]
    # Inventory knows a product only after it has consumed the product's event.
    poll(lambda: _adjust(admin, adjustments), bool, what="opening stock", within=90)
    return goods


def catalogue_in(currency: str) -> str:
    """The catalogue's file, with the same number of minor units of `currency` as it has pence."""
    text = io.StringIO(newline="")
    rows = list(csv.DictReader(_CATALOGUE.read_text().splitlines()))
    for row in rows:
        pence = Money.parse(row["price"], row["currency"]).amount
        row["price"], _, row["currency"] = str(Money(amount=pence, currency=currency)).partition(" ")
    spreadsheet.write(text, list(rows[0]), (list(row.values()) for row in rows))
    return text.getvalue()


def hang_pictures(admin: Session, goods: Sequence[Goods]) -> None:
    """Draws and uploads a picture of each product through the staff API. The shop scales them asynchronously.

    Raises ShopError and httpx.HTTPError.
    """
    rows = {row["sku"]: row for row in csv.DictReader(_CATALOGUE.read_text().splitlines())}
    for item in goods:
        row = rows[item.sku]
        body = {"alt": f"A drawing of the {row['name']}"}
        image = admin.post(f"/products/images/{item.product_id}", body, key=f"opening-picture-{item.product_id}")
        files = {"file": (item.sku, pictures.draw(item.sku, row["category"]))}
        form = image["upload"]
        httpx.post(form["url"], data=form["fields"], files=files, timeout=30).raise_for_status()


def _adjust(admin: Session, adjustments: list[dict[str, Any]]) -> bool:
    try:
        admin.post("/inventory/adjustments", {"adjustments": adjustments}, key="opening-stock")
    except Refused as refused:
        if refused.status != 404:
            raise
        return False
    return True
