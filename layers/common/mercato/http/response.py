"""HTTP output: views with a status, and every error as a problem document (RFC 9457)."""

import base64
import copy
import functools
import hashlib
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from mercato.dataclass import dataclass
from mercato.errors import (
    PROBLEM,
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

# The only place that maps errors to HTTP.
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


# Headers of every response. Most responses are private to their client, and none may be framed by other pages.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


_WORTH_COMPRESSING = 1024  # letters
_GZIP = 31  # zlib's value for gzip with the largest window


class View(BaseModel):
    """The body of a response."""

    model_config = ConfigDict(frozen=True, defer_build=True)


@dataclass(frozen=True)
class Response[T]:
    """A body with headers, and the status 200. The subclasses are the other successes: the contract reads a route's
    status, and whether it has a Location, from the function's return type.
    """

    body: T | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    success: ClassVar[int] = 200
    has_location: ClassVar[bool] = False


class Created[T](Response[T]):
    success, has_location = 201, True

    def __init__(self, body: T, location: str) -> None:
        super().__init__(body, self.success, {"Location": location})


class CreatedMany[T](Response[T]):
    """Several new entities, so there is no single Location."""

    success = 201

    def __init__(self, body: T) -> None:
        super().__init__(body, self.success)


class Accepted[T](Response[T]):
    """`location` shows the progress."""

    success, has_location = 202, True

    def __init__(self, body: T, location: str) -> None:
        super().__init__(body, self.success, {"Location": location})


class AcceptedForMail[T](Response[T]):
    """The outcome comes by e-mail, so there is no Location."""

    success = 202

    def __init__(self, body: T) -> None:
        super().__init__(body, self.success)


class NoContent(Response[None]):
    success = 204

    def __init__(self) -> None:
        super().__init__(None, self.success)


def replayed[R: Response[Any]](response: R) -> R:
    """The stored first response to an Idempotency-Key."""
    again = copy.copy(response)
    object.__setattr__(again, "headers", response.headers | {"Idempotent-Replayed": "true"})
    return again


def located[R: Response[Any]](response: R, location: str) -> R:
    """The response with this Location, for one that is stored without it."""
    found = copy.copy(response)
    object.__setattr__(found, "headers", response.headers | {"Location": location})
    return found


class Document(str):
    """A body that is sent unchanged. A subclass names its media type."""

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
    body = {"type": f"{PROBLEM}{slug}", "title": title, "status": status, "detail": detail}
    # A domain error must not overwrite the RFC's own fields.
    return Response(extra | body if extra.keys() & body.keys() else body | extra, status, headers)


def unexpected() -> Response[dict[str, Any]]:
    return Response(
        {
            "type": f"{PROBLEM}internal-error",
            "title": "Something broke on our side",
            "status": 500,
            "detail": "We have logged it. Please quote the request id when you ask about it.",
        },
        500,
        {"Content-Type": "application/problem+json"},
    )


def is_public(response: Response[Any]) -> bool:
    return response.headers.get("Cache-Control", "").startswith("public")


def negotiated(response: Response[Any], headers: Mapping[str, str]) -> Response[Any]:
    """A public response in an encoding that the client accepts, with its ETag; 304 if the client has it already.

    Each encoding has its own ETag, since its bytes differ (RFC 9110, 8.8.3.3). `headers` are the request's.
    """
    if response.status != 200:
        return response
    body, said = response.body, dict(response.headers)
    tag = hashlib.sha256(_text_of(body).encode()).hexdigest()[:32]
    if isinstance(body, Document) and len(body) >= _WORTH_COMPRESSING:
        said["Vary"] = "Accept-Encoding"
        # API Gateway decodes a base64 body only if the request has an Accept header.
        if headers.get("accept") and accepts_gzip(headers.get("accept-encoding", "")):
            said["Content-Encoding"] = "gzip"
            tag += "-gzip"
    said["ETag"] = f'"{tag}"'
    named = {one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")}
    if said["ETag"] in named or named == {"*"}:
        said.pop("Content-Encoding", None)
        return Response(None, 304, said)
    return Response(body, 200, said)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client accepts gzip and does not prefer the unencoded bytes (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for member in accept_encoding.lower().split(","):
        coding, _, parameter = member.partition(";")
        name, _, weight = parameter.partition("=")
        stated = re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", weight.strip()) if name.strip() == "q" else None
        weights[coding.strip()] = 1.0 if not parameter.strip() else float(stated[0]) if stated else 0.0
    gzip_weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip_weight > 0 and gzip_weight >= weights.get("identity", 0.0)


@functools.lru_cache(maxsize=4)
def _compressed(document: str) -> str:
    """The gzipped document in base64, as API Gateway expects bytes. Cached, since it is the same for every client."""
    return base64.b64encode(zlib.compress(document.encode(), level=9, wbits=_GZIP)).decode()


def _text_of(body: Any) -> str:
    if isinstance(body, BaseModel):
        return body.model_dump_json()
    return "" if body is None else body if isinstance(body, str) else json.dumps(body, default=to_jsonable_python)


def write_response(
    response: Response[Any], request_id: str, noted: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """`noted` are headers that the guard adds to every response."""
    body = response.body
    headers = {
        "Content-Type": body.media_type if isinstance(body, Document) else "application/json",
        "X-Request-Id": request_id,
        **_HEADERS,
        **noted,
    } | response.headers
    if vary := [one["Vary"] for one in (noted, response.headers) if "Vary" in one]:
        headers["Vary"] = ", ".join(vary)
    if response.status in (204, 304):
        del headers["Content-Type"]
    if isinstance(body, dict) and headers["Content-Type"] == "application/problem+json":
        body = body | {"request_id": request_id}
    is_compressed = headers.get("Content-Encoding") == "gzip"
    text = _compressed(body) if is_compressed else _text_of(body)
    return {"statusCode": response.status, "headers": headers, "body": text, "isBase64Encoded": is_compressed}
