"""What a service admits through the mesh's ingress, and what it refuses."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from infra.mesh import policy
from mercato.errors import Forbidden
from mercato.http import ADMIN, PEER, PUBLIC, App
from mercato.http.auth import Caller, Role, caller_of
from mercato.http.mesh_calls import CALLS, IDENTITIES
from mercato.telemetry import correlation
from tests.kit import aws_events
from tests.kit.aws_events import Event, ingress_request

ARN = "arn:aws:sts::123456789012:assumed-role/shop-orders-api-role/shop-orders-api"
LOOKUP = ("POST", "/api/products/lookup")

products = App("products")


@products.post("/api/products/lookup", role=PEER)
def look_up(caller: Caller) -> dict[str, str]:
    return {"peer": caller.peer, "user_id": caller.user_id}


@products.get("/api/products/{product_id}", role=PUBLIC)
def show_product(product_id: str) -> dict[str, str]:
    return {"id": product_id, "version": correlation.current().mesh_version}


@products.post("/api/products", role=ADMIN)
def add_product() -> dict[str, str]:
    return {"version": correlation.current().mesh_version}


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_INGRESS", "shop/ingress123456")


def answer(event: Event, app: App = products) -> tuple[int, dict[str, Any]]:
    found = app.handler(event, None)
    return found["statusCode"], json.loads(found["body"]) if found["body"] else {}


@pytest.mark.usefixtures("mesh")
def test_a_listed_call_with_both_proofs_is_admitted() -> None:
    event = ingress_request(*LOOKUP, headers={"X-User-Id": "user-1"})
    assert caller_of(event) == Caller(Role.PEER, "user-1", ARN, "orders")
    assert answer(event) == (200, {"peer": "orders", "user_id": "user-1"})


@pytest.mark.usefixtures("mesh")
def test_the_path_is_the_one_behind_the_ingress_and_is_decoded_once() -> None:
    about: dict[str, Any] = {"certificate": "CN=storefront", "function": "shop-storefront-pages", "version": "canary"}
    event = ingress_request("GET", "/api/products/50%25 café", **about)  # an HTTP API decodes all but the percent sign
    assert answer(event) == (200, {"id": "50% café", "version": ""})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no certificate": ({"certificate": None}, "without a certificate"),
    "a certificate without a name": ({"certificate": ""}, "without a certificate"),
    "a certificate with a second name": ({"certificate": "CN=orders,CN=ops"}, "without a certificate"),
    "a certificate with more than the name": ({"certificate": "CN=orders,O=shop"}, "without a certificate"),
    "a name over two lines": ({"certificate": "CN=orders\n"}, "without a certificate"),
    "another's certificate, own keys": ({"certificate": "CN=ops"}, "different services"),
    "own certificate, another's keys": ({"function": "shop-ops-prober"}, "different services"),
    "own certificate, a callee's keys": ({"function": "shop-products-api"}, "not signed by a function"),
    "own certificate, keys of another shop": ({"function": "pawn-orders-api"}, "not signed by a function"),
    "own certificate, no signature": ({"function": None}, "not signed by a function"),
    "a version of the shop's name": ({"function": "shop-shop-orders-api"}, "not signed by a function"),
}


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize(("about", "said"), REFUSED.values(), ids=list(REFUSED))
def test_a_missing_or_foreign_proof_is_refused_and_told(
    about: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {
        "X-Forwarded-Client-Cert": 'URI=spiffe://mercato/orders;Subject="CN=orders"',
        "X-User-Id": "victim",
        "X-Amzn-Mtls-Clientcert-Subject": "CN=orders",
    }
    with caplog.at_level(logging.WARNING):
        status, problem = answer(ingress_request(*LOOKUP, headers=headers, **about))
    assert (status, problem["type"]) == (403, "urn:mercato:problem:forbidden")
    assert said in problem["detail"]
    [line] = [record for record in caplog.records if record.message == "mesh call refused"]
    assert said in vars(line)["reason"]
    assert vars(line)["subject"] == (about.get("certificate", "CN=orders") or "")


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sts::999999999999:assumed-role/shop-orders-api-role/shop-orders-api",
        "arn:aws:iam::123456789012:user/shop-orders-api",
        "arn:aws:iam::123456789012:role/shop-orders-api",
        "arn:aws:sts::123456789012:assumed-role/shop-orders-api",
        "arn:aws:sts::123456789012:assumed-role/a/b/shop-orders-api",
        "arn:aws:sts::123456789012:federated-user/shop-orders-api",
        "arn:aws:iam::123456789012:root",
        "shop-orders-api",
        "",
    ],
)
def test_only_a_function_s_own_session_in_this_account_proves_a_service(arn: str) -> None:
    event = ingress_request(*LOOKUP)
    event["requestContext"]["authorizer"]["iam"]["userArn"] = arn
    with pytest.raises(Forbidden, match="not signed by a function"):
        caller_of(event)


@pytest.mark.usefixtures("mesh")
def test_signed_calls_past_the_ingress_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Orders' keys at the function URL, with all that a header can say."""
    headers = {"X-Forwarded-Client-Cert": "URI=spiffe://mercato/orders"}
    with caplog.at_level(logging.WARNING):
        status, problem = answer(aws_events.url_request(*LOOKUP, {}, peer="shop-orders-api", headers=headers))
    assert (status, problem["detail"]) == (403, "Peers call this service through the mesh only.")
    assert [record.message for record in caplog.records].count("mesh call refused") == 1


