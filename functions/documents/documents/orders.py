"""The client of the orders service: what a document says of an order, asked when it is issued."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import field_validator

from documents import domain
from documents.domain import Ordered
from mercato.peers.client import ServiceClient, read_answer


class _Ordered(domain.Ordered):
    @field_validator("delivery", mode="before")
    @classmethod
    def _name_of(cls, given: object) -> object:
        return given.get("name") if isinstance(given, dict) else given


class Orders:
    def __init__(self, orders: ServiceClient) -> None:
        self._orders = orders

    def ask(self, order_id: str) -> Ordered:
        """Asks on behalf of nobody: a guest's order may belong to an account by now. The client may retry."""
        answer = self._orders.get(f"/api/orders/{quote(order_id, safe='')}")
        return read_answer(_Ordered, answer, "the look at an order")
