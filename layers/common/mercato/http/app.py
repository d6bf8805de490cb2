"""HTTP for Lambda: routes with typed parameters and one table of errors, for REST proxy and function URL events.

A route states its callers, and the function's signature states its input:

    @app.post("/api/orders", role=CUSTOMER)
    def place_order(order: PlaceOrder, caller: Caller, key: IdempotencyKey) -> Accepted[OrderView]: ...

By annotation: a `Body` is the JSON body, a `SignedBody[Model]` or `Webhook[Model]` a signed one, a `RawBody` one that
is not JSON, a `Query` the query string, `Caller` the caller, `IdempotencyKey` the header, `SourceAddress` the address
that the request comes from, `Request` everything. A parameter named in the path is that part of it. Every route counts
against the client's default limit, unless it states another: `limit=Limit("log-in", one_in=5)`.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NotRequired, TypedDict, Unpack
from urllib.parse import unquote

from pydantic import BaseModel

from mercato.dataclass import dataclass
from mercato.errors import DomainError, Forbidden, MethodNotAllowed, NotFound, TransientError, Unauthenticated
from mercato.http import admission, cors
from mercato.http.auth import Caller, Role
from mercato.http.guard import Guard, GuardState, configured
from mercato.http.rate_limit import DEFAULT, UNLIMITED, Limit
from mercato.http.request import (
    IdempotencyKey,
    InvalidRequest,
    Query,
    RawBody,
    Request,
    SignedBody,
    SourceAddress,
    base_of,
    headers_of,
    read_body,
    read_query,
    read_request,
)
from mercato.http.response import (
    Response,
    is_public,
    negotiated,
    problem_of,
    unexpected,
    write_response,
)
from mercato.invocation import deadline
from mercato.store.dynamo import InvalidCursor
from mercato.telemetry import correlation, failures
from mercato.telemetry.logs import log
from mercato.telemetry.paths import digest_of

MAX_ID = 200
_VERSION = "x-mesh-version"  # of the peers, where the mesh has several

PUBLIC, CUSTOMER, ADMIN, PEER = Role.PUBLIC, Role.CUSTOMER, Role.ADMIN, Role.PEER


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    roles: frozenset[Role]
    function: Callable[..., Any]
    parameters: dict[str, type]
    pattern: re.Pattern[str]
    limit: Limit | None = DEFAULT
    capability: str | None = None

    def named(self, path_parameters: Mapping[str, str]) -> dict[str, str]:
        """The path parameters for logs and audit entries, with a digest in place of the capability."""
        return {name: digest_of(value) if name == self.capability else value for name, value in path_parameters.items()}

    def path_for_logs(self, path_parameters: Mapping[str, str]) -> str:
        named = self.named(path_parameters)
        return re.sub(r"\{(\w+)\}", lambda found: named[found[1]], self.path)


class Rules(TypedDict):
    """A route's rules: its callers, its limit, and the path parameter that grants access by itself.

    A caller who knows the `capability` needs no token, so no log, audit entry or metric contains it.
    """

    role: Role | tuple[Role, ...]
    limit: NotRequired[Limit | None]
    capability: NotRequired[str | None]


def _compile(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/]+)" for i, part in enumerate(parts)))


def is_id(text: str) -> bool:
    """Whether an id may look so. DynamoDB would refuse a longer one as a key. A dot segment in the path of a call to a
    peer takes the part before it away (RFC 3986, 5.2.4), so that the call would reach another route.
    """
    return len(text) <= MAX_ID and text.isprintable() and text not in (".", "..")


class App:
    """The routes of one service. `handler` is the Lambda handler. `health` answers GET /health: for each dependency of
    the service `ok` or its problem. `guarding` returns the guard that limits and audits requests.
    """

    def __init__(
        self,
        service: str,
        health: Callable[[], Mapping[str, str]] = dict,
        guarding: Callable[[], Guard] = configured,
    ) -> None:
        self.service = service
        self.guarding = guarding
        self.routes: list[Route] = []

        def report_health() -> Response[dict[str, Any]]:
            checks = health()
            is_well = all(said == "ok" for said in checks.values())
            report = {"service": service, "status": "ok" if is_well else "failing", "checks": dict(checks)}
            return Response(report, 200 if is_well else 503)

        self.get("/health", role=(PEER, PUBLIC), limit=UNLIMITED)(report_health)

    def route(
        self,
        method: str,
        path: str,
        role: Role | tuple[Role, ...],
        limit: Limit | None = DEFAULT,
        capability: str | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            hints = typing.get_type_hints(function)
            names = inspect.signature(function).parameters
            parameters = {name: hints[name] for name in names}
            roles = frozenset(role if isinstance(role, tuple) else (role,))
            self.routes.append(Route(method, path, roles, function, parameters, _compile(path), limit, capability))
            return function

        return register

    def get(self, path: str, **rules: Unpack[Rules]) -> Callable[..., Any]:
        return self.route("GET", path, **rules)

    def post(self, path: str, **rules: Unpack[Rules]) -> Callable[..., Any]:
        return self.route("POST", path, **rules)

    def put(self, path: str, **rules: Unpack[Rules]) -> Callable[..., Any]:
        return self.route("PUT", path, **rules)

    def patch(self, path: str, **rules: Unpack[Rules]) -> Callable[..., Any]:
        return self.route("PATCH", path, **rules)

    def delete(self, path: str, **rules: Unpack[Rules]) -> Callable[..., Any]:
        return self.route("DELETE", path, **rules)

    def handler(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        headers = headers_of(event)
        work = correlation.accept(
            headers.get("x-request-id"), headers.get("traceparent"), tracestate=headers.get("tracestate")
        )
        with correlation.bound(work), deadline.of_invocation(context):
            state, about = GuardState(), dict[str, Any]()
            try:
                request = read_request(event, headers)
                about = {"method": request.method, "path": _start_of(request.path), "user_id": request.caller.user_id}
                if request.caller.peer:
                    about["peer"] = request.caller.peer
                    admission.require_listed(self.service, request.caller.peer, request.method, request.path)
                response = self._respond(request, state, about)
            except (DomainError, TransientError) as error:
                response = problem_of(error)
            except Exception:
                # The last resort: the caller gets a 500 with the request id, and the log the exception.
                log.exception("request failed")
                response = unexpected()
            log.info("request", extra=about | {"status": response.status})
            if response.status >= 500:
                failures.count()
            self.guarding().close(state, response.status)
            noted = cors.headers_for(headers.get("origin"))
            if is_public(response):  # caches share it with other clients, so it must not have one client's limits
                response = negotiated(response, headers)
            else:
                noted |= state.headers
            if location := response.headers.get("Location"):  # of this API, as a path
                whole = {"Location": base_of(event) + location}
                response = Response(response.body, response.status, response.headers | whole)
            answer = write_response(response, work.correlation_id, noted)
            return answer | {"body": "", "isBase64Encoded": False} if about.get("method") == "HEAD" else answer

    def _respond(self, request: Request, state: GuardState, about: dict[str, Any]) -> Response[Any]:
        """Adds the path as it may be logged to `about`."""
        if request.method == "OPTIONS":
            return self._say_what_is_allowed(request.path)
        guard = self.guarding()
        try:
            route, path_parameters = self._match(request)
        except (NotFound, MethodNotAllowed):
            guard.count(state, request, DEFAULT)
            raise
        about["path"] = route.path_for_logs(path_parameters)
        guard.count(state, request, route.limit)
        _authorize(route, request.caller)
        if request.method == "HEAD" and PUBLIC not in route.roles:
            allowed = self._allowed_at(request.path)
            raise _without_path(MethodNotAllowed(f"{request.path} allows {', '.join(allowed)}.", allow=allowed))
        guard.record(state, request.caller, self.service, route.method, route.path, route.named(path_parameters))
        arguments = _bind(route, request, path_parameters)
        tag = _bind_cursor(route, request, path_parameters, arguments)
        version = request.headers.get(_VERSION, "") if request.caller.may_pin else ""
        with correlation.acting(f"{request.caller.role}:{request.caller.user_id}", version):
            result = route.function(**arguments)
        response = result if isinstance(result, Response) else Response(result)
        page: Any = response.body
        if tag and getattr(page, "next_cursor", None):
            return replace(response, body=page.model_copy(update={"next_cursor": tag + page.next_cursor}))
        return response

    def _match(self, request: Request) -> tuple[Route, dict[str, str]]:
        wanted = "GET" if request.method == "HEAD" else request.method
        for route in self._routes_at(request.path):
            match = route.pattern.fullmatch(request.path)
            if match and route.method == wanted:
                found = {name: unquote(value) for name, value in match.groupdict().items()}
                if not all(is_id(value) for value in found.values()):
                    raise NotFound("There is nothing with such an id.")
                return route, found
        if allowed := self._allowed_at(request.path):
            raise _without_path(MethodNotAllowed(f"{request.path} allows {', '.join(allowed)}.", allow=allowed))
        raise _without_path(NotFound(f"There is nothing at {request.method} {request.path}."))

    def _routes_at(self, path: str) -> list[Route]:
        """The matching routes with the fewest path parameters: /teas/pot wins over /teas/{id}."""
        found = [route for route in self.routes if route.pattern.fullmatch(path)]
        fewest = min((route.path.count("{") for route in found), default=0)
        return [route for route in found if route.path.count("{") == fewest]

    def _allowed_at(self, path: str) -> list[str]:
        """The methods of this path; none for an unknown path. Those that serve peers alone are told only where a path
        has no others: peers know them.
        """
        found = self._routes_at(path)
        found = [route for route in found if route.roles - {PEER}] or found
        # A route with a token has no HEAD: its response cannot be cached, so its headers alone are useless.
        is_public = any(route.method == "GET" and PUBLIC in route.roles for route in found)
        more = ({"OPTIONS"} if found else set()) | ({"HEAD"} if is_public else set())
        return sorted({route.method for route in found} | more)

    def _say_what_is_allowed(self, path: str) -> Response[None]:
        """Answers OPTIONS, also a browser's preflight, which has no token and is not counted, since its request
        will be.
        """
        allowed = self._allowed_at(path)
        if not allowed:
            raise _without_path(NotFound(f"There is nothing at {path}."))
        return Response(None, 204, {"Allow": ", ".join(allowed)} | cors.preflight(allowed))


def _without_path[E: DomainError](error: E) -> E:
    """Removes the path from the log's text, since it may contain a capability. The caller still reads it."""
    error.log_detail = "the path or method is none of this service's"
    return error


