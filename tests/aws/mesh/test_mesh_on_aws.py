"""The mesh of a shop on AWS, for whoever has one: what no emulator shows. Nothing is changed for good.

MERCATO_STACK=‹stack› AWS_REGION=‹region› .venv/bin/pytest tests/aws/mesh
"""

from __future__ import annotations

import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from infra.cli import main
from infra.mesh import graph
from infra.mesh.registry import Registry
from infra.operator import target
from infra.operator.target import Target, client

pytestmark = pytest.mark.skipif(
    not os.environ.get("MERCATO_STACK"),
    reason="needs a shop on AWS with a mesh: MERCATO_STACK=‹stack› AWS_REGION=‹region› .venv/bin/pytest tests/aws/mesh",
)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Target:
    named = target.Choice(os.environ["MERCATO_STACK"], os.environ.get("AWS_REGION"))
    monkeypatch.setattr(target, "choice", named)
    return target.chosen()


@pytest.fixture
def domain(shop: Target) -> dict[str, Any]:
    """The ingress's, among those of the account."""
    api_gateway = client(shop, "apigatewayv2")
    for found in api_gateway.get_domain_names()["Items"]:
        mappings = api_gateway.get_api_mappings(DomainName=found["DomainName"])["Items"]
        if shop.outputs["MeshIngress"] in [one["ApiId"] for one in mappings]:
            about: dict[str, Any] = found
            return about
    pytest.fail(f"no domain leads to the ingress {shop.outputs['MeshIngress']}")


def run(*words: str) -> str:
    done = CliRunner().invoke(main, ["--stack", os.environ["MERCATO_STACK"], *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_trust_store_took_the_authority(domain: dict[str, Any]) -> None:
    """An authority on P-256, which no trust store has taken in the project's own tests."""
    assert domain["MutualTlsAuthentication"]["TruststoreUri"].startswith("s3://")
    assert not domain["MutualTlsAuthentication"].get("TruststoreWarnings")


def test_the_api_s_own_name_is_no_way_around(shop: Target) -> None:
    assert client(shop, "apigatewayv2").get_api(ApiId=shop.outputs["MeshIngress"])["DisableExecuteApiEndpoint"] is True


def ask_without_certificate(name: str) -> bytes:
    request = f"GET /products/live/health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    with (
        socket.create_connection((name, 443), 10) as plain,
        ssl.create_default_context().wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        wrapped.sendall(request)
        answer = wrapped.recv(1)
    if not answer:
        raise ConnectionError("it was closed without an answer")
    return answer


def test_without_a_certificate_the_ingress_ends_the_connection(domain: dict[str, Any]) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask_without_certificate(domain["DomainName"])


def test_certificates_and_instances_are_well(shop: Target) -> None:
    assert "The ingress is the API" in run("mesh", "status")


def test_the_same_weights_again_change_nothing(shop: Target) -> None:
    weights = {one.version: one.weight for one in Registry(shop).discover("products")}
    if sum(weights.values()) != 100:
        pytest.skip("the weights of products are those of the template: nobody has set them")
    given = [f"{version}={weight}" for version, weight in weights.items()]
    assert "unchanged" in run("mesh", "weight", "products", *given)


def test_calls_are_in_the_graph_and_in_the_metrics(shop: Target) -> None:
    """The prober calls each service every minute, and carts asks products for `mercato smoke`."""
    run("smoke")
    found, _ = graph.read(shop, timedelta(minutes=15))
    edges = {(edge.caller, edge.peer) for edge in found.edges if edge.calls > edge.errors + edge.refused}
    assert ("ops", "products") in edges
    assert ("carts", "products") in edges
    now = datetime.now(UTC)
    metrics = (
        client(shop, "cloudwatch")
        .get_paginator("list_metrics")
        .paginate(Namespace=f"Mercato/{shop.stack}", MetricName="MeshCalls")
    )
    told = [one for page in metrics for one in page["Metrics"]]
    assert told, f"no MeshCalls until {now:%H:%M}: a sandbox tells them at its first invocation after a minute"