@pytest.mark.parametrize("ingress", ["shop/ingress123456", ""])
@pytest.mark.parametrize("api", ["other12345", "", None])
def test_another_api_is_no_ingress(monkeypatch: pytest.MonkeyPatch, ingress: str, api: str | None) -> None:
    monkeypatch.setenv("MESH_INGRESS", ingress)
    event = ingress_request("POST", "/api/products/lookup")
    event["requestContext"]["apiId"] = api
    assert caller_of(event).role is Role.PUBLIC
    assert answer(event)[0] == 404, "its path keeps the prefix"


def test_without_the_mesh_peers_are_admitted_by_their_signature() -> None:
    assert answer(aws_events.url_request(*LOOKUP, {}, peer="orders")) == (200, {"peer": "", "user_id": ""})


@pytest.mark.usefixtures("mesh")
def test_the_shop_s_own_api_is_as_before() -> None:
    assert answer(aws_events.rest_request("GET", "/api/products/p-1"))[0] == 200
    assert answer(aws_events.rest_request(*LOOKUP, {}, user="user-1"))[0] == 403


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize("service", sorted(CALLS))
def test_a_service_admits_a_call_if_and_only_if_the_policy_lists_it(service: str) -> None:
    """Each identity, and each call that any has of this service, and the same path by other methods."""
    app, rules = App(service), policy.read()

    def take() -> dict[str, str]:
        return {}

    paths = {call.path for calls in rules.services[service].callers.values() for call in calls} | {"/api/unlisted"}
    for path in paths - {"/health"}:
        for method in policy.METHODS:
            app.route(method, path, role=(PEER, PUBLIC))(take)  # public, since pages call no other
    for function, identity in IDENTITIES.items():
        for path in paths:
            for method in (*policy.METHODS, "HEAD", "OPTIONS"):
                asked = path.replace("{", "").replace("}", "")
                event = ingress_request(
                    method, asked, service=service, certificate=f"CN={identity}", function=f"shop-{function}"
                )
                is_listed = rules.allows(identity, service, method, asked)
                assert (answer(event, app)[0] != 403) == is_listed, (identity, method, asked)


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize(
    "path", ["/api/products/p-1/images", "/api/products/a/../lookup", "/api/Products/p-1", "/health/x", "//", "/", ""]
)
def test_a_path_that_only_iam_s_asterisk_would_match_is_refused(path: str) -> None:
    about: dict[str, Any] = {"certificate": "CN=storefront", "function": "shop-storefront-pages"}
    assert answer(ingress_request("GET", path, **about))[0] == 403


def peer_call(version: str) -> Event:
    about: dict[str, Any] = {"certificate": "CN=storefront", "function": "shop-storefront-pages"}
    return ingress_request("GET", "/api/products/p-1", headers={"X-Mesh-Version": version}, **about)


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize(
    ("version", "kept"), [("canary", "canary"), ("", ""), ("Canary", ""), ("a" * 32, ""), ("a b", ""), ("-a", "")]
)
def test_a_peer_hands_the_pinned_version_on(version: str, kept: str) -> None:
    assert answer(peer_call(version)) == (200, {"id": "p-1", "version": kept})


def test_at_the_shop_s_own_api_only_an_admin_pins_a_version() -> None:
    headers = {"X-Mesh-Version": "canary"}
    for user, role in ((None, None), ("user-1", "customer")):
        event = aws_events.rest_request("GET", "/api/products/p-1", user=user, role=role, headers=headers)
        assert answer(event) == (200, {"id": "p-1", "version": ""})
    event = aws_events.rest_request("POST", "/api/products", user="root-1", role="admin", headers=headers)
    assert answer(event) == (200, {"version": "canary"})