def _start_of(path: str) -> str:
    """The start of an unknown path, since the part after the service's name may be a capability."""
    parts = path.split("/")
    return path if len(parts) <= 3 else "/".join([*parts[:3], "…"])


def _bind_cursor(
    route: Route, request: Request, path_parameters: dict[str, str], arguments: dict[str, Any]
) -> str | None:
    """Binds the cursor of a list to its route, filters, sort and caller, by a tag in front of it.

    Replaces the query in `arguments` by one whose cursor has no tag. Returns the tag for the next cursor, or None for a
    route without a cursor. Raises InvalidCursor for a cursor of another list.
    """
    for name, query in arguments.items():
        if isinstance(query, Query) and "cursor" in type(query).model_fields:
            asked = query.model_dump(mode="json", exclude={"cursor", "limit"})
            of = [route.path, path_parameters, asked, request.caller.user_id]
            digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).digest()
            tag = base64.urlsafe_b64encode(digest[:6]).decode()
            cursor = getattr(query, "cursor")  # noqa: B009
            if cursor is not None:
                if not cursor.startswith(tag):
                    raise InvalidCursor("The cursor belongs to another list; start again without one.")
                arguments[name] = query.model_copy(update={"cursor": cursor.removeprefix(tag)})
            return tag
    return None


