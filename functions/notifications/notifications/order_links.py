"""The secret links to guests' orders: those in the mails of this service, and the order that a link opens.

The token in a mail follows from the message that carries it, by HMAC with the secret of the links in mails. So each
attempt to send the message has the same link, and no table has it. Orders opens an order by the digests that it stores:
a link is given to orders before its mail is sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from mercato.aws.secret import StoredSecret
from mercato.clock import utc_now
from mercato.errors import NotFound, problem_slug
from mercato.events import Reads
from mercato.peers.client import PeerNotFound, PeerUnavailable, ServiceClient, read_answer, read_object


class NoLink(Exception):
    """The order does not wait for its buyer any more, or has links enough: there is no use for one more."""


class LinkNotFound(NotFound):
    """No order has this link, or its order belongs to an account by now."""


class _Linked(Reads):
    order_id: str


class OrderLinks:
    """`address_of` makes the address of a page of the storefront."""

    def __init__(self, orders: ServiceClient, secret: StoredSecret, address_of: Callable[[str], str]) -> None:
        self._orders = orders
        self._secret = secret
        self._address_of = address_of

    def open(self, token: str) -> str:
        """The id of the guest's order that the link opens. Raises LinkNotFound."""
        try:
            answer = self._orders.get(f"/api/orders/guests/{quote(token, safe='')}")
        except PeerNotFound as refused:
            raise LinkNotFound(str(refused)) from None
        return read_answer(_Linked, answer, "the look at a guest's order").order_id

    def give(self, order_id: str, message_id: str) -> str:
        """The address at which the reader of the message finds the order, which waits for its buyer. Idempotent.

        An order that an account has claimed is found in the account. Raises NoLink, and TransientError where orders
        has not taken the link.
        """
        token = _token(order_id, message_id, self._secret.read(utc_now()))
        digest = hashlib.sha256(token.encode()).hexdigest()
        answer = self._orders.send("PUT", f"/api/orders/{order_id}/links/{digest}", safe=True)
        if answer.status == HTTPStatus.NO_CONTENT:
            return self._address_of(f"/guest-order#token={token}")
        match problem_slug(read_object(answer, "the link to an order")):
            case "link-not-found":
                return self._address_of(f"/orders/{order_id}")
            case "nothing-awaited" | "too-many-links":
                raise NoLink
        raise PeerUnavailable(f"orders took no link: {answer.status}")


def _token(order_id: str, message_id: str, secret: str) -> str:
    digest = hmac.digest(secret.encode(), f"order|{order_id}|{message_id}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
