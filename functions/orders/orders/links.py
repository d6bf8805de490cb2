"""The secret link of a guest's order. Who has it can read, cancel and return the order; number and e-mail open nothing.

A link's token has 256 bits, and only its digest is stored. The token in the answer to the order follows from the secret
id of the guest's cart, which the guest alone has: so the answer to the same request is the same, and needs no storage.
Each mailed token is random.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from mercato.errors import NotFound


class LinkNotFound(NotFound):
    """No order has this link, or its order belongs to an account by now."""


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_of(cart_id: str, order_id: str) -> str:
    digest = hmac.digest(cart_id.encode(), order_id.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def digest_of(token: str) -> str:
    """What is stored of a token. A token of 256 bits needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def address_digest(email: str) -> str:
    """What the orders of an address are found by. `email` is in its canonical form."""
    return hashlib.sha256(email.encode()).hexdigest()
