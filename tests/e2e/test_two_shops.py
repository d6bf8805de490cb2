"""A dev and a prod shop in one account, as docs/going-live.md opens them: neither touches the other."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.demo.stage import Stage, is_paid
from infra.local.deploy import Deployment
from infra.local.stack import Stack
from infra.local.up import LocalShop
from infra.operator.accounts import promote
from infra.operator.client import Refused, Session, Shop
from infra.operator.target import Account
from tests.e2e.test_accounts import Mailbox
from tests.e2e.test_stories import MERCATO

pytestmark = pytest.mark.spoiling

PASSWORD = "correct horse battery"
# What samconfig.toml leaves to the deployer.
FILLED_IN = {
    "FromAddress": "shop@shop.test",
    "ShopUrl": "https://{environment}.shop.test",
    "ConsoleUrl": "https://{environment}-console.shop.test",
    "AllowedOrigins": "https://{environment}.shop.test",
}
PROD = {"AlarmEmail": "elsewhere", "StripePublishableKey": "pk_live_1"}


@dataclass(frozen=True)
class Opened:
    """A deployed shop, and its first admin."""

    stack: Stack
    shop: Shop
    admin: Session
    email: str


def deploy(running: LocalShop, environment: str) -> Stack:
    """Sections 2 to 4 of the page: the sender, the parameters, the deploy, the signing keys."""
    chosen = {name: value.format(environment=environment) for name, value in FILLED_IN.items()}
    chosen |= PROD if environment == "prod" else {}
    name = f"mercato-{environment}"
    place = (running.cloud, name, running.functions_endpoint, running.code)
    Deployment(*place, environment).deploy(running.build(), chosen)
    stack = Stack.read(running.cloud, name, environment)
    stack.register_local_urls(running.functions_endpoint)
    stack.verify_sender()
    stack.make_signing_keys()
    return stack


def open_shop(running: LocalShop, environment: str) -> Opened:
    """Section 6: the first account, which its mail verifies, becomes an admin."""
    stack = deploy(running, environment)
    shop = Shop(stack.api_url())
    email = f"{uuid.uuid4()}@example.com"
    shop.register(email, PASSWORD, "Ada Admin")
    mailbox = Mailbox(running.cloud.endpoint, f"https://{environment}.shop.test", email)
    shop.call("POST", "/users/verify-email", {"token": mailbox.token("verify-email")})
    account = Account(email, PASSWORD)
    promote(stack.state(stack.api_url(), running.functions_endpoint, account, account, ""), email)
    return Opened(stack, shop, shop.login(email, PASSWORD), email)


@pytest.fixture(scope="module")
def dev(running: LocalShop) -> Iterator[Opened]:
    found = open_shop(running, "dev")
    yield found
    found.shop.close()


@pytest.fixture(scope="module")
def prod(running: LocalShop) -> Iterator[Opened]:
    found = open_shop(running, "prod")
    yield found
    found.shop.close()


def test_an_order_of_dev_is_confirmed_and_prod_knows_neither_it_nor_its_goods(
    dev: Opened, prod: Opened, running: LocalShop
) -> None:
    stage = Stage(dev.shop, dev.admin, running.cloud.endpoint, 120)
    vase = stage.new_product("Vase", 2500, stock=3)

    order = stage.order(dev.admin, vase, 1)["order_id"]

    dev.admin.wait_for_order(order, is_paid, what="paid", within=120)
    assert prod.admin.get("/products")["items"] == []
    for path in (f"/orders/{order}", f"/inventory/{vase.product_id}"):
        with pytest.raises(Refused) as refused:
            prod.admin.get(path)
        assert refused.value.status == 404


def test_an_account_or_a_token_of_one_shop_opens_nothing_in_the_other(dev: Opened, prod: Opened) -> None:
    with pytest.raises(Refused) as refused:
        prod.shop.login(dev.email, PASSWORD)
    assert refused.value.status == 401
    with pytest.raises(Refused) as refused:
        prod.shop.call("GET", "/users/me", token=dev.admin._fresh_token())
    assert refused.value.status == 401


def test_no_two_shops_of_an_account_share_a_name(dev: Opened, prod: Opened, running: LocalShop) -> None:
    ours = Stack.read(running.cloud)
    named = [set(stack.functions.values()) | set(stack.tables.values()) for stack in (ours, dev.stack, prod.stack)]

    assert all(named)
    assert len(set.union(*named)) == sum(map(len, named))
    for stack in (dev.stack, prod.stack):
        assert all(name.startswith(f"{stack.name}-") for name in stack.functions.values())


def test_the_operators_commands_look_at_the_shop_that_stack_names(dev: Opened, running: LocalShop) -> None:
    """Section 7. A domain of the shop leads nowhere here, and the emulator's account is as new as a forker's."""
    environment = os.environ | running.cloud.environment | {"COLUMNS": "200"}

    def mercato(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([MERCATO, *arguments], env=environment, capture_output=True, text=True, timeout=120)

    looked = mercato("--stack", "mercato-dev", "--url", dev.stack.api_url(), "doctor")
    assert looked.returncode == 1, looked.stdout + looked.stderr
    for found in ("● the stack", "● FromAddress", "● an admin", "▲ the sender of mails", "▲ the storefront"):
        assert found in looked.stdout
    released = mercato("--stack", "mercato-dev", "release", "status")
    assert released.returncode == 0, released.stderr
    assert "orders-saga" in released.stdout
    assert "there is no stack mercato-test" in mercato("--stack", "mercato-test", "doctor").stdout


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_shop_that_is_deployed_again_as_it_is_stays_as_it_is(
    environment: str, dev: Opened, prod: Opened, running: LocalShop
) -> None:
    stack = {"dev": dev, "prod": prod}[environment].stack
    before = {name: live_version(running, function) for name, function in stack.functions.items()}

    deploy(running, environment)

    assert {name: live_version(running, function) for name, function in stack.functions.items()} == before


def live_version(running: LocalShop, function: str) -> str:
    version: str = running.cloud.client("lambda").get_alias(FunctionName=function, Name="live")["FunctionVersion"]
    return version
