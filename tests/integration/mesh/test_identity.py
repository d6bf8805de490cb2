"""Who gets through the ingress, with which certificate."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import ssl
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer.identities import Identity
from tests.integration.mesh.conftest import Authority, Mesh, wait_for


def test_a_listed_call_arrives_signed_with_the_caller_s_name(mesh: Mesh) -> None:
    mesh.give("orders")
    orders = mesh.start("orders")
    answer = orders.look_up(X_Request_Id="request-0001", X_Forwarded_Client_Cert="URI=spiffe://mercato/ops")
    assert (answer.status, json.loads(answer.body)) == (200, {"version": "live"})
    [seen] = mesh.cloud.seen
    assert (seen.method, seen.service, seen.version, seen.path) == ("POST", "products", "live", "/api/products/lookup")
    assert seen.headers["host"] == "mesh.shop.example"
    assert "URI=spiffe://mercato/orders" in seen.headers["x-forwarded-client-cert"], "the ingress replaces a forged one"
    assert "ops" not in seen.headers["x-forwarded-client-cert"]
    assert seen.headers["x-mesh-proof"] == "proof-of-the-ingress"
    assert seen.headers["x-request-id"] == "request-0001"
    assert "/eu-west-1/execute-api/aws4_request" in seen.headers["authorization"]
    assert "x-mesh-to" not in seen.headers


@pytest.mark.parametrize(
    ("method", "path", "to"),
    [
        ("GET", "/api/products/lookup/more", "products"),
        ("DELETE", "/api/products/p-1", "products"),
        ("GET", "/health", "products"),
        ("POST", "/api/products/../users/lookup", "products"),
        ("GET", "/api/products/a%2Fb", "products"),
        ("GET", "/api/payments/p-1", "payments"),
    ],
)
def test_the_sidecar_refuses_what_is_not_listed(mesh: Mesh, method: str, path: str, to: str) -> None:
    mesh.give("orders")
    orders = mesh.start("orders")
    assert orders.call(method, path, to=to).status in (400, 403)
    assert mesh.cloud.seen == []


def said_by_the_ingress(mesh: Mesh, message: str) -> list[dict[str, Any]]:
    return [line for line in mesh.ingress.log() if line["message"] == message]


def raw_call(mesh: Mesh, identity: Identity | None, path: str, *, folder: Path) -> str:
    """Calls the ingress past any sidecar. Returns the status line, or the name of the error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=mesh.authority.pem)
    if identity is not None:
        pem = folder / "client.pem"
        pem.write_text(identity.certificate + identity.key)
        context.load_cert_chain(pem)
    forged = "X-Forwarded-Client-Cert: URI=spiffe://mercato/orders\r\n"
    try:
        with socket.create_connection(("127.0.0.1", mesh.ingress.port), 60) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{forged}\r\n".encode())
            return tls.recv(100).decode().partition("\r\n")[0] or "closed"
    except (ssl.SSLError, OSError) as error:
        return type(error).__name__


def test_the_ingress_lets_only_valid_certificates_of_its_authority_through(mesh: Mesh, tmp_path: Path) -> None:
    path = "/products/live/api/products/lookup"
    good = mesh.authority.identity("orders")
    assert raw_call(mesh, good, path, folder=tmp_path) == "HTTP/1.1 200 OK"
    expired = mesh.authority.identity("orders", age=timedelta(hours=25))
    foreign = Authority().identity("orders")
    for name, identity in {"none": None, "expired": expired, "foreign": foreign}.items():
        assert not raw_call(mesh, identity, path, folder=tmp_path).startswith("HTTP"), name
    assert len(mesh.cloud.seen) == 1

    def failures() -> list[str]:
        """Without the end of the good call, whose socket the client may have closed (reset, or a broken pipe)."""
        told = [line["failure"] or "" for line in said_by_the_ingress(mesh, "ingress connection")]
        return [failure for failure in told if failure and "system_library" not in failure]

    wait_for(lambda: len(failures()) == 3, "each refusal is a line of the ingress's log")
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in failures()[0]
    assert [("CERTIFICATE_VERIFY_FAILED" in failure) for failure in failures()[1:]] == [True, True]


def test_the_ingress_speaks_no_plain_http(mesh: Mesh) -> None:
    with socket.create_connection(("127.0.0.1", mesh.ingress.port), 60) as plain:
        plain.sendall(b"POST /products/live/api/products/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert plain.recv(100) == b""
    assert mesh.cloud.seen == []


@pytest.mark.parametrize(
    ("identity", "path"),
    [
        ("ops", "/products/live/api/products/lookup"),
        ("carts", "/products/live/api/products/p-1"),
        ("orders", "/orders/live/api/orders"),
        ("orders", "/products/gamma/api/products/lookup"),
        ("orders", "/api/products/lookup"),
        ("stranger", "/products/live/api/products/lookup"),
    ],
)
def test_the_ingress_refuses_identities_that_the_policy_does_not_list(
    mesh: Mesh, tmp_path: Path, identity: str, path: str
) -> None:
    shown = mesh.authority.identity(identity)
    assert raw_call(mesh, shown, path, folder=tmp_path) == "HTTP/1.1 403 Forbidden"
    assert mesh.cloud.seen == []
    calls = functools.partial(said_by_the_ingress, mesh, "ingress call")
    wait_for(calls, "the ingress logs each call", 20)
    [line] = calls()
    assert (line["caller"], line["status"]) == (f"spiffe://mercato/{identity}", 403)


def test_an_ingress_with_another_name_gets_no_call(mesh: Mesh) -> None:
    mesh.give("orders")
    mesh.ingress.use(mesh.authority.identity("users"))
    orders = mesh.start("orders")
    wait_for(lambda: orders.look_up().status == 503, "the sidecar checks whom it calls")
    mesh.ingress.use(mesh.authority.identity("ingress"))
    wait_for(lambda: orders.look_up().status == 200, "the right certificate came")


def test_without_an_identity_calls_fail_until_there_is_one(mesh: Mesh) -> None:
    orders = mesh.start("orders")
    assert not orders.refresher.has_identity
    assert orders.look_up().status == 503
    assert mesh.cloud.seen == []
    assert "the mesh keeps its old identity" in orders.said
    mesh.give("orders")
    orders.refresher._due["identity"] = 0  # as five seconds later
    orders.refresher.refresh()
    wait_for(lambda: orders.look_up().status == 200, "the identity came late")


def test_a_throttled_reading_of_the_first_identity_is_repeated_before_the_first_call(mesh: Mesh) -> None:
    mesh.give("orders")
    mesh.cloud.throttles = 3
    orders = mesh.start("orders")  # it has used one
    assert not orders.refresher.has_identity
    orders.refresher.read_first(3)
    assert mesh.cloud.asked["GetSecretValue"] == 4
    wait_for(lambda: orders.look_up().status == 200, "the identity is used")


def test_the_first_reading_ends_in_time_without_an_identity(mesh: Mesh) -> None:
    orders = mesh.start("orders")
    began = time.monotonic()
    orders.refresher.read_first(0.5)
    assert time.monotonic() - began < 3
    assert 2 <= mesh.cloud.asked["GetSecretValue"] <= 4
    assert not orders.refresher.has_identity


def test_another_service_s_secret_is_no_identity_of_ours(mesh: Mesh) -> None:
    """A certificate of carts in the sandbox of orders: the ingress knows whom it names."""
    mesh.give("orders", mesh.authority.identity("carts"))
    orders = mesh.start("orders")
    wait_for(lambda: orders.look_up().status == 200, "carts may call this too")
    assert orders.call("GET", "/api/products/p-1").status == 403
