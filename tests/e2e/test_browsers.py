"""The rights of a front end of another origin in a browser, and the security headers of every response, through the
gateway.
"""

from __future__ import annotations

import re

import httpx
import pytest

from infra.contract import events
from infra.operator.client import Session
from infra.operator.target import State

FRONT_END, STRANGER = "http://localhost:5173", "https://evil.example"
PATHS = ["/orders", "/orders/1", "/carts/guests/1/items/2", "/users/login", "/products", "/shipments/quotes", "/health"]


@pytest.fixture(scope="module")
def api(shop_state: State) -> httpx.Client:
    return httpx.Client(base_url=f"{shop_state.base_url}/api", timeout=30)


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered_at_every_path_without_a_token(api: httpx.Client, path: str) -> None:
    asked = {"Origin": FRONT_END, "Access-Control-Request-Method": "POST"}
    answer = api.options(path, headers=asked | {"Access-Control-Request-Headers": "authorization,idempotency-key"})

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "OPTIONS" in answer.headers["Access-Control-Allow-Methods"]
    assert api.options(path, headers=asked | {"Origin": STRANGER}).headers.get("Access-Control-Allow-Origin") is None


def test_a_front_end_may_read_its_answers_and_a_stranger_may_not(api: httpx.Client, customer: Session) -> None:
    bearer = {"Authorization": f"Bearer {customer._fresh_token()}"}

    assert (
        api.get("/users/me", headers=bearer | {"Origin": FRONT_END}).headers["Access-Control-Allow-Origin"] == FRONT_END
    )
    assert "Access-Control-Allow-Origin" not in api.get("/users/me", headers=bearer | {"Origin": STRANGER}).headers


def test_the_gateways_own_refusal_may_be_read_and_is_guarded(api: httpx.Client) -> None:
    answer = api.get("/orders", headers={"Origin": FRONT_END})

    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_head_is_answered_where_get_is_public(api: httpx.Client) -> None:
    for path in ("/products", "/health", "/docs", "/openapi.json", "/.well-known/jwks.json"):
        answer = api.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path


def test_the_contract_and_its_page_are_served(api: httpx.Client) -> None:
    page, document = api.get("/docs"), api.get("/openapi.json")

    assert document.text == events.OPENAPI.read_text()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", page.headers["Content-Security-Policy"])
