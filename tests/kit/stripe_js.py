"""What js.stripe.com and hooks.stripe.com serve, as far as a shop's page sees it (docs.stripe.com/js), for a browser
that is driven by Playwright.

The field is a frame of js.stripe.com: it sends the card to api.stripe.com itself, and tells the page an id or an error.
The bank's question is a frame of hooks.stripe.com with the two buttons that Stripe's test mode has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from playwright.sync_api import BrowserContext, Page, Request, Route

_FILES = Path(__file__).parent / "stripes_hosts"
# Answers a request to Stripe's API: the method, the path, and the fields of the query and the body.
StripesApi = Callable[[str, str, dict[str, str]], tuple[int, Any]]


def serve(context: BrowserContext, api: StripesApi, confirm: Callable[[str, bool], None]) -> None:
    """Stands in for Stripe's three hosts. `confirm` gets the bank's answer to the intent with a client secret."""

    def serve_script(route: Route) -> None:
        if route.request.url.endswith("/v3/"):
            route.fulfill(path=_FILES / "stripe.js", content_type="text/javascript")
        else:
            route.fulfill(path=_FILES / "field.html", content_type="text/html")

    def serve_bank(route: Route) -> None:
        if route.request.method == "POST":
            said = fields_of(route.request)
            confirm(said["client_secret"], said["success"] == "true")
            route.fulfill(status=204)
        else:
            route.fulfill(path=_FILES / "question.html", content_type="text/html")

    def serve_api(route: Route) -> None:
        asked = route.request
        path = asked.url.removeprefix("https://api.stripe.com").partition("?")[0]
        status, body = api(asked.method, path, fields_of(asked))
        route.fulfill(status=status, json=body, headers={"Access-Control-Allow-Origin": "*"})

    context.route("https://js.stripe.com/**", serve_script)
    context.route("https://hooks.stripe.com/**", serve_bank)
    context.route("https://api.stripe.com/**", serve_api)


def fields_of(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.url.partition("?")[2])) | dict(parse_qsl(request.post_data or ""))


def type_card(page: Page, number: str = "4242 4242 4242 4242") -> None:
    field = page.frame_locator("#card iframe")
    field.get_by_label("card number").fill(number)
    field.get_by_label("expiration").fill("12 / 30")
    field.get_by_label("CVC").fill("123")


def answer_bank(page: Page, button: str) -> None:
    """`button` is Complete or Fail."""
    page.frame_locator("iframe[title^='3D Secure']").get_by_role("button", name=button).click()
