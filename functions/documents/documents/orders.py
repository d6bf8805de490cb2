"""The client of the orders service: what a document says of an order, asked when it is issued, and whose link it is."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import field_validator

from documents import domain
from documents.domain import LinkNotFound, Ordered
from mercato.events import Reads
from mercato.peers.client import PeerNotFound, ServiceClient, read_answer


class _Ordered(domain.Ordered):
    @field_validator("delivery", mode="before")
    @classmethod
    def _name_of(cls, given: object) -> object:
        return given.get("name") if isinstance(given, dict) else given


class _Linked(Reads):
    order_id: str


class Orders:
    def __init__(self, orders: ServiceClient) -> None:
        self._orders = orders

    def ask(self, order_id: str) -> Ordered:
        """Asks on behalf of nobody: a guest's order may belong to an account by now. The client may retry."""
        answer = self._orders.get(f"/api/orders/{quote(order_id, safe='')}")
        return read_answer(_Ordered, answer, "the look at an order")

    def open_link(self, token: str) -> str:
        """The id of the order that a guest's link opens. Raises LinkNotFound."""
        try:
            answer = self._orders.get(f"/api/orders/guests/{quote(token, safe='')}")
        except PeerNotFound:
            raise LinkNotFound(
                "This link opens no order. If you have an account by now, your orders are there."
            ) from None
        return read_answer(_Linked, answer, "the look at a guest's order").order_id
