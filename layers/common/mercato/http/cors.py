"""Allows front ends in browsers to read responses: those of the configured origins, or of any (`*`).

No response depends on a cookie, so an allowed origin can do no more than its user's token allows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from mercato import config
from mercato.dataclass import dataclass

_REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Request-Id, traceparent, tracestate"
_EXPOSED = "Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
_MAX_AGE = "7200"  # seconds: the longest that Chromium caches a preflight


@dataclass(frozen=True)
class Settings:
    """Origins, separated by commas. Without one, no front end in a browser may read responses."""

    allowed_origins: str = ""


@functools.cache
def _allowed() -> frozenset[str]:
    return frozenset(config.load(Settings).allowed_origins.replace(",", " ").split())


def headers_for(origin: str | None) -> dict[str, str]:
    """For every response. If origins are configured, `Vary` tells caches that responses differ by origin."""
    allowed = _allowed()
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
    vary = {"Vary": "Origin"} if allowed else {}
    if origin is None or origin not in allowed:
        return vary
    return vary | {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED}


def preflight(methods: Iterable[str]) -> dict[str, str]:
    """The headers of a preflight's response, besides `headers_for`."""
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": _MAX_AGE,
    }
