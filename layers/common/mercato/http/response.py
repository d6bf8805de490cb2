"""What goes out over HTTP: views with a status, and every error as a problem document (RFC 9457)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from mercato.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooManyRequests,
    TransientError,
    Unauthenticated,
    UnsupportedMediaType,
)
from mercato.http.request import HeadersTooLarge
from mercato.telemetry.logs import log

# Errors meet HTTP here, and nowhere else.
_STATUS: dict[type[Exception], tuple[int, str]] = {
    Malformed: (400, "The request cannot be read"),
    Unauthenticated: (401, "Please log in"),
    Forbidden: (403, "Not allowed"),
    NotFound: (404, "Not found"),
    MethodNotAllowed: (405, "Method not allowed"),
    Conflict: (409, "Not possible now"),
    TooLarge: (413, "Too large"),
    UnsupportedMediaType: (415, "The body is in a form that is not taken"),
    Invalid: (422, "The request makes no sense"),
    TooManyRequests: (429, "Too many requests"),
    HeadersTooLarge: (431, "Too large"),
    TransientError: (503, "Please try again"),
}


# On every answer. Most of them are for whoever asked, and none of them is a page that others may frame.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


class View(BaseModel):
    """What a response shows."""

    model_config = ConfigDict(frozen=True, defer_build=True)


@dataclass(frozen=True)
class Response[T]:
    """A body with a status and headers. A route that returns a bare View means 200."""

    body: T | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def Created[T](body: T, location: str) -> Response[T]:
    return Response(body, 201, {"Location": location})


def Accepted[T](body: T, location: str) -> Response[T]:
    return Response(body, 202, {"Location": location})


def replayed[T](response: Response[T]) -> Response[T]:
    """The first answer to an Idempotency-Key, again."""
    return Response(response.body, response.status, response.headers | {"Idempotent-Replayed": "true"})


def NoContent() -> Response[None]:
    return Response(None, 204)


class Document(str):
    """A body that goes out as it is. A subclass says as what."""

    media_type = "text/plain; charset=utf-8"


def status_of(kind: type[Exception]) -> tuple[int, str]:
    """The status and the title of this kind of error."""
    return next((found for parent, found in _STATUS.items() if issubclass(kind, parent)), (422, "Not possible"))


def problem_of(error: DomainError | TransientError) -> Response[dict[str, Any]]:
    status, title = status_of(type(error))
    headers = {"Content-Type": "application/problem+json"}
    extra: dict[str, Any] = {}
    if isinstance(error, DomainError):
        slug, detail, extra = error.slug(), error.detail, error.extra
        log.info("request refused", extra={"status": status, "problem": slug, "reason": error.log_detail or detail})
    else:
        log.warning("transient failure", extra={"reason": str(error)})
        slug, detail = "temporarily-unavailable", "Something we depend on is busy. Nothing was lost; please try again."
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 0)))
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.extra["allow"])
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests) and "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    body = {"type": f"urn:mercato:problem:{slug}", "title": title, "status": status, "detail": detail}
    # What the RFC names is not for a domain error to overwrite.
    return Response(extra | body if extra.keys() & body.keys() else body | extra, status, headers)


def unexpected() -> Response[dict[str, Any]]:
    return Response(
        {
            "type": "urn:mercato:problem:internal-error",
            "title": "Something broke on our side",
            "status": 500,
            "detail": "We have logged it. Please quote the request id when you ask about it.",
        },
        500,
        {"Content-Type": "application/problem+json"},
    )


def is_public(response: Response[Any]) -> bool:
    return response.headers.get("Cache-Control", "").startswith("public")


def revalidated(response: Response[Any], if_none_match: str | None) -> Response[Any]:
    """A public answer with its ETag; 304 without a body where the client has it already (RFC 9110, 13.1.2)."""
    if response.status != 200:
        return response
    text = _text_of(response.body)
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = response.headers | {"ETag": tag}
    named = {one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")}
    if tag in named or named == {"*"}:
        return Response(None, 304, headers)
    return Response(response.body, 200, headers)


def _text_of(body: Any) -> str:
    if isinstance(body, BaseModel):
        return body.model_dump_json()
    return "" if body is None else body if isinstance(body, str) else json.dumps(body, default=to_jsonable_python)


def write_response(
    response: Response[Any], request_id: str, noted: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """`noted` are headers that the guard adds to every answer."""
    body = response.body
    headers = {
        "Content-Type": body.media_type if isinstance(body, Document) else "application/json",
        "X-Request-Id": request_id,
        **_HEADERS,
        **noted,
    } | response.headers
    if response.status in (204, 304):
        del headers["Content-Type"]
    if isinstance(body, dict) and headers["Content-Type"] == "application/problem+json":
        body = body | {"request_id": request_id}
    return {"statusCode": response.status, "headers": headers, "body": _text_of(body), "isBase64Encoded": False}
