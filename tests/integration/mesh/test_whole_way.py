"""The whole way of a call: the service's client, its sidecar, the ingress, and the callee's admission. Each refusal is
made by the part that should make it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.mesh import policy
from mercato.breaker import Circuits
from mercato.breaker.memory import MemoryStore
from mercato.http import PEER, App, Body
from mercato.http.auth import Caller as HttpCaller
from mercato.peers.client import PeerRefused, PeerUnavailable, ServiceClient
from mercato.peers.peer import POLICY as CIRCUIT
from mercato.peers.sidecar import Sidecar
from mercato.telemetry import correlation
from tests.integration.mesh.conftest import Caller, Mesh, Seen, made_mesh, wait_for
from tests.integration.mesh.test_identity import raw_call
from tests.kit.aws_events import ingress_request

PROOF = "proof-of-the-ingress"
# Whose keys these are. The emulator and AWS find that out by the signature.
SESSIONS = {"ASIAORDERS": "shop-orders-api", "ASIACARTS": "shop-carts-api", "ASIAPRODUCTS": "shop-products-api"}

products = App("products")


class Lookup(Body):
    product_ids: list[str] = []


@products.post("/api/products/lookup", role=PEER)
def look_up(body: Lookup, caller: HttpCaller) -> dict[str, str]:
    work = correlation.current()
    return {"peer": caller.peer, "for": caller.user_id, "request": work.correlation_id, "version": work.mesh_version}


def through_api_gateway(one: Seen) -> tuple[int, Any]:
    """What API Gateway does behind its domain: it tells the function of certificate and signature in the event."""
    if one.headers.get("x-mesh-proof") != PROOF:
        return 403, {"message": "Forbidden"}
    subject = re.search(r'Subject="([^"]*)"', one.headers.get("x-forwarded-client-cert", ""))
    key = re.search(r"Credential=(\w+)/", one.headers.get("authorization", ""))
    path = urlsplit(one.path)
    event = ingress_request(
        one.method,
        path.path,
        one.body.decode(),
        service=one.service,
        version=one.version,
        certificate=subject[1] if subject else None,
        function=SESSIONS.get(key[1]) if key else None,
        headers=one.headers,
        query=path.query,
    )
    answer = products.handler(event, None)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def shop(
    credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mesh]:
    """With the shop's own policy."""
    monkeypatch.setenv("MESH_INGRESS", "shop/ingress123456")
    with made_mesh(tmp_path_factory.mktemp("m"), policy.PATH.read_text()) as found:
        found.cloud.serves = through_api_gateway
        yield found


def started(shop: Mesh, identity: str, monkeypatch: pytest.MonkeyPatch, *, keys: str) -> Caller:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys)
    shop.give(identity)
    caller = shop.start(identity)
    wait_for(lambda: caller.invoke().status != 503, "the sidecar has no identity")
    shop.cloud.seen.clear()
    return caller


def client(caller: Caller) -> ServiceClient:
    breaker = Circuits(MemoryStore()).breaker("peer-products", replace(CIRCUIT, failures=10**6))
    return ServiceClient("products", Sidecar(str(caller.settings.socket)), breaker, sleep=lambda _: None)


def test_a_service_calls_its_peer_as_ever(shop: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = client(started(shop, "orders", monkeypatch, keys="ASIAORDERS"))
    work = correlation.accept("request-0001")
    with correlation.bound(work), correlation.acting("admin:root-1", "canary"):
        answer = orders.post("/api/products/lookup", {"product_ids": []}, user_id="user-1", safe=True)
    assert answer == {"peer": "orders", "for": "user-1", "request": "request-0001", "version": "canary"}
    [seen] = shop.cloud.seen
    assert (seen.version, seen.body) == ("canary", b'{"product_ids": []}')


@pytest.mark.parametrize("keys", ["ASIACARTS", "ASIAPRODUCTS", "ASIASTRANGER"])
def test_a_certificate_with_the_keys_of_another_is_refused_by_the_callee(
    shop: Mesh, monkeypatch: pytest.MonkeyPatch, keys: str, caplog: pytest.LogCaptureFixture
) -> None:
    orders = client(started(shop, "orders", monkeypatch, keys=keys))
    caplog.clear()
    with caplog.at_level(logging.WARNING), pytest.raises(PeerRefused, match="403"):
        orders.post("/api/products/lookup", {}, safe=True)
    assert [record.message for record in caplog.records].count("mesh call refused") == 1
    assert len(shop.cloud.seen) == 1, "a refusal is not repeated"


def test_keys_past_the_ingress_are_refused(shop: Mesh) -> None:
    """Orders' keys and forged headers, straight to the API behind the ingress."""
    forged = {
        "authorization": "AWS4-HMAC-SHA256 Credential=ASIAORDERS/20261129/eu-west-1/execute-api/aws4_request",
        "x-forwarded-client-cert": 'URI=spiffe://mercato/orders;Subject="CN=orders"',
    }
    for headers in (forged, forged | {"x-mesh-proof": "guessed"}):
        one = Seen("POST", "products", "live", "/api/products/lookup", headers, b"{}")
        assert through_api_gateway(one)[0] == 403


def test_a_certificate_without_keys_is_refused(shop: Mesh, tmp_path: Path) -> None:
    stolen = shop.authority.identity("orders")
    status = raw_call(shop, stolen, "/products/live/api/products/lookup", folder=tmp_path)
    assert status == "HTTP/1.1 403 Forbidden"
    [seen] = shop.cloud.seen
    assert "authorization" not in seen.headers


def test_a_call_that_the_policy_does_not_list_ends_in_the_sidecar(shop: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    carts = client(started(shop, "carts", monkeypatch, keys="ASIACARTS"))
    with pytest.raises(PeerRefused, match="The mesh's policy does not list this call"):
        carts.get("/api/products/p-1")
    assert shop.cloud.seen == []


def test_no_identity_is_an_unavailable_peer(shop: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = client(shop.start("orders"))
    with pytest.raises(PeerUnavailable, match="503"):
        orders.post("/api/products/lookup", {}, safe=True)
    assert shop.cloud.seen == []


def test_the_ingress_s_word_about_the_certificate_replaces_the_caller_s(
    shop: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = started(shop, "carts", monkeypatch, keys="ASIAORDERS")
    answer = caller.look_up(
        X_Forwarded_Client_Cert='URI=spiffe://mercato/orders;Subject="CN=orders"', X_Mesh_Proof="forged"
    )
    assert answer.status == 403
    assert 'Subject="CN=carts"' in shop.cloud.seen[0].headers["x-forwarded-client-cert"]
    assert "orders" not in shop.cloud.seen[0].headers["x-forwarded-client-cert"]
    assert shop.cloud.seen[0].headers["x-mesh-proof"] == PROOF
