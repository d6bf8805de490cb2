"""HTTP for Lambda: routes with typed parameters, one table of errors, both doors (REST proxy and function URL).

A route states who may call it, and the function's signature says what it takes:

    @app.post("/api/orders", role=CUSTOMER)
    def place_order(order: PlaceOrder, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]: ...

By annotation: a `Body` is the JSON body, a `Query` the query string, `Caller` who calls, `IdempotencyKey` the header,
`Request` everything; a name that stands in the path is that part of it.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import json
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_jsonable_python

from mercato import correlation, deadline
from mercato.auth import NOBODY, Caller, Role, caller_of
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
)
from mercato.logs import log

MAX_BODY = 256 * 1024
MAX_DEPTH = 32
MAX_ID = 200

PUBLIC, CUSTOMER, ADMIN, PEER = Role.PUBLIC, Role.CUSTOMER, Role.ADMIN, Role.PEER

# Errors meet HTTP here, and nowhere else.
_STATUS: dict[type[Exception], tuple[int, str]] = {
    Malformed: (400, "The request cannot be read"),
    Unauthenticated: (401, "Please log in"),
    Forbidden: (403, "Not allowed"),
    NotFound: (404, "Not found"),
    MethodNotAllowed: (405, "Method not allowed"),
    Conflict: (409, "Not possible now"),
    TooLarge: (413, "Too large"),
    Invalid: (422, "The request makes no sense"),
    TooManyRequests: (429, "Too many requests"),
    TransientError: (503, "Please try again"),
}


class Body(BaseModel):
    """The JSON body of a request: unknown fields are refused, and types are not guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Query(BaseModel):
    """The query string of a request. Unknown parameters are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class View(BaseModel):
    """What a response shows."""

    model_config = ConfigDict(frozen=True)


class InvalidIdempotencyKey(Malformed):
    """The Idempotency-Key header is missing or cannot be read."""


class InvalidRequest(Invalid):
    """A field is missing, unknown, or of the wrong type or size."""


class IdempotencyKey(str):
    """The Idempotency-Key header: 1 to 128 printable ASCII characters, as a quoted string (IETF draft) or bare."""

    @classmethod
    def read(cls, header: str | None) -> IdempotencyKey:
        if header is None:
            raise InvalidIdempotencyKey("This request needs an Idempotency-Key header, so that a retry is safe.")
        text = header.strip()
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if not re.fullmatch(r"[\x21\x23-\x7e]{1,128}", text):
            raise InvalidIdempotencyKey(
                "Idempotency-Key must be 1 to 128 printable ASCII characters without spaces or quotes."
            )
        return cls(text)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes
    caller: Caller = NOBODY
    source_ip: str = ""
    path_parameters: dict[str, str] = field(default_factory=dict)


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


def NoContent() -> Response[None]:
    return Response(None, 204)


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    roles: frozenset[Role]
    function: Callable[..., Any]
    parameters: dict[str, type]
    pattern: re.Pattern[str]


def _compile(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/]+)" for i, part in enumerate(parts)))


class App:
    """The routes of one service. `handler` is what Lambda calls; `health` is asked by GET /health."""

    def __init__(self, service: str, health: Callable[[], None] | None = None) -> None:
        self.service = service
        self.routes: list[Route] = []

        def report_health() -> Response[dict[str, str]]:
            if health is not None:
                health()
            return Response({"service": service, "status": "ok"})

        self.get("/health", role=(PEER, PUBLIC))(report_health)

    def route(
        self, method: str, path: str, role: Role | tuple[Role, ...]
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            hints = typing.get_type_hints(function)
            names = inspect.signature(function).parameters
            parameters = {name: hints[name] for name in names}
            roles = frozenset(role if isinstance(role, tuple) else (role,))
            self.routes.append(Route(method, path, roles, function, parameters, _compile(path)))
            return function

        return register

    def get(self, path: str, *, role: Role | tuple[Role, ...]) -> Callable[..., Any]:
        return self.route("GET", path, role)

    def post(self, path: str, *, role: Role | tuple[Role, ...]) -> Callable[..., Any]:
        return self.route("POST", path, role)

    def put(self, path: str, *, role: Role | tuple[Role, ...]) -> Callable[..., Any]:
        return self.route("PUT", path, role)

    def patch(self, path: str, *, role: Role | tuple[Role, ...]) -> Callable[..., Any]:
        return self.route("PATCH", path, role)

    def delete(self, path: str, *, role: Role | tuple[Role, ...]) -> Callable[..., Any]:
        return self.route("DELETE", path, role)

    def handler(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        work = correlation.accept(headers.get("x-request-id"), headers.get("traceparent"))
        with correlation.bound(work), deadline.of_invocation(context):
            try:
                response = self._respond(_read(event, headers))
            except (DomainError, TransientError) as error:
                response = _problem(error)
            except Exception:
                # The last line of defence: the caller gets a clean 500 and the request id, the log gets all.
                log.exception("request failed")
                response = _unexpected()
            return _write(response, work.correlation_id)

    def _respond(self, request: Request) -> Response[Any]:
        route, path_parameters = self._match(request)
        _authorize(route, request.caller)
        arguments = _bind(route, request, path_parameters)
        result = route.function(**arguments)
        log.info("request", extra={"method": request.method, "route": route.path, "user_id": request.caller.user_id})
        return result if isinstance(result, Response) else Response(result)

    def _match(self, request: Request) -> tuple[Route, dict[str, str]]:
        allowed: list[str] = []
        for route in self.routes:
            match = route.pattern.fullmatch(request.path)
            if match and route.method == request.method:
                found = {name: unquote(value) for name, value in match.groupdict().items()}
                if any(len(value) > MAX_ID for value in found.values()):
                    # No id of ours is so long, and DynamoDB would refuse it as a key.
                    raise NotFound("There is nothing with so long an id.")
                return route, found
            if match:
                allowed.append(route.method)
        if allowed:
            raise MethodNotAllowed(
                f"{request.path} allows {', '.join(sorted(set(allowed)))}.", allow=sorted(set(allowed))
            )
        raise NotFound(f"There is nothing at {request.method} {request.path}.")


def _read(event: dict[str, Any], headers: dict[str, str]) -> Request:
    context = event.get("requestContext") or {}
    if event.get("version") == "2.0":
        method, path = context["http"]["method"], event.get("rawPath") or "/"
        query = parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)
        source_ip = context["http"].get("sourceIp", "")
    else:
        method, path = event["httpMethod"], event["path"]
        multi = event.get("multiValueQueryStringParameters") or {
            name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
        }
        query = [(name, value) for name, values in multi.items() for value in values]
        source_ip = (context.get("identity") or {}).get("sourceIp", "")
    if len({name for name, _ in query}) != len(query):
        raise InvalidRequest("A query parameter may be given once.")
    text = event.get("body") or ""
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed("The body cannot be decoded.") from None
    if len(body) > MAX_BODY:
        raise TooLarge(f"The body is {len(body)} bytes; {MAX_BODY} is the most.", limit=MAX_BODY)
    path = path.rstrip("/") or "/"
    return Request(method, path, headers, dict(query), body, caller_of(event), source_ip)


def _authorize(route: Route, caller: Caller) -> None:
    if PUBLIC in route.roles or caller.role in route.roles:
        return
    if caller.role is ADMIN and CUSTOMER in route.roles:
        return
    if caller.role is PUBLIC:
        raise Unauthenticated("This needs an access token: Authorization: Bearer <token>.")
    raise Forbidden(f"This is not for the role {caller.role}.")


def _bind(route: Route, request: Request, path_parameters: dict[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    query_read = False
    for name, kind in route.parameters.items():
        if name in path_parameters:
            arguments[name] = path_parameters[name]
        elif kind is Caller:
            arguments[name] = request.caller
        elif kind is Request:
            arguments[name] = Request(**(vars(request) | {"path_parameters": path_parameters}))
            query_read = True
        elif kind is IdempotencyKey:
            arguments[name] = IdempotencyKey.read(request.headers.get("idempotency-key"))
        elif issubclass(kind, Query):
            arguments[name] = _read_query(kind, request.query)
            query_read = True
        elif issubclass(kind, BaseModel):
            arguments[name] = read_body(kind, request.body)
        else:
            raise TypeError(f"{route.method} {route.path}: parameter {name} has no source")
    if request.query and not query_read:
        raise InvalidRequest(f"Unknown query parameters: {', '.join(sorted(request.query))}.")
    return arguments


def _read_query(model: type[Query], query: dict[str, str]) -> Query:
    return _validate(lambda: model.model_validate(query), "query")


def read_body[M: BaseModel](model: type[M], body: bytes) -> M:
    """The JSON body as its model. For a route that must see the raw bytes first, such as a signed webhook."""
    _check_json(body)
    return _validate(lambda: model.model_validate_json(body), "body")


def _check_json(body: bytes) -> None:
    """Syntax is 400, sense is 422: pydantic would mix them. Depth is bounded before anything recurses."""
    if not body:
        raise Malformed("This request needs a JSON body.")
    depth, in_string, escaped = 0, False, False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Malformed(f"The JSON is nested more than {MAX_DEPTH} deep.")
        elif byte in b"]}":
            depth -= 1
    try:
        json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The body is not valid JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _validate[T](parse: Callable[[], T], where: str) -> T:
    try:
        return parse()
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)[:20]
        if errors[0]["type"] == "json_invalid":  # such as a lone surrogate, which json.loads lets through
            raise Malformed(f"The body is not valid JSON: {errors[0]['msg']}") from None
        problems = [
            {"field": ".".join(str(part) for part in found["loc"]) or where, "message": found["msg"]}
            for found in errors
        ]
        first = problems[0]
        raise InvalidRequest(f"{first['field']}: {first['message']}", errors=problems) from None


def _problem(error: DomainError | TransientError) -> Response[dict[str, Any]]:
    status, title = next((found for kind, found in _STATUS.items() if isinstance(error, kind)), (422, "Not possible"))
    headers = {"Content-Type": "application/problem+json"}
    extra: dict[str, Any] = {}
    if isinstance(error, DomainError):
        slug, detail, extra = error.slug(), error.detail, error.extra
        log.info("request refused", extra={"status": status, "problem": slug, "reason": detail})
    else:
        log.warning("transient failure", extra={"reason": str(error)})
        slug, detail = "temporarily-unavailable", "Something we depend on is busy. Nothing was lost; please try again."
        headers["Retry-After"] = "1"
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.extra["allow"])
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    body = {"type": f"urn:mercato:problem:{slug}", "title": title, "status": status, "detail": detail}
    # What the RFC names is not for a domain error to overwrite.
    return Response(extra | body if extra.keys() & body.keys() else body | extra, status, headers)


def _unexpected() -> Response[dict[str, Any]]:
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


def _write(response: Response[Any], request_id: str) -> dict[str, Any]:
    body = response.body
    headers = {
        "Content-Type": "application/json",
        "X-Request-Id": request_id,
        "Cache-Control": "no-store",
    } | response.headers
    if isinstance(body, dict) and headers["Content-Type"] == "application/problem+json":
        body = body | {"request_id": request_id}
    if isinstance(body, BaseModel):
        text = body.model_dump_json()
    else:
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body, default=to_jsonable_python)
    return {"statusCode": response.status, "headers": headers, "body": text, "isBase64Encoded": False}
