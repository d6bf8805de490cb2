"""`mercato smoke`: checks that a newly deployed shop serves requests, including calls between services.

It needs no log-in, so that a pipeline can run it. It leaves an empty guest cart, which expires.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from infra.operator import target
from infra.operator.client import Refused, Shop, ShopError
from infra.operator.refusals import explain


@dataclass(frozen=True)
class Result:
    """The result of one check. `problem` is empty if the check passed."""

    what: str
    problem: str = ""


def check(shop: Shop, http: httpx.Client, sites: dict[str, str]) -> Iterator[Result]:
    """Yields the result of each check, API first. `http` requests the pages of `sites`, which maps names to URLs."""
    for what, look in (
        ("the API answers", _health),
        ("signing keys are published", _keys),
        ("the authorizer refuses a forged token", _forged_token),
        ("the catalogue can be read", _catalogue),
        ("a cart can be written, and asks products for a price", _cart),
    ):
        try:
            yield Result(what, look(shop))
        except ShopError as error:
            yield Result(what, str(error))
    for name, address in sites.items():
        yield Result(f"{name} shows its page", _page(http, address))


def _health(shop: Shop) -> str:
    found = shop.call("GET", "/health")
    return "" if found["status"] == "ok" else f"the status is {found['status']}"


def _keys(shop: Shop) -> str:
    return "" if shop.call("GET", "/.well-known/jwks.json")["keys"] else "there are none, so every token is refused"


def _forged_token(shop: Shop) -> str:
    return _refusal(lambda: shop.call("GET", "/orders", token="forged"), 401)


def _catalogue(shop: Shop) -> str:
    shop.call("GET", "/products?limit=1")
    return ""


def _cart(shop: Shop) -> str:
    cart = shop.call("POST", "/carts/guests", safe=True)["cart_id"]
    item = f"/carts/guests/{cart}/items/smoke"
    return _refusal(lambda: shop.call("PUT", item, {"quantity": 1}), 422, "unknown-product")


def _refusal(request: Callable[[], Any], status: int, slug: str = "") -> str:
    try:
        request()
    except Refused as refused:
        if refused.status == status and slug in ("", refused.slug):
            return ""
        raise
    return f"the shop accepted what it must refuse with {status}"


def _page(http: httpx.Client, address: str) -> str:
    try:
        answer = http.get(address)
    except httpx.HTTPError as error:
        return f"{address}: {error or type(error).__name__}"
    if answer.status_code == 200 and "x-request-id" in answer.headers:
        return ""
    return f"{address} answers {answer.status_code}: {answer.text[:120]!r}"


def sites_of(shop: target.Target) -> dict[str, str]:
    """Returns the URLs of both sites from the stack's parameters. Raises NoShop."""
    try:
        stack = target.client(shop, "cloudformation").describe_stacks(StackName=shop.stack)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise target.NoShop(f"the stack {shop.stack} cannot be read: {explain(error)}") from None
    given = {one["ParameterKey"]: one["ParameterValue"].rstrip("/") for one in stack["Parameters"]}
    return {"the storefront": f"{given['ShopUrl']}/", "the console": f"{given['ConsoleUrl']}/console/login"}


@click.command()
def smoke() -> None:
    """Check after a deploy that the shop serves requests. Exits with 1 at a failure. Needs no log-in."""
    shop = target.chosen()
    sites = sites_of(shop)
    console, failed = Console(), False
    with contextlib.closing(Shop(shop.base_url)) as api, httpx.Client(timeout=15) as http:
        for result in check(api, http, sites):
            failed |= bool(result.problem)
            console.print(f"{'[bold red]▲' if result.problem else '[green]●'}[/] {result.what}", highlight=False)
            if result.problem:
                console.print(f"  {escape(result.problem)}", highlight=False, soft_wrap=True)
    if failed:
        raise click.exceptions.Exit(1)
