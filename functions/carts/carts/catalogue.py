"""The client of the products service: looks up one product at a time."""

from __future__ import annotations

from carts.domain import Offer, UnknownProduct
from mercato.events import Reads
from mercato.money import Money
from mercato.peers.client import ServiceClient, read_answer


class _Summary(Reads):
    product_id: str
    name: str
    price: Money
    status: str
    version: int
    available: int | None = None
    stock_sequence: int = 0


class _Found(Reads):
    products: list[_Summary]


class Catalogue:
    def __init__(self, products: ServiceClient) -> None:
        self._products = products

    def find(self, product_id: str) -> Offer:
        """Raises UnknownProduct. Idempotent, so the client may retry."""
        answer = self._products.post("/api/products/lookup", {"product_ids": [product_id]}, safe=True)
        found = read_answer(_Found, answer, "the look-up of products").products
        if not found:
            raise UnknownProduct(f"There is no product {product_id}.", product_id=product_id)
        product = found[0]
        is_sold = product.status == "active"
        return Offer(
            product_id,
            product.name,
            product.price,
            product.version,
            is_sold,
            product.available,
            product.stock_sequence,
        )
