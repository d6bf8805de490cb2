"""A shop whose services call each other through the mesh: an order is confirmed, no attack gets through, and a new
version of products gets a growing share of the calls while orders flow.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from infra.demo.stage import Product, Stage, is_paid
from infra.local import build
from infra.local.cloud import REGION
from infra.local.deploy import Deployment
from infra.local.mesh import LocalIngress, Sidecars
from infra.local.processes import is_free, wait_until
from infra.local.stack import Stack
from infra.local.up import LocalShop
from infra.mesh import policy
from infra.mesh.command import mesh as command
from infra.operator import target
from infra.operator.accounts import promote
from infra.operator.client import Json, Session, Shop, poll
from infra.operator.inventory import inventory
from infra.operator.target import Account
from infra.replay import ledger
from issuer.authority import issue, make_authority
from issuer.identities import Identity
from tests.e2e.order_flow import OrderFlow
from tests.kit.sidecars import weights

pytestmark = pytest.mark.spoiling  # a second stack, in the same local cloud

NAME = "mercato-mesh"
MERCATO = str(Path(sys.executable).parent / "mercato")
LOOKUP = "/products/live/api/products/lookup"
Signed = dict[str, str]
_SHOWN = (
    "spiffe://mercato/orders",
    "spiffe://mercato/carts",
)  # in the attacks, and no other caller is at work meanwhile


@dataclass(frozen=True)
class Meshed:
    """The shop, its first admin, and its ingress."""

    stack: Stack
    shop: Shop
    admin: Session
    ingress: LocalIngress
    state: Path  # the file with which the operator's commands find it

    @property
    def host(self) -> str:
        return f"{self.stack.outputs['MeshIngress']}.execute-api.localhost"

    def identity(self, service: str) -> Identity:
        """A stolen certificate and its key."""
        secret = self.stack.secrets[f"{service.capitalize()}Identity"]
        text = self.stack.cloud.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        found = Identity.from_json(text)
        assert found is not None
        return found

    def keys(self, function: str) -> Credentials:
        """A function's stolen keys: its role's, in a session with the function's name, as Lambda makes it."""
        name = self.stack.functions[function]
        role = self.stack.cloud.client("lambda").get_function_configuration(FunctionName=name)["Role"]
        found = self.stack.cloud.client("sts").assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    def signed(self, keys: Credentials | None, path: str) -> Signed:
        headers = {"Content-Type": "application/json", "Host": self.host, "X-Request-ID": str(uuid.uuid4())}
        request = AWSRequest("POST", f"http://{self.host}{path}", headers=headers, data=b'{"product_ids": []}')
        if keys is not None:
            SigV4Auth(keys, "execute-api", REGION).add_auth(request)
        return dict(request.headers.items())

    def call(self, identity: Identity | None, path: str, headers: Signed, folder: Path) -> int:
        """Calls the ingress past any sidecar. Returns the status, or 0 if the connection was refused."""
        trusted = self.identity("orders").authorities
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=trusted)
        if identity is not None:
            pem = folder / "client.pem"
            pem.write_text(identity.certificate + identity.key)
            context.load_cert_chain(pem)
        connection = HTTPSConnection("127.0.0.1", self.ingress.port, context=context, timeout=30)
        try:
            connection.request("POST", path, b'{"product_ids": []}', headers)
            return connection.getresponse().status
        except (ssl.SSLError, ConnectionError):
            return 0
        finally:
            connection.close()

    def lines(self, service: str, message: str) -> list[dict[str, Any]]:
        """The lines of the service's log with this message."""
        group = f"/aws/lambda/{self.stack.functions[f'{service.capitalize()}Api']}"
        pages = self.stack.cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        texts = (event["message"] for page in pages for event in page["events"])
        found = (json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{"))
        return [line for line in found if line.get("message") == message]

    def ingress_lines(self, message: str) -> list[dict[str, Any]]:
        texts = self.ingress.child.log.read_text().splitlines(keepends=True)
        found = (json.loads(line) for line in texts if line.startswith("{") and line.endswith("\n"))
        return [line for line in found if line["message"] == message]

    def told(self, call: str, about: str) -> str:
        """What the ingress's log says about the call, which `call` has named. Envoy writes it a moment later."""

        def look() -> list[dict[str, Any]]:
            return [line for line in self.ingress_lines("ingress call") if line["correlation_id"] == call]

        [line] = poll(look, bool, what="a line of the ingress's log", within=30)
        return str(line[about])


@pytest.fixture(scope="module")
def meshed(running: LocalShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meshed]:
    ingress = LocalIngress(running.cloud)
    template = build.prepare(tmp_path_factory.mktemp("mesh"), mesh=True)
    sidecars = replace(Sidecars.of(ingress.address, template), weights_fresh=1)
    chosen = {"Mesh": "on", "ShopUrl": "https://mesh.shop.test", "ConsoleUrl": "https://mesh-console.shop.test"}
    Deployment(running.cloud, NAME, running.functions_endpoint, running.code, sidecars=sidecars).deploy(
        template, chosen
    )
    stack = Stack.read(running.cloud, NAME)
    try:
        ingress.start(stack)
        stack.register_local_urls(running.functions_endpoint)
        stack.verify_sender()
        stack.make_signing_keys()
        shop = Shop(stack.api_url())
        account = Account(f"{uuid.uuid4()}@example.com", "correct horse battery")
        shop.register(account.email, account.password, "Ada Admin")
        state = stack.state(stack.api_url(), running.functions_endpoint, account, account, "", ingress.address)
        promote(state, account.email)
        path = tmp_path_factory.mktemp("state") / "state.json"
        target.save(state, path)
        yield Meshed(stack, shop, shop.login(account.email, account.password), ingress, path)
        shop.close()
    finally:
        ingress.stop()


@pytest.fixture(scope="module")
def order(meshed: Meshed) -> Json:
    """A paid order, as it was when the API had taken it."""
    stage = Stage(meshed.shop, meshed.admin, meshed.stack.cloud.endpoint, 120)
    vase = stage.new_product("Vase", 2500, stock=3)
    placed = stage.order(meshed.admin, vase, 1)
    meshed.admin.wait_for_order(placed["order_id"], is_paid, what="paid", within=120)
    return placed


def test_an_order_is_confirmed_and_each_peer_call_of_it_has_a_certificate(meshed: Meshed, order: Json) -> None:
    [asked] = {
        line["correlation_id"]
        for line in meshed.lines("orders", "request")
        if (line.get("method"), line.get("path"), line["status"]) == ("POST", "/api/orders", 202)
    }
    called = {
        (service, line.get("peer"), line["status"])
        for service in set(policy.read().services) - {"orders"}
        for line in meshed.lines(service, "request")
        if line["correlation_id"] == asked
    }
    assert called == {("checkout", "orders", 200), ("products", "checkout", 200), ("shipping", "checkout", 200)}

    def through() -> set[str]:
        return {line["caller"] for line in meshed.ingress_lines("ingress call") if line["correlation_id"] == asked}

    wanted = {"spiffe://mercato/orders", "spiffe://mercato/checkout"}  # documents asks later
    poll(through, lambda found: wanted <= found, what="in the ingress's log", within=30)


def test_the_storefront_s_pages_come_through_the_mesh(meshed: Meshed, order: Json) -> None:
    assert httpx.get(meshed.stack.site_url("StorefrontSite") + "/", timeout=60).status_code == 200
    assert "storefront" in {line.get("peer") for line in meshed.lines("products", "request")}


def test_stolen_certificates_or_keys_alone_open_nothing(meshed: Meshed, order: Json, tmp_path: Path) -> None:
    orders, carts = meshed.identity("orders"), meshed.keys("CartsApi")
    own = meshed.signed(meshed.keys("OrdersApi"), LOOKUP)
    assert meshed.call(orders, LOOKUP, own, tmp_path) == 200, "the attacks would prove nothing"
    assert meshed.told(own["X-Request-ID"], "caller") == "spiffe://mercato/orders"

    known = len(meshed.lines("products", "mesh call refused"))
    forged = {"X-Forwarded-Client-Cert": 'Subject="CN=carts";URI=spiffe://mercato/carts', "X-Mesh-Proof": "guessed"}
    other, none, lying = (meshed.signed(keys, LOOKUP) for keys in (carts, None, carts))
    for headers in (other, none, lying | forged):
        assert meshed.call(orders, LOOKUP, headers, tmp_path) == 403
        assert meshed.told(headers["X-Request-ID"], "status") == "403"
    refused = meshed.lines("products", "mesh call refused")[known:]
    # IAM has refused the one without keys, before the callee.
    assert [(line["subject"], line["peer_arn"].rpartition("/")[2]) for line in refused] == [
        ("CN=orders", f"{NAME}-carts-api")
    ] * 2


def test_without_a_certificate_of_this_mesh_nobody_gets_in(meshed: Meshed, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = make_authority(key, datetime.now(UTC))
    leaf = issue(authority, key, "orders", "spiffe://mercato/orders", datetime.now(UTC))
    known = len(meshed.ingress_lines("ingress connection"))
    stolen = meshed.signed(meshed.keys("OrdersApi"), LOOKUP)
    for shown in (None, Identity.make(*leaf, "")):
        assert meshed.call(shown, LOOKUP, stolen, tmp_path) == 0

    def told() -> list[str]:
        """Without connections of others, whose sockets may be closed meanwhile (reset, or a broken pipe)."""
        lines = meshed.ingress_lines("ingress connection")[known:]
        return [line["failure"] for line in lines if line["failure"] and "system_library" not in line["failure"]]

    failures = poll(told, lambda found: len(found) == 2, what="in the log", within=30)
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in failures[0]
    assert "CERTIFICATE_VERIFY_FAILED" in failures[1]


def test_a_call_that_the_policy_does_not_list_ends_at_the_ingress(meshed: Meshed, tmp_path: Path) -> None:
    orders, keys = meshed.identity("orders"), meshed.keys("OrdersApi")
    for path in ("/products/live/api/products", "/users/live/api/users/login", "/products/stable/api/products/lookup"):
        headers = meshed.signed(keys, path)
        assert meshed.call(orders, path, headers, tmp_path) == 403
        assert meshed.told(headers["X-Request-ID"], "why").startswith("rbac_access_denied")


def test_nobody_comes_past_the_ingress(meshed: Meshed, order: Json) -> None:
    """Orders' own keys, to the API behind the ingress and to the function's URL."""
    keys, cloud = meshed.keys("OrdersApi"), meshed.stack.cloud
    certificate = {"X-Forwarded-Client-Cert": 'Subject="CN=orders";URI=spiffe://mercato/orders', "X-Mesh-Proof": "x"}
    for headers in (meshed.signed(keys, LOOKUP), meshed.signed(keys, LOOKUP) | certificate):
        answer = httpx.post(f"{cloud.endpoint}{LOOKUP}", content=b'{"product_ids": []}', headers=headers, timeout=30)
        assert answer.status_code == 403
    assert cloud.child.log.read_text().count(f"mesh call refused: POST {LOOKUP} came past the ingress") == 2
    url = cloud.endpoint + meshed.stack.function_url_paths()["products"] + "/api/products/lookup"
    direct = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=b'{"product_ids": []}')
    SigV4Auth(keys, "lambda", REGION).add_auth(direct)
    answer = httpx.post(url, content=b'{"product_ids": []}', headers=dict(direct.headers.items()), timeout=30)
    assert answer.status_code == 403
    assert "lambda:InvokeFunctionUrl" in answer.text


def give_to_canary(meshed: Meshed, percent: int) -> None:
    """The operator's command. Returns when the sidecars of all callers that an order has follow."""
    done = CliRunner().invoke(command, ["weight", "products", f"canary={percent}"])
    assert done.exit_code == 0, done.output
    wanted = {"live": 100 - percent, "canary": percent}
    poll(
        lambda: weights(meshed.stack.cloud.home, "checkout", "products"),
        lambda found: bool(found) and all(one == wanted for one in found),
        what=f"followed by the sidecars: {wanted}",
        within=60,
    )


@pytest.fixture
def publish(meshed: Meshed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Publishes a version of products with these settings, to which the alias `canary` leads, as a deploy does it. The
    version before stays live.
    """
    monkeypatch.setenv("MERCATO_STATE", str(meshed.state))
    functions, name = meshed.stack.cloud.client("lambda"), meshed.stack.functions["ProductsApi"]
    settings = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def made(changed: dict[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": settings | changed})
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.update_alias(FunctionName=name, Name="canary", FunctionVersion=version)

    yield made
    live = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": settings})
    functions.update_alias(FunctionName=name, Name="canary", FunctionVersion=live)


def lookups(meshed: Meshed) -> list[tuple[str, int]]:
    """Version and status of each call that an order's prices made, as the caller's sidecar has logged it."""
    return [
        (line["version"], line["status"])
        for line in meshed.lines("checkout", "mesh call")
        if line["call"].endswith("POST /api/products/lookup")
    ]


def answered_from_now(meshed: Meshed, flow: OrderFlow, buyers: list[Session]) -> set[tuple[str, int]]:
    """Version and status of the calls that four more orders make, once those on their way have ended."""
    flow.flow(len(buyers))
    known = len(lookups(meshed))
    flow.flow(4)
    return set(lookups(meshed)[known:])


def require_balance(meshed: Meshed, stage: Stage, vase: Product, flow: OrderFlow, buyers: list[Session]) -> None:
    """Each order was taken once and paid in full, and the stock is what was not sold."""
    assert {end["order_id"] for end in flow.ends} == {
        order["order_id"] for buyer in buyers for order in pages_of(buyer, "/orders")
    }
    payments = ledger.payments_of(meshed.admin, [end["order_id"] for end in flow.ends], 2)
    assert sum(one.captured - one.refunded for one in payments) == sum(end["total"]["amount"] for end in flow.ends)
    left = vase.stock - len(flow.ends)
    assert stage.wait_for(lambda: stage.stock(vase)["available"], lambda found: found == left) == left
    assert meshed.admin.get("/payments/mismatches")["items"] == []
    audit = CliRunner().invoke(inventory, ["audit"])
    assert audit.exit_code == 0, audit.output


def pages_of(session: Session, path: str) -> list[Json]:
    page = session.get(path)
    found = list(page["items"])
    while page["next_cursor"]:
        page = session.get(path, cursor=page["next_cursor"])
        found += page["items"]
    return found


@pytest.mark.long
def test_every_story_of_the_demo_ends_as_it_should(meshed: Meshed) -> None:
    told = subprocess.run(
        [MERCATO, "demo"],
        env=os.environ | {"MERCATO_STATE": str(meshed.state), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "17 of 17 ended as they should." in told.stdout
    assert {line["status"] for line in meshed.lines("checkout", "mesh call")} == {200}


@pytest.mark.long
def test_a_new_version_gets_ten_fifty_and_all_of_the_calls_and_no_order_fails(
    meshed: Meshed, publish: Callable[[dict[str, str]], None]
) -> None:
    stage = Stage(meshed.shop, meshed.admin, meshed.stack.cloud.endpoint, 120)
    vase, buyers = stage.new_product("Vase of the canary", 900, stock=500), [stage.new_customer("Vera") for _ in "123"]
    publish({"POWERTOOLS_SERVICE_NAME": "products-next"})
    with OrderFlow(stage, vase, buyers) as flow:
        flow.flow(1)
        for percent in (10, 50):
            give_to_canary(meshed, percent)
            known = len(lookups(meshed))
            poll(
                lambda known=known: {version for version, _ in lookups(meshed)[known:]},  # type: ignore[misc]
                lambda found: found == {"live", "canary"},
                what=f"both versions at {percent} %",
                within=180,
            )
        give_to_canary(meshed, 100)
        assert answered_from_now(meshed, flow, buyers) == {("canary", 200)}
    assert flow.failed == []
    answered = {line["service"] for line in meshed.lines("products", "request") if line.get("peer") == "checkout"}
    assert answered == {"products", "products-next"}, "the alias leads to the new version"
    require_balance(meshed, stage, vase, flow, buyers)


@pytest.mark.long
def test_a_bad_version_with_a_tenth_of_the_calls_is_seen_and_taken_back_and_no_order_fails(
    meshed: Meshed, publish: Callable[[dict[str, str]], None]
) -> None:
    stage = Stage(meshed.shop, meshed.admin, meshed.stack.cloud.endpoint, 120)
    vase, buyers = stage.new_product("Vase that is bad", 900, stock=500), [stage.new_customer("Vi") for _ in "123"]
    publish({"TABLE_NAME": "no-such-table"})
    with OrderFlow(stage, vase, buyers) as flow:
        flow.flow(1)
        known = len(lookups(meshed))
        give_to_canary(meshed, 10)
        poll(
            lambda: lookups(meshed)[known:],
            lambda found: any(version == "canary" and status >= 500 for version, status in found),
            what="called: the bad version",
            within=180,
        )
        give_to_canary(meshed, 0)
        assert answered_from_now(meshed, flow, buyers) == {("live", 200)}
    assert flow.failed == []
    shown = CliRunner().invoke(command, ["graph"], env={"COLUMNS": "160"})
    assert re.search(r"checkout +│ products canary +│ +\d+ +│ +[1-9]", shown.output), shown.output
    require_balance(meshed, stage, vase, flow, buyers)


def test_an_ingress_that_is_closed_leaves_no_envoy(meshed: Meshed) -> None:
    """The last test of this shop."""
    meshed.ingress.stop()
    assert wait_until(lambda: is_free(meshed.ingress.port), 10), "Envoy ends when the ingress's process has ended"
