"""Every kind of response keeps the promises of docs/security.md.

These are each route's success and its errors of each kind, through API Gateway and through a function URL, the
responses to unknown paths, and API Gateway's own.
"""

from __future__ import annotations

import base64
import importlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.paths import ROOT
from mercato.errors import DomainError
from mercato.http import App, NoContent, Response, Route, View, cors, response
from mercato.http.guard import Guard
from mercato.http.rate_limit import Limiter
from tests.kit import aws_events
from tests.kit.promises import CACHEABLE, Answer, broken
from tests.kit.template import load_template

SERVICES = sorted(path.parent.name for path in ROOT.glob("functions/*/*/api.py"))
SHOP, STRANGER = "https://shop.example", "https://evil.example"


class Shown(View):
    name: str


class Counts:
    """A limiter that grants each client this many requests."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, client: str, window: int, requests: int, allowed: int) -> int | None:
        return 0 if self.left else None


def fail(error: Exception) -> Callable[[], Any]:
    def raise_it() -> Any:
        raise error

    return raise_it


def made(kind: type[Exception]) -> Exception:
    """An error of the kind, with the details that its response needs."""
    if issubclass(kind, DomainError):
        return kind("The reason.", allow=["GET"], retry_after=3)
    return kind("the reason")


# The outcomes of a route, by the name of the case. The errors are all those with a separate status.
DONE: dict[str, Callable[[], Any]] = {
    "view": lambda: Shown(name="x"),
    "created": lambda: Response(Shown(name="x"), 201, {"Location": "/api/x"}),
    "nothing": NoContent,
    "defect": fail(RuntimeError("a defect")),
    **{kind.__name__: fail(made(kind)) for kind in response._STATUS},
}


@pytest.fixture(autouse=True)
def front_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ALLOWED_ORIGINS", SHOP)
    cors._allowed.cache_clear()
    logging.disable()  # thousands of answers: their log lines would take most of the time
    yield
    logging.disable(logging.NOTSET)
    cors._allowed.cache_clear()


def app_of(service: str, monkeypatch: pytest.MonkeyPatch, done: Callable[[], Any] | None, left: int = 9) -> App:
    """The service's own app. With `done`, each route calls that instead of its function."""
    app: App = importlib.import_module(f"{service}.api").app
    monkeypatch.setattr(app, "guarding", lambda: Guard(Limiter(Counts(left), 100)))
    if done:
        monkeypatch.setattr(app, "routes", [replace(route, function=done, parameters={}) for route in app.routes])
    return app


def path_of(route: Route) -> str:
    return route.path.replace("{", "").replace("}", "")


def by_gateway(method: str, path: str, role: str = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return aws_events.rest_request(method, path, user="ada" if role else None, role=role, headers=named)


def by_peer(method: str, path: str) -> dict[str, Any]:
    return aws_events.url_request(method, path, peer="carts")


def answer_of(app: App, event: dict[str, Any], route: str = "") -> Answer:
    said = app.handler(event, None)
    body = base64.b64decode(said["body"]) if said["isBase64Encoded"] else said["body"].encode()
    method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
    return Answer(said["statusCode"], said["headers"], body, route, method)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("case", DONE)
def test_every_route_keeps_the_promises_whatever_it_does(
    service: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(service, monkeypatch, DONE[case])

    answers = [
        answer_of(app, event, f"{route.method} {route.path}")
        for route in app.routes
        for event in (
            by_gateway(route.method, path_of(route), "admin", Origin=SHOP),
            by_peer(route.method, path_of(route)),
        )
    ]

    assert [one for answer in answers for one in broken(answer)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_keeps_the_promises_whoever_asks_and_by_whatever_method(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(service, monkeypatch, DONE["view"])

    answers = [
        answer_of(app, event, f"{route.method} {route.path}")
        for route in app.routes
        for event in (
            by_gateway(route.method, path_of(route), "admin", Origin=SHOP),
            by_gateway(route.method, path_of(route), "customer", Origin=STRANGER),
            by_gateway(route.method, path_of(route)),
            by_gateway("HEAD", path_of(route)),
            by_gateway("OPTIONS", path_of(route), Origin=SHOP),
            by_gateway("TRACE", path_of(route)),
        )
    ]

    assert [one for answer in answers for one in broken(answer)] == []
    assert {answer["Access-Control-Allow-Origin"] for answer in answers} == {"", SHOP}
    assert all("Origin" in answer["Vary"] for answer in answers)


def test_the_cases_have_every_status_that_a_route_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would prove nothing if a case had another status than its name says."""
    seen = {
        case: answer_of(
            app_of("gateway", monkeypatch, done), by_gateway("GET", "/api/health"), "GET /api/health"
        ).status
        for case, done in DONE.items()
    }

    assert seen["view"] == 200
    assert seen["created"] == 201
    assert seen["nothing"] == 204
    assert seen["defect"] == 500
    assert {kind.__name__: response.status_of(kind)[0] for kind in response._STATUS}.items() <= seen.items()


@pytest.mark.parametrize("service", SERVICES)
def test_what_no_route_answers_keeps_the_promises(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(service, monkeypatch, DONE["view"])
    counted = next(route for route in app.routes if route.limit is not None)

    answers = {
        404: answer_of(app, by_gateway("GET", "/api/nothing/here")),
        431: answer_of(app, by_gateway("GET", path_of(counted), X_Filler="x" * 10_240)),
    }
    app_of(service, monkeypatch, None, left=0)
    answers[429] = answer_of(app, by_gateway(counted.method, path_of(counted)))

    assert {status: answer.status for status, answer in answers.items()} == {status: status for status in answers}
    assert [one for answer in answers.values() for one in broken(answer)] == []


@pytest.mark.parametrize("path", ["/api/health", "/api/openapi.json", "/api/docs"])
def test_documents_keep_the_promises_in_each_encoding_and_where_the_client_has_them(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, route = app_of("gateway", monkeypatch, None), f"GET {path}"
    for encoding in ("identity", "gzip"):
        whole = answer_of(app, by_gateway("GET", path, Accept="*/*", Accept_Encoding=encoding), route)
        head = answer_of(app, by_gateway("HEAD", path, Accept="*/*", Accept_Encoding=encoding), route)
        known = {"Accept": "*/*", "Accept_Encoding": encoding, "If_None_Match": whole["ETag"]}
        again = answer_of(app, by_gateway("GET", path, **known), route)

        assert again.status == (304 if route in CACHEABLE else 200)
        assert [one for answer in (whole, head, again) for one in broken(answer)] == []


def test_api_gateways_own_answers_keep_the_promises() -> None:
    own = load_template("template.yaml")["Resources"]["Api"]["Properties"]["GatewayResponses"]
    for name, defined in own.items():
        headers = {
            header: value.strip("'").replace("context.requestId", "an id")
            for header, value in defined["ResponseParameters"]["Headers"].items()
        }
        problem = json.loads(defined["ResponseTemplates"]["application/json"].replace("$context.requestId", "an id"))
        status = defined.get("StatusCode") or int(name.removeprefix("DEFAULT_").replace("XX", "00"))
        body = json.dumps({"status": status} | problem).encode()  # one for many statuses names none

        assert list(broken(Answer(status, headers, body, name, by_gateway=True))) == []
