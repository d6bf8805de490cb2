"""Buyers without an account. The secret id of a guest's cart is all that they have, so no service stores or publishes
it but carts: the others know the guest by an id that follows from it, and from which nobody can find it.
"""

from __future__ import annotations

from mercato.ids import derived_id

_PREFIX = "guest:"


def guest_of(cart_id: str) -> str:
    """The customer id of the guest with this cart."""
    return _PREFIX + derived_id("guest", cart_id)


def is_guest(customer_id: str) -> bool:
    return customer_id.startswith(_PREFIX)
