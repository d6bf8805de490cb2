"""Requests to a site's handler in the form of an HTTP API, with the shop's API in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

import console.site
import console.wiring
import storefront.site
import storefront.wiring
from pages import visitor
from tests.kit import aws_events
from tests.unit.pages.links import dead_links
from tests.unit.pages.shop_api import ShopApi

SITE = "http://localhost:3000"


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    cookies: list[str]
    text: str
    is_base64: bool

    @property
    def location(self) -> str:
        return self.headers["Location"]


Ask = Callable[..., Answered]


def event_of(
    method: str, path: str, query: str, body: str, headers: dict[str, str], cookies: list[str]
) -> dict[str, Any]:
    return aws_events.http_api_request(
        method, path, body.encode(), headers=headers, cookies=cookies, query=query, source="198.51.100.7"
    )


def asker(handler: Callable[[dict[str, Any], Any], dict[str, Any]], access: str) -> Ask:
    def ask(
        method: str,
        address: str,
        form: Any = None,
        *,
        as_user: bool = False,
        headers: dict[str, str] | None = None,
        cookies: list[str] | None = None,
    ) -> Answered:
        path, _, query = address.partition("?")
        sent = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"} | (headers or {})
        kept = (cookies or []) + ([f"{access}=an.access.token"] if as_user else [])
        body = urlencode(form, doseq=True) if form else ""
        found = handler(event_of(method, path, query, body, sent, kept), None)
        if not found.get("isBase64Encoded"):
            assert dead_links(found.get("body", "")) == []
        return Answered(
            found["statusCode"],
            found["headers"],
            found.get("cookies", []),
            found.get("body", ""),
            found.get("isBase64Encoded", False),
        )

    return ask


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ShopApi]:
    found = ShopApi()
    monkeypatch.setattr(visitor, "peer", found.peer)
    monkeypatch.setenv("SITE_URL", SITE)
    for wiring in (storefront.wiring, console.wiring):
        wiring.ports.cache_clear()
    yield found
    for wiring in (storefront.wiring, console.wiring):
        wiring.ports.cache_clear()


@pytest.fixture
def shop(api: ShopApi) -> Ask:
    return asker(storefront.site.handler, "__Host-a")


@pytest.fixture
def desk(api: ShopApi) -> Ask:
    return asker(console.site.handler, "__Host-console-a")
