"""What every page's request passes, and what every answer says to the browser.

A cookie goes with any request to our host, whoever's page sends it. A request that may change something is therefore
taken only from a page of the same origin, as the browser states it (Sec-Fetch-Site; Origin in older browsers). Lax
cookies alone do not help: another port of the same host is the same site.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from mercato.clock import utc_now
from mercato.errors import Forbidden, TransientError
from mercato.telemetry.logs import log

_SAFE = frozenset({"GET", "HEAD"})
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


class CrossSite(Forbidden):
    """A form was sent by a page of another origin."""


def require_same_origin(method: str, headers: Mapping[str, str], origin: str) -> None:
    """`origin` is ours, such as https://shop.example. Raises CrossSite."""
    if method in _SAFE:
        return
    site = headers.get("sec-fetch-site")
    if site == "same-origin" or (site is None and headers.get("origin") == origin.rstrip("/")):
        return
    raise CrossSite("This form was sent from another site, so nothing was done.")


def policy(*more: tuple[str, str]) -> str:
    """The Content-Security-Policy. `more` adds sources to a directive, for a page that needs them."""
    directives = dict(_POLICY)
    for directive, source in more:
        directives[directive] = f"{directives.get(directive, '')} {source}".strip()
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


def headers() -> dict[str, str]:
    """Of every page. Nothing of it is kept by a cache: most pages show what is the visitor's own."""
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy(),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Referrer-Policy": "same-origin",
        "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
    }


class Visitors:
    """Whose request it is: the network address that limits count by.

    API Gateway states the address of its client. Behind CloudFront that is an edge's; CloudFront states the visitor's
    in a header, and proves with a key that it is CloudFront. `key_id` names the secret that holds the key, and is empty
    where no edge is in front: then no header has a say.
    """

    def __init__(self, key_id: str) -> None:
        self._key = None
        if key_id:
            from mercato.aws.secret import StoredSecret  # without an edge no page imports it

            self._key = StoredSecret(key_id, "the edge's key")

    def address(self, event: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """Of the edge, where its key cannot be read: a limit is then shared by its visitors, and the page comes."""
        stated, shown = headers.get("x-viewer-address", ""), headers.get("x-edge-key", "")
        client: str = event["requestContext"]["http"].get("sourceIp", "")
        if self._key is None or not stated or not shown:
            return client
        try:
            key = self._key.read(utc_now())
        except TransientError:
            log.exception("visitors are counted by the address of their edge")
            return client
        return stated if hmac.compare_digest(shown.encode(), key.encode()) else client
