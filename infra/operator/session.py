"""The operator's commands call the running shop over its own API, as its admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from infra.operator import target
from infra.operator.client import Refused, Session, Shop, ShopError

Json = dict[str, Any]


def call(act: Callable[[Session], Any]) -> Any:
    """What the shop refuses ends the command with the shop's own words; no shop at all with status 2."""
    found = target.load()
    try:
        return act(Shop(found.base_url).login(found.admin.email, found.admin.password))
    except Refused as refused:
        raise click.ClickException(_told(refused)) from None
    except ShopError as error:
        raise target.NoShop(f"the shop at {found.base_url} does not answer as it should ({error})") from error


def _told(refused: Refused) -> str:
    """A fault of the shop's is looked up in its logs, by the request's id."""
    said = refused.detail or str(refused)
    request = refused.problem.get("request_id")
    return f"{said} Request id: {request}" if refused.status >= 500 and request else said


def get(path: str, **params: str | int) -> Json:
    found: Json = call(lambda admin: admin.get(path, **params))
    return found


def post(path: str, body: Json) -> Json:
    answer: Json = call(lambda admin: admin.post(path, body))
    return answer
