"""Which browsers' front ends may read our answers: those of the configured origins, or of any (`*`).

No answer depends on a cookie, so an origin that is let in can do no more than its user's own token allows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from mercato import config

_REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Request-Id, traceparent, tracestate"
_EXPOSED = "Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
_MAX_AGE = "7200"  # seconds: the most that Chromium keeps a preflight


@dataclass(frozen=True)
class Settings:
    """Origins with commas between them; without one, no browser's front end is let in."""

    allowed_origins: str = ""


@functools.cache
def _allowed() -> frozenset[str]:
    return frozenset(config.load(Settings).allowed_origins.replace(",", " ").split())


def headers_for(origin: str | None) -> dict[str, str]:
    """For every answer. Where origins differ, so do answers: a cache must know."""
    allowed = _allowed()
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
    vary = {"Vary": "Origin"} if allowed else {}
    if origin is None or origin not in allowed:
        return vary
    return vary | {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED}


def preflight(methods: Iterable[str]) -> dict[str, str]:
    """What an OPTIONS request is told beside `headers_for`."""
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": _MAX_AGE,
    }
