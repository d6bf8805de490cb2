"""Calls the shop's API as an admin, for the operator's commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import click

from infra.operator import target
from infra.operator.client import Refused, Shop, ShopError
from infra.operator.login import StoredLogin

Json = dict[str, Any]


class Admin(Protocol):
    """Calls the shop's API as an admin."""

    def get(self, path: str, **params: str | int) -> Any: ...
    def post(self, path: str, body: Any = None) -> Any: ...


def call(act: Callable[[Admin], Any]) -> Any:
    """Calls `act` with an admin and returns its result.

    Prints the shop's refusal and ends the command. If there is no shop, the command exits with 2.
    """
    shop = target.chosen()
    try:
        return act(_admin_of(shop))
    except Refused as refused:
        raise click.ClickException(_told(refused)) from None
    except ShopError as error:
        raise target.NoShop(f"the shop at {shop.base_url} does not answer as it should ({error})") from error


def _admin_of(shop: target.Target) -> Admin:
    if isinstance(shop, target.State):
        return Shop(shop.base_url).login(shop.admin.email, shop.admin.password)
    return StoredLogin(shop)


def _told(refused: Refused) -> str:
    """Returns the refusal's detail. A server error includes the request id, which finds it in the logs."""
    said = refused.detail or str(refused)
    request = refused.problem.get("request_id")
    return f"{said} Request id: {request}" if refused.status >= 500 and request else said


def get(path: str, **params: str | int) -> Json:
    found: Json = call(lambda admin: admin.get(path, **params))
    return found


def post(path: str, body: Json) -> Json:
    answer: Json = call(lambda admin: admin.post(path, body))
    return answer
