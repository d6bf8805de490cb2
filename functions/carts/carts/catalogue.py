"""The catalogue as carts see it: the products service, asked for one product at a time."""

from __future__ import annotations

from carts.domain import Offer, UnknownProduct
from mercato.client import ServiceClient, read_answer
from mercato.events import Reads
from mercato.money import Money


class _Summary(Reads):
    product_id: str
    name: str
    price: Money
    status: str
    version: int


class _Found(Reads):
    products: list[_Summary]


class Catalogue:
    def __init__(self, products: ServiceClient) -> None:
        self._products = products

    def find(self, product_id: str) -> Offer:
        """Raises UnknownProduct. Asking twice does no harm, so the client may."""
        answer = self._products.post("/api/products/lookup", {"product_ids": [product_id]}, safe=True)
        found = read_answer(_Found, answer, "the look-up of products").products
        if not found:
            raise UnknownProduct(f"There is no product {product_id}.", product_id=product_id)
        return Offer(product_id, found[0].name, found[0].price, found[0].version, found[0].status == "active")
