"""The signed links of mails: those of one-click unsubscription (RFC 8058), those that confirm a guest's wish, and those
that lead back to what a guest has left in a cart.

A link names a reader and what it does, and is signed by this service (HMAC with SHA-256). One that ends mails does not
expire, since that is all that it can do. The others do nothing once the wish or the reminder has expired.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from contextlib import suppress

from mercato.aws.secret import StoredSecret
from mercato.clock import utc_now
from mercato.dataclass import dataclass
from mercato.errors import NotFound
from notifications.domain import SWITCHABLE, Kind, ReaderGone
from notifications.store import NotificationStore

_CONFIRMS, _LEADS_BACK = "confirm", "back"  # are no kinds of mail


class UnknownLink(NotFound):
    """The link was not made by this shop, or is not whole."""

    def __init__(self) -> None:
        super().__init__("This link is not whole. Please use the one in the mail, or your account's page of notices.")


@dataclass(frozen=True)
class Unsubscription:
    user_id: str
    kind: Kind


class _Signed:
    """`page` is the address of the storefront's page, to which a token is added."""

    def __init__(self, secret: StoredSecret, page: str) -> None:
        self._secret = secret
        self._page = page

    def _link(self, reader: str, does: str) -> str:
        return f"{self._page}{_sign(reader, does, self._secret.read(utc_now()))}"

    def _verified(self, token: str) -> tuple[str, str]:
        """The reader, and what the link does. Reads the secret once more before a refusal, since it may have been
        rotated. Raises UnknownLink.
        """
        found = _verify(token, self._secret.read(utc_now()))
        if found is None:
            self._secret.forget()
            found = _verify(token, self._secret.read(utc_now()))
        if found is None:
            raise UnknownLink
        return found


class Links(_Signed):
    def make(self, wish: Unsubscription) -> str:
        return self._link(wish.user_id, wish.kind)

    def read(self, token: str) -> Unsubscription:
        """Raises UnknownLink."""
        user_id, kind = self._verified(token)
        if kind not in SWITCHABLE:
            raise UnknownLink
        return Unsubscription(user_id, Kind(kind))


class Confirmations(_Signed):
    does = _CONFIRMS

    def make(self, reader: str) -> str:
        return self._link(reader, self.does)

    def read(self, token: str) -> str:
        """The reader. Raises UnknownLink."""
        reader, does = self._verified(token)
        if does != self.does:
            raise UnknownLink
        return reader


class WaysBack(Confirmations):
    """The links of the mails about guests' carts, which lead back to what was in them."""

    does = _LEADS_BACK


def _sign(reader: str, does: str, secret: str) -> str:
    payload = f"{reader}|{does}".encode()
    return f"{_encoded(payload)}.{_encoded(_digest(payload, secret))}"


def _verify(token: str, secret: str) -> tuple[str, str] | None:
    """Returns None for a token that this secret has not signed."""
    payload, _, digest = token.partition(".")
    try:
        named, given = _decoded(payload), _decoded(digest)
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(given, _digest(named, secret)):
        return None
    reader, _, does = named.decode().rpartition("|")
    return reader, does


def unsubscribe(wish: Unsubscription, store: NotificationStore) -> None:
    """Idempotent. A closed account gets no mails anyway."""
    with suppress(ReaderGone):
        store.switch_off(wish.user_id, wish.kind)


def _digest(payload: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), payload, hashlib.sha256)


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
