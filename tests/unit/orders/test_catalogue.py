"""How the orders service reads the products service's response."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mercato.money import Money
from mercato.peers.client import PeerUnavailable, ServiceClient
from orders.catalogue import Catalogue
from orders.domain import Listing


class Products:
    """A fake products service. `calls` has the requests, and whether each may be repeated."""

    def __init__(self, *products: dict[str, Any]) -> None:
        self.products = list(products)
        self.calls: list[tuple[str, Any, bool]] = []

    def post(self, path: str, body: Any, *, user_id: str = "", safe: bool = False) -> Any:
        self.calls.append((path, body, safe))
        return {"products": self.products}


def product(status: str = "active") -> dict[str, Any]:
    price = {"amount": 1250, "currency": "GBP"}
    return {"product_id": "mug", "sku": "MUG", "name": "Mug", "price": price, "status": status, "colour": "red"}


def test_a_lookup_is_one_call_that_may_be_repeated() -> None:
    products = Products(product())
    found = Catalogue(cast(ServiceClient, products)).find(["mug", "gone"])
    assert products.calls == [("/api/products/lookup", {"product_ids": ["mug", "gone"]}, True)]
    assert found == {"mug": Listing("mug", "MUG", "Mug", Money(amount=1250, currency="GBP"), for_sale=True)}


def test_a_discontinued_product_is_known_and_not_for_sale() -> None:
    found = Catalogue(cast(ServiceClient, Products(product("discontinued")))).find(["mug"])
    assert found["mug"].for_sale is False


@pytest.mark.parametrize("answer", [None, [], {}, {"products": [{"product_id": "mug"}]}, "nonsense"])
def test_prices_that_cannot_be_read_are_no_prices(answer: object) -> None:
    class Garbled:
        def post(self, path: str, body: object, *, safe: bool = False) -> object:
            return answer

    with pytest.raises(PeerUnavailable, match="the look-up of products"):
        Catalogue(cast(ServiceClient, Garbled())).find(["mug"])
