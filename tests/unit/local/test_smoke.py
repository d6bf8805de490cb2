"""`mercato smoke`, against a fake shop."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from infra.operator.client import Clock, Shop
from infra.operator.smoke import check

Answers = dict[str, tuple[int, Any]]

GOOD: Answers = {
    "GET /api/health": (200, {"service": "gateway", "status": "ok"}),
    "GET /api/.well-known/jwks.json": (200, {"keys": [{"kid": "1"}]}),
    "GET /api/orders": (401, {"type": "urn:mercato:problem:unauthenticated"}),
    "GET /api/products": (200, {"items": []}),
    "POST /api/carts/guests": (201, {"cart_id": "c1"}),
    "PUT /api/carts/guests/c1/items/smoke": (422, {"type": "urn:mercato:problem:unknown-product"}),
    "GET /": (200, "<html>"),
    "GET /console/login": (200, "<html>"),
}
SITES = {"the storefront": "http://shop.test/", "the console": "http://shop.test/console/login"}


def problems(answers: Answers) -> dict[str, str]:
    def answer(request: httpx.Request) -> httpx.Response:
        status, body = answers[f"{request.method} {request.url.path}"]
        return httpx.Response(status, json=body, headers={"X-Request-Id": "r1"})

    transport = httpx.MockTransport(answer)
    shop = Shop(
        "http://shop.test",
        transport=transport,
        clock=Clock(monotonic=iter(range(0, 10_000, 50)).__next__, sleep=lambda _: None),
    )
    with httpx.Client(transport=transport) as http:
        return {result.what: result.problem for result in check(shop, http, SITES) if result.problem}


def test_a_shop_that_serves_has_no_problem() -> None:
    assert problems(GOOD) == {}


@pytest.mark.parametrize(
    ("request_line", "answer", "what", "problem"),
    [
        ("GET /api/health", (503, {"detail": "away"}), "the API answers", "GET /api/health: 503"),
        ("GET /api/.well-known/jwks.json", (200, {"keys": []}), "signing keys are published", "there are none"),
        ("GET /api/orders", (200, {"items": []}), "the authorizer refuses a forged token", "must refuse with 401"),
        ("GET /api/orders", (503, {}), "the authorizer refuses a forged token", "GET /api/orders: 503"),
        ("GET /api/products", (502, {}), "the catalogue can be read", "GET /api/products: 502"),
        ("POST /api/carts/guests", (500, {}), "a cart can be written, and asks products for a price", "guests: 500"),
        (
            "PUT /api/carts/guests/c1/items/smoke",
            (503, {"type": "urn:mercato:problem:unavailable"}),
            "a cart can be written, and asks products for a price",
            "503 unavailable",
        ),
        (
            "PUT /api/carts/guests/c1/items/smoke",
            (422, {"type": "urn:mercato:problem:cart-full"}),
            "a cart can be written, and asks products for a price",
            "422 cart-full",
        ),
        ("GET /", (502, "no"), "the storefront shows its page", "http://shop.test/ answers 502"),
        ("GET /console/login", (404, "no"), "the console shows its page", "http://shop.test/console/login answers 404"),
    ],
)
def test_each_fault_is_one_problem_and_the_other_checks_pass(
    request_line: str, answer: tuple[int, Any], what: str, problem: str
) -> None:
    found = problems(GOOD | {request_line: answer})
    assert list(found) == [what]
    assert problem in found[what]
