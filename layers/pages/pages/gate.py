"""What every page's request passes, and what every answer says to the browser.

A cookie goes with any request to our host, whoever's page sends it. A request that may change something is therefore
taken only from a page of the same origin, as the browser states it (Sec-Fetch-Site; Origin in older browsers). Lax
cookies alone do not help: another port of the same host is the same site.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercato.errors import Forbidden

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
    if site == "same-origin" or (site is None and headers.get("origin") == origin):
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


def source_address(event: Mapping[str, Any]) -> str:
    """The visitor's address as API Gateway saw it. No header has a say."""
    address: str = event["requestContext"]["http"].get("sourceIp", "")
    return address
