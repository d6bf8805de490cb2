"""The events that carts publishes."""

from __future__ import annotations

from typing import Any, ClassVar

from mercato.events import EventModel


class CartAbandoned(EventModel):
    """A cart with lines has not changed for `CartReminderDays`, or for a day where that is 0: a customer's, or that of
    a guest who wants to be reminded of it. A guest's cart has the guest's id. Published once until the cart changes.
    """

    TYPE: ClassVar[str] = "cart.abandoned"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "cart_id": "7d1f7d5e-3f6b-5a0e-8f6c-52d6a4b7c011",
        "customer_id": "0198d6a4-7c1e-7b52-9f10-3f6d1c2b4a58",
    }

    cart_id: str
    customer_id: str


PUBLISHES: tuple[type[EventModel], ...] = (CartAbandoned,)
