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

    def ask(self, order_id: str, customer_id: str) -> Ordered:
        """Changes nothing there, so the client may retry."""
        answer = self._orders.get(f"/api/orders/{quote(order_id, safe='')}", user_id=customer_id)
        return read_answer(_Ordered, answer, "the look at an order")
