"""A fake shop for the operator's commands, with the test's answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from infra.operator import session, target
from infra.operator.client import Shop

_NOTHING_THERE = 404, {"detail": "There is nothing here."}


class FakeOps:
    """Answers by method and path below /api/ops, with the cursor if there is one, and records the requests."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.requests: list[httpx.Request] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/users/login":
            return httpx.Response(200, json={"access_token": "t", "refresh_token": "r", "expires_in": 900})
        assert request.headers["Authorization"] == "Bearer t"
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/ops")
        if cursor := request.url.params.get("cursor"):
            path = f"{path}?cursor={cursor}"
        status, body = self.answers.get((request.method, path), _NOTHING_THERE)
        return httpx.Response(status, json=body)


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> FakeOps:
    found, account = FakeOps(), target.Account("admin@example.com", "secret")
    shop = target.State("http://shop", "http://cloud", "r", "shop", {}, {}, "http://cloud", "shop-", account, account)
    monkeypatch.setattr(target, "load", lambda: shop)
    monkeypatch.setattr(session, "Shop", lambda url: Shop(url, transport=httpx.MockTransport(found.handle)))
    monkeypatch.setenv("COLUMNS", "200")
    return found
