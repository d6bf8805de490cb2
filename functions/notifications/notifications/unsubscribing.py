"""The links of one-click unsubscription (RFC 8058), and what they do.

A link names a reader and a kind of mail, and is signed by this service (HMAC with SHA-256). It does not expire, since
all that it can do is to end these mails.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from mercato.aws.secret import StoredSecret
from mercato.clock import utc_now
from mercato.errors import NotFound
from notifications.domain import SWITCHABLE, Kind, ReaderGone
from notifications.store import NotificationStore


class UnknownLink(NotFound):
    """The link was not made by this shop, or is not whole."""

    def __init__(self) -> None:
        super().__init__("This link is not whole. Please use the one in the mail, or your account's page of notices.")


@dataclass(frozen=True)
class Unsubscription:
    user_id: str
    kind: Kind


class Links:
    """`page` is the address of the storefront's page, to which a token is added."""

    def __init__(self, secret: StoredSecret, page: str) -> None:
        self._secret = secret
        self._page = page

    def make(self, wish: Unsubscription) -> str:
        return f"{self._page}{sign(wish, self._secret.read(utc_now()))}"

    def read(self, token: str) -> Unsubscription:
        """Reads the secret once more before a refusal, since it may have been rotated. Raises UnknownLink."""
        wish = verify(token, self._secret.read(utc_now()))
        if wish is None:
            self._secret.forget()
            wish = verify(token, self._secret.read(utc_now()))
        if wish is None:
            raise UnknownLink
        return wish


def sign(wish: Unsubscription, secret: str) -> str:
    payload = f"{wish.user_id}|{wish.kind}".encode()
    return f"{_encoded(payload)}.{_encoded(_digest(payload, secret))}"


def verify(token: str, secret: str) -> Unsubscription | None:
    """Returns None for a token that this secret has not signed."""
    payload, _, digest = token.partition(".")
    try:
        named, given = _decoded(payload), _decoded(digest)
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(given, _digest(named, secret)):
        return None
    user_id, _, kind = named.decode().rpartition("|")
    return Unsubscription(user_id, Kind(kind)) if kind in SWITCHABLE else None


def unsubscribe(token: str, links: Links, store: NotificationStore) -> Kind:
    """Idempotent. A closed account gets no mails anyway."""
    wish = links.read(token)
    try:
        store.switch_off(wish.user_id, wish.kind)
    except ReaderGone:
        return wish.kind
    return wish.kind


def _digest(payload: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), payload, hashlib.sha256)


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
