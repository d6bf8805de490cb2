"""The secret link of a guest's order. Who has it can read, cancel and return the order; number and e-mail open nothing.

A link's token has 256 bits, and only its digest is stored. The token in the answer to the order follows from the secret
id of the guest's cart, which the guest alone has: so the answer to the same request is the same, and needs no storage.
The token in the first mail is random. Other mails bring links of their own, whose digests a peer gives.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from mercato.errors import Conflict, Invalid, NotFound

MOST_GIVEN = 50  # links of one order that peers give: more than a buyer can be asked for, and the end of a defect
_DIGEST = re.compile(r"[0-9a-f]{64}")


class LinkNotFound(NotFound):
    """No order has this link, or its order belongs to an account by now."""


class InvalidDigest(Invalid):
    """It is not the SHA-256 digest of a token, in hexadecimal."""

    def __init__(self) -> None:
        super().__init__("A link is given by the SHA-256 digest of its token: 64 hexadecimal digits in lower case.")


class TooManyLinks(Conflict):
    """The order has as many links as one order may have."""

    def __init__(self) -> None:
        super().__init__(f"This order has {MOST_GIVEN} links already.", limit=MOST_GIVEN)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_of(cart_id: str, order_id: str) -> str:
    digest = hmac.digest(cart_id.encode(), order_id.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def digest_of(token: str) -> str:
    """What is stored of a token. A token of 256 bits needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_digest(text: str) -> str:
    """Raises InvalidDigest."""
    if not _DIGEST.fullmatch(text):
        raise InvalidDigest
    return text


def address_digest(email: str) -> str:
    """What the orders of an address are found by. `email` is in its canonical form."""
    return hashlib.sha256(email.encode()).hexdigest()
