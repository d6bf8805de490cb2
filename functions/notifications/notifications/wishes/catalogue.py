"""The client of the products service: the name of a product, and whether it is sold and sold out."""

from __future__ import annotations

from mercato.events import Reads
from mercato.peers.client import ServiceClient, read_answer
from notifications.wishes.domain import Product, UnknownProduct


class _Summary(Reads):
    product_id: str
    name: str
    status: str
    available: int | None = None


class _Summaries(Reads):
    products: list[_Summary]


class Catalogue:
    def __init__(self, products: ServiceClient) -> None:
        self._products = products

    def look_up(self, product_id: str) -> Product:
        """Raises UnknownProduct. Idempotent, so the client may retry."""
        answer = self._products.post("/api/products/lookup", {"product_ids": [product_id]}, safe=True)
        found = read_answer(_Summaries, answer, "the look-up of a product").products
        if not found:
            raise UnknownProduct(product_id)
        product = found[0]
        return Product(product_id, product.name, product.status == "active", product.available)
