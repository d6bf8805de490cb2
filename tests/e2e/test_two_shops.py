"""A dev and a prod shop in one account, as docs/going-live.md opens them: neither touches the other."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.demo.stage import ADDRESS, TOKEN, Stage, is_paid
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
# One shop of the two sells in a currency without decimals.
DEV = {"Currency": "JPY"}
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
    chosen |= PROD if environment == "prod" else DEV
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
    stage = Stage(dev.shop, dev.admin, running.cloud.endpoint, 120, currency="JPY")
    vase = stage.new_product("Vase", 2500, stock=3)

    order = stage.order(dev.admin, vase, 1)["order_id"]

    dev.admin.wait_for_order(order, is_paid, what="paid", within=120)
    assert prod.admin.get("/products")["items"] == []
    for path in (f"/orders/{order}", f"/inventory/{vase.product_id}"):
        with pytest.raises(Refused) as refused:
            prod.admin.get(path)
        assert refused.value.status == 404


def test_a_shop_in_yen_shows_charges_taxes_and_refunds_whole_yen(dev: Opened, running: LocalShop) -> None:
    """From the product to the refund, with delivery by the rates of a new shop."""
    stage = Stage(dev.shop, dev.admin, running.cloud.endpoint, 120, currency="JPY")
    bowl, buyer = stage.new_product("Bowl", 1250, stock=5), dev.admin
    opened = {
        "lines": [{"product_id": bowl.product_id, "quantity": 3}],
        "shipping_address": ADDRESS,
        "service": "standard",
    }
    shown = buyer.post("/checkouts", opened, key=stage.new_key())
    totals = {name: total["amount"] for name, total in shown["totals"].items()}
    assert totals == {"goods": 3750, "discount": 0, "shipping": 495, "tax": 625 + 83, "total": 4245}
    assert {total["currency"] for total in shown["totals"].values()} == {"JPY"}

    order = buyer.post("/orders/quoted", {"quote": shown["quote"]["token"], "payment_token": TOKEN})["order_id"]
    paid = buyer.wait_for_order(order, is_paid, what="paid", within=120)
    assert paid["total"] == {"amount": 4245, "currency": "JPY"}
    payment = dev.admin.get("/payments", order_id=order)["items"][0]
    for amount in (1, 4244):
        refund = {"amount": {"amount": amount, "currency": "JPY"}, "reason": "damaged"}
        dev.admin.post(f"/payments/{payment['payment_id']}/refunds", refund, key=stage.new_key())
    payment = dev.admin.get("/payments", order_id=order)["items"][0]
    assert payment["captured"] == payment["refunded"] == {"amount": 4245, "currency": "JPY"}
    with pytest.raises(Refused) as other:
        stage.admin.post(
            "/products",
            {"sku": "POUNDS", "name": "Pounds", "price": {"amount": 100, "currency": "GBP"}},
            key=stage.new_key(),
        )
    assert (other.value.status, other.value.slug) == (422, "invalid-price")


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
