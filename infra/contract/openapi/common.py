"""The parts that all operations of the document share: introduction, headers, problems and authentication."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mercato import webhooks
from mercato.errors import PROBLEM, DomainError, TransientError
from mercato.http.rate_limit import Limit
from mercato.http.response import status_of

_REQUEST_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"

_ABOUT = """\
A commerce back end: many services behind one address.

**Authentication.** `POST /api/users/login` returns an access token that is valid for 15 minutes. Send it as
`Authorization: Bearer …`. `x-roles` names the roles that an operation serves. Another user's object answers 404.

**Retries.** A write that takes an `Idempotency-Key` can be sent again with the same key and body. It takes effect once,
if it is sent again within a day: after that, some operations no longer know the key. A refusal is not kept, unless the
operation says so: the same request is decided again. A key belongs to its caller and operation.

**Lists** have pages. Send the `next_cursor` of a page as the `cursor` of the next request. It is null on the last page.

**Money** is an integer of minor units (pence, cents) and an ISO 4217 code. Times are RFC 3339, in UTC.

**Errors** are RFC 9457 problem documents. `type` is stable, so that a client can switch on it. `detail` is for people.
Quote the `request_id` when you ask about an error. New types may be added: handle an unknown type by its status.
Any operation may also answer 403 where a firewall is in front of the API, and 504 where it took too long: a write may
then have been done. Look, or send it again with the same `Idempotency-Key`.

**Tracing.** Every response has an `X-Request-Id`. It is the one of the request, if that has 8 to 64 letters, digits,
`.`, `_` or `-`; otherwise a new one. `traceparent` follows W3C Trace Context.

**Browsers.** Pages of the configured origins may call every operation (CORS). Every path answers OPTIONS, and every
path with a public GET answers HEAD.
"""


def info(version: str) -> dict[str, Any]:
    return {
        "title": "Mercato",
        "version": version,
        "summary": "The shop's API, for its clients.",
        "description": _ABOUT,
    }


def schemas() -> dict[str, Any]:
    return {
        "Problem": {
            "description": "An error as in RFC 9457. A problem may have further fields.",
            "type": "object",
            "required": ["type", "title", "status", "detail", "request_id"],
            "properties": {
                "type": {"type": "string", "pattern": f"^{PROBLEM}[a-z0-9-]+$"},
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {"type": "string", "description": "What is wrong with this request, and what to do."},
                "request_id": {"type": "string"},
                "errors": {
                    "type": "array",
                    "description": "The wrong fields. Absent if the problem is of the whole request.",
                    "items": {
                        "type": "object",
                        "required": ["field", "message"],
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                    },
                },
            },
        }
    }


def components() -> dict[str, Any]:
    return {
        "securitySchemes": {
            "accessToken": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The `access_token` of POST /api/users/login. `x-roles` names an operation's roles.",
            }
        },
        "parameters": {
            "IdempotencyKey": {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Make a new key for each command. Send the same key when you retry it.",
                "schema": {"type": "string", "pattern": '^("[!#-~]{1,128}"|[!#-~]{1,128})$'},
                "example": "6f1c2a90-4f0e-4c8e-9a57-2f3e0b1d7c55",
            },
            "WebhookTimestamp": {
                "name": "X-Webhook-Timestamp",
                "in": "header",
                "required": True,
                "description": f"Epoch seconds; no older than {int(webhooks.MAX_AGE.total_seconds())} s.",
                "schema": {"type": "string", "pattern": "^[0-9]{1,12}$"},
                "example": "1795348800",
            },
            "WebhookSignature": {
                "name": "X-Webhook-Signature",
                "in": "header",
                "required": True,
                "description": "HMAC-SHA256 over the timestamp, a dot and the raw body, in hex.",
                "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "example": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            },
        },
        "headers": {
            "RequestId": {
                "description": "The request's id: the one of the request, or a new one.",
                "required": True,
                "schema": {"type": "string"},
                "example": _REQUEST_ID,
            },
            "Location": {
                "description": "The path of what was created.",
                "required": True,
                "schema": {"type": "string"},
            },
            "RateLimit": {
                "description": "The limit, the requests that remain, and the seconds until it is reset.",
                "schema": {"type": "string"},
                "example": '"default";r=99;t=840',
            },
            "RateLimitPolicy": {
                "description": "The requests that the limit allows (`q`) in its window of seconds (`w`).",
                "schema": {"type": "string"},
                "example": '"default";q=100;w=900',
            },
            "RetryAfter": {
                "description": "Seconds to wait before the next request.",
                "schema": {"type": "string", "pattern": "^[0-9]+$"},
            },
        },
        "responses": {
            "InternalError": _problem_response(
                "An unexpected error. It is logged with the request's id.", 500, "internal-error", {}
            ),
            "Unavailable": _problem_response(
                "A part that the service needs is busy or unavailable. Nothing is half done. Retry the request.",
                status_of(TransientError)[0],
                "temporarily-unavailable",
                {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
            ),
        },
    }


def headers(limit: Limit | None) -> dict[str, Any]:
    found: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if limit is not None:
        found["RateLimit"] = {"$ref": "#/components/headers/RateLimit"}
        found["RateLimit-Policy"] = {"$ref": "#/components/headers/RateLimitPolicy"}
    return found


def refusal_name(status: int, kinds: Iterable[type[DomainError]]) -> str:
    return ".".join([str(status), *sorted({kind.slug() for kind in kinds})])


def refusal(status: int, kinds: Iterable[type[DomainError]]) -> dict[str, Any]:
    """Returns the response for one error status, with the name and meaning of each problem type."""
    by_slug = {kind.slug(): kind for kind in sorted(kinds, key=lambda kind: kind.slug())}
    said: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status == 429:
        said["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
        said["RateLimit"] = {"$ref": "#/components/headers/RateLimit"}
        said["RateLimit-Policy"] = {"$ref": "#/components/headers/RateLimitPolicy"}
    types = [_urn(slug) for slug in by_slug]
    return {
        "description": " ".join(f"`{slug}`: {_meaning(kind)}" for slug, kind in by_slug.items()),
        "headers": said,
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"type": {"enum": types}, "status": {"const": status}}},
                    ]
                },
                "examples": {
                    slug: {"value": _problem(status, slug, status_of(kind)[1], _meaning(kind))}
                    for slug, kind in by_slug.items()
                },
            }
        },
    }


def failures() -> dict[str, Any]:
    return {
        "500": {"$ref": "#/components/responses/InternalError"},
        "503": {"$ref": "#/components/responses/Unavailable"},
    }


def _problem_response(description: str, status: int, slug: str, more: dict[str, Any]) -> dict[str, Any]:
    example = _problem(
        status, slug, "Something broke on our side" if status == 500 else "Please try again", description
    )
    return {
        "description": description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}} | more,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }


def _problem(status: int, slug: str, title: str, detail: str) -> dict[str, Any]:
    return {"type": _urn(slug), "title": title, "status": status, "detail": detail, "request_id": _REQUEST_ID}


def _urn(slug: str) -> str:
    return PROBLEM + slug


def _meaning(kind: type[DomainError]) -> str:
    return " ".join((kind.__doc__ or "").split())
