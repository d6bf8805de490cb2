"""Browsers: which origins may read a response, what a preflight answers, and the security headers of every response."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mercato.http import ADMIN, CUSTOMER, MAX_BODY, PUBLIC, App, Body, View, cors
from mercato.http.guard import Guard
from tests.kit import aws_events

SHOP, BACK_OFFICE = "https://shop.example", "https://office.shop.example"
SAFE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
Ask = Callable[..., dict[str, Any]]


class Tea(View):
    name: str


class Brew(Body):
    name: str


app = App("teas", guarding=Guard)


@app.get("/api/teas", role=PUBLIC)
def list_teas() -> Tea:
    return Tea(name="assam")


@app.post("/api/teas", role=CUSTOMER)
def brew(wanted: Brew) -> Tea:
    return Tea(name=wanted.name)


@app.post("/api/teas/pot", role=PUBLIC)
def warm_pot() -> Tea:
    return Tea(name="pot")


@app.get("/api/teas/secret", role=ADMIN)
def show_secret() -> Tea:
    return Tea(name="secret")


def ask(method: str, path: str, body: str = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.handler(aws_events.rest_request(method, path, body, headers=named), None)


@pytest.fixture(autouse=True)
def origins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def allow(text: str) -> None:
        monkeypatch.setenv("ALLOWED_ORIGINS", text)
        cors._allowed.cache_clear()

    allow(f"{SHOP},{BACK_OFFICE}")
    yield allow
    cors._allowed.cache_clear()


@pytest.mark.parametrize("origin", [SHOP, BACK_OFFICE])
def test_an_allowed_origin_may_read_the_answer_and_the_headers_that_matter(origin: str) -> None:
    headers = ask("GET", "/api/teas", Origin=origin)["headers"]

    assert headers["Access-Control-Allow-Origin"] == origin
    assert "Retry-After" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://shop.example", f"{SHOP}.evil.example", "null", "*", "https://SHOP.example"],
)
def test_another_origin_may_not_read_the_answer(origin: str) -> None:
    headers = ask("GET", "/api/teas", Origin=origin)["headers"]

    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


def test_without_an_origin_a_cache_is_still_told_that_it_matters() -> None:
    headers = ask("GET", "/api/teas")["headers"]

    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


def test_an_error_may_be_read_too() -> None:
    answer = ask("POST", "/api/teas", Origin=SHOP)

    assert answer["statusCode"] == 401
    assert answer["headers"]["Access-Control-Allow-Origin"] == SHOP


def test_any_origin_is_let_in_where_the_configuration_says_so(origins: Callable[[str], None]) -> None:
    origins("*")
    headers = ask("GET", "/api/teas", Origin="https://any.example")["headers"]

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


def test_without_configuration_no_origin_is_let_in(origins: Callable[[str], None]) -> None:
    origins("")

    assert "Access-Control-Allow-Origin" not in ask("GET", "/api/teas", Origin=SHOP)["headers"]


def test_a_preflight_needs_no_token_and_says_what_the_path_takes() -> None:
    answer = ask("OPTIONS", "/api/teas", Origin=SHOP, Access_Control_Request_Method="POST")

    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert answer["headers"]["Access-Control-Allow-Origin"] == SHOP
    assert answer["headers"]["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
    assert answer["headers"]["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer["headers"]["Access-Control-Max-Age"] == "7200"
    for needed in ("Authorization", "Content-Type", "Idempotency-Key"):
        assert needed in answer["headers"]["Access-Control-Allow-Headers"].split(", ")


def test_a_preflight_of_another_origin_is_not_let_in() -> None:
    assert "Access-Control-Allow-Origin" not in ask("OPTIONS", "/api/teas", Origin="https://evil.example")["headers"]


def test_a_preflight_of_nothing_is_404() -> None:
    assert ask("OPTIONS", "/api/coffees", Origin=SHOP)["statusCode"] == 404


def test_a_preflight_is_not_counted_and_not_noted() -> None:
    class Counting(Guard):
        def count(self, *_: Any) -> None:
            raise AssertionError("counted")

        def note(self, *_: Any) -> None:
            raise AssertionError("noted")

    quiet = App("teas", guarding=Counting)
    quiet.get("/api/teas", role=PUBLIC)(list_teas)

    assert quiet.handler(aws_events.rest_request("OPTIONS", "/api/teas"), None)["statusCode"] == 204


def test_head_is_get_without_its_body() -> None:
    got, headed = ask("GET", "/api/teas"), ask("HEAD", "/api/teas")

    assert (headed["statusCode"], headed["body"]) == (200, "")
    assert json.loads(got["body"]) == {"name": "assam"}
    assert headed["headers"].keys() == got["headers"].keys()


def test_head_asks_for_the_same_role() -> None:
    assert ask("HEAD", "/api/teas/secret")["statusCode"] == 401
    assert ask("HEAD", "/api/teas/pot")["statusCode"] == 405


def test_head_of_what_needs_a_token_is_405_to_who_has_one() -> None:
    answer = app.handler(aws_events.rest_request("HEAD", "/api/teas/secret", user="ada", role="admin"), None)

    assert (answer["statusCode"], answer["headers"]["Allow"], answer["body"]) == (405, "GET, OPTIONS", "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/teas", 200), ("GET", "/api/coffees", 404), ("POST", "/api/teas", 401), ("PUT", "/api/teas", 405)],
)
def test_every_answer_is_guarded(method: str, path: str, status: int) -> None:
    answer = ask(method, path)

    assert answer["statusCode"] == status
    assert answer["headers"].items() >= (SAFE | {"Cache-Control": "no-store"}).items()


def test_a_route_that_takes_no_body_refuses_one() -> None:
    assert ask("POST", "/api/teas/pot")["statusCode"] == 200
    assert ask("POST", "/api/teas/pot", body=" {} ")["statusCode"] == 200
    for body in ('{"name": "assam"}', "[]", "nonsense"):
        answer = ask("POST", "/api/teas/pot", body=body)
        assert answer["statusCode"] == 422
        assert json.loads(answer["body"])["detail"] == "This request takes no body."


def test_headers_over_the_limit_are_431() -> None:
    assert ask("GET", "/api/teas", X_Filler="x" * 10_000)["statusCode"] == 200

    answer = ask("GET", "/api/teas", X_Filler="x" * 10_240)
    assert answer["statusCode"] == 431
    assert json.loads(answer["body"])["type"] == "urn:mercato:problem:headers-too-large"


def test_a_body_over_the_limit_is_413() -> None:
    assert ask("POST", "/api/teas/pot", body="x" * (MAX_BODY + 1))["statusCode"] == 413
