"""The client of the products service: current prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mercato.money import Money
from mercato.peers.client import ServiceClient, read_answer
from orders.domain import Listing


class _Product(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    product_id: str
    sku: str
    name: str
    price: Money
    status: Literal["active", "discontinued"]


class _Found(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    products: list[_Product]


class Catalogue:
    def __init__(self, products: ServiceClient) -> None:
        self._products = products

    def find(self, product_ids: Sequence[str]) -> dict[str, Listing]:
        """The listings by id, without unknown products. Idempotent, so the client may retry."""
        answer = self._products.post("/api/products/lookup", {"product_ids": list(product_ids)}, safe=True)
        return {
            product.product_id: Listing(
                product.product_id, product.sku, product.name, product.price, product.status == "active"
            )
            for product in read_answer(_Found, answer, "the look-up of products").products
        }
