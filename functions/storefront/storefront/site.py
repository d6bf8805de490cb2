"""The storefront's pages, by module; `handler` is what Lambda calls."""

from __future__ import annotations

from storefront import (
    account,
    cart,
    cart_back,
    catalogue,
    checkout,
    guest_order,
    guest_wish,
    notices,
    orders,
    session,
    unsubscribe,
)
from storefront.pages import pages

__all__ = [
    "account",
    "cart",
    "cart_back",
    "catalogue",
    "checkout",
    "guest_order",
    "guest_wish",
    "notices",
    "orders",
    "pages",
    "session",
    "unsubscribe",
]

handler = pages.handler
