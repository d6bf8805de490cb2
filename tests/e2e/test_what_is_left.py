"""Runs after all other tests of this folder: checks the logs for secrets, and the permissions that were not used."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.demo.stage import Stage
from infra.local.up import LocalShop
from infra.operator.client import Session, Shop, poll
from infra.operator.target import State
from tests.e2e.canaries import Canaries, logs_of, plant_secrets_of_the_shop

MERCATO = str(Path(sys.executable).parent / "mercato")
pytestmark = pytest.mark.last


def has_status(status: str, order: dict[str, Any]) -> bool:
    return bool(order["status"] == status)


def plant_everything(shop: Shop, admin: Session, shop_state: State, canaries: Canaries) -> Session:
    """Makes a customer whose secrets and texts are all canaries, and sends mistaken requests with them."""
    password = canaries.plant("password", f"pw-canary-{uuid.uuid4()}")
    name = canaries.plant("e-mail body", f"Nightingale {uuid.uuid4()}")
    email = f"{uuid.uuid4()}@example.com"
    shopper = shop.join(email, password, name)
    api = httpx.Client(base_url=f"{shop.base_url}/api", timeout=60)

    def mistake(what: str, path: str, body: object, **headers: str) -> None:
        content = {"content": body} if isinstance(body, str) else {"json": body}
        answer = api.post(path, headers=headers, **content)
        assert 400 <= answer.status_code < 500, (what, answer.text)

    def canary(what: str) -> str:
        return canaries.plant(what, f"canary-{uuid.uuid4()}")

    mistake("a wrong password", "/users/login", {"email": email, "password": canary("password")})
    mistake("half a body", "/users/login", '{"email": "x", "password": "' + canary("password"))
    mistake("a list", "/users/login", {"email": email, "password": [canary("password")]})
    mistake("too short", "/users", {"email": email, "password": canary("password")[:9], "name": name})
    mistake("too long", "/users", {"email": email, "password": canary("password") * 5, "name": name})
    mistake("a token", "/users/token/refresh", {"refresh_token": canary("refresh token")})
    mistake("a token", "/users/verify-email", {"token": f"{uuid.uuid4()}.{canary('verification token')}"})
    mistake("a header", "/orders", {}, Authorization=f"Bearer {canary('access token')}")
    mistake("a header", "/orders", {}, Authorization=f"Bearer a.{canary('access token').replace('-', '')}.c")
    mistake("a signature", "/payments/webhooks/sandbox", {"token": canary("webhook")}, **{"X-Webhook-Signature": "x"})

    product = Stage(shop, admin, shop_state.endpoint, patience=90).new_product("Cage", pence=100, stock=2)
    line = {"product_id": product.product_id, "quantity": 1, "unit_price": product.price}
    address = {"name": name, "line1": canary("address"), "city": "Leith", "postcode": "EH6 6QQ", "country": "GB"}
    phone = canaries.plant("phone", f"+44{uuid.uuid4().int % 10**16:016d}")
    address |= {"company": canary("company"), "region": canary("region"), "phone": phone}
    card = canaries.plant("card token", f"tok_canary_{uuid.uuid4().hex}")
    for token, end in ((card, "cancelled"), ("tok_ok", "delivered")):
        placed = shopper.place_order([line], token=token, address=address, key=str(uuid.uuid4()))
        shopper.wait_for_order(placed["order_id"], partial(has_status, end), what=f"is {end}", within=90)
    poll(lambda: shopper.get("/notifications")["items"], lambda found: len(found) > 3, what="the mails", within=60)
    shopper.put("/users/me/password", {"current_password": password, "new_password": canary("password")})
    return shopper


def test_no_log_of_this_run_holds_a_secret(
    running: LocalShop, shop: Shop, admin: Session, shop_state: State, canaries: Canaries, front_log: list[str]
) -> None:
    shopper = plant_everything(shop, admin, shop_state, canaries)
    plant_secrets_of_the_shop(canaries, shop_state)
    mailed = list(canaries.texts.values()).count("mailed token")
    user_id = shopper.shop.call("GET", "/users/me", token=shopper._access)["user_id"]

    logs = logs_of(running, shop_state, front_log)

    assert {name: found for name, log in logs.items() if (found := canaries.found_in(log))} == {}
    # The test would prove nothing without logs, or without canaries.
    assert sum(user_id in log for log in logs.values()) >= 3
    assert len([name for name, log in logs.items() if name.startswith("/aws/lambda/") and log]) >= 20
    assert len(canaries.texts) > 40
    assert mailed >= 1


def test_every_permission_is_used_or_explained(shop_state: State) -> None:
    told = subprocess.run(
        [MERCATO, "iam"],
        env=os.environ | {"COLUMNS": "170"},
        capture_output=True,
        text=True,
        timeout=300,
    )

    print(told.stdout)  # noqa: T201  `make iam-report` shows it
    assert told.returncode == 0, told.stdout + told.stderr