def _authorize(route: Route, caller: Caller) -> None:
    if PUBLIC in route.roles:
        return
    if caller.is_page:
        raise Forbidden("Pages call what is public alone, for guests.")
    if caller.role in route.roles:
        return
    if caller.role is ADMIN and CUSTOMER in route.roles:
        return
    if caller.role is PUBLIC:
        raise Unauthenticated("This needs an access token: Authorization: Bearer <token>.")
    raise Forbidden(f"This is not for the role {caller.role}.")


def _bind(route: Route, request: Request, path_parameters: dict[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    query_read = body_read = False
    for name, kind in route.parameters.items():
        if name in path_parameters:
            arguments[name] = path_parameters[name]
        elif kind is Caller:
            arguments[name] = request.caller
        elif kind is Request:
            arguments[name] = Request(**(vars(request) | {"path_parameters": path_parameters}))
            query_read = body_read = True
        elif kind is IdempotencyKey:
            arguments[name] = IdempotencyKey.read(request.headers.get("idempotency-key"))
        elif (generic := typing.get_origin(kind)) and issubclass(generic, SignedBody):
            [model] = typing.get_args(kind)
            arguments[name] = generic(model, request.headers, request.body)
            query_read = body_read = True
        elif kind is SourceAddress:
            arguments[name] = SourceAddress(request.source_ip)
        elif issubclass(kind, Query):
            arguments[name] = read_query(kind, request.query)
            query_read = True
        elif issubclass(kind, BaseModel):
            arguments[name] = read_body(kind, request.body, request.headers.get("content-type"))
            body_read = True
        elif issubclass(kind, RawBody):
            arguments[name] = kind.read(request.body, request.headers)
            body_read = True
        else:
            raise TypeError(f"{route.method} {route.path}: parameter {name} has no source")
    if request.body and not body_read and request.body.strip() != b"{}":
        raise InvalidRequest("This request takes no body.")
    if request.query and not query_read:
        raise InvalidRequest(f"Unknown query parameters: {', '.join(sorted(request.query))}.")
    return arguments
