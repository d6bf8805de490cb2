"""The prober: it calls real servers, and reports their health to Cloud Map and to the operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mercato import aws
from ops.health import probe, prober
from tests.integration.layer.peers import Behaviour, Peer, answer, close, hang, running_peer
from tests.integration.ops.conftest import Desk
from tests.kit import aws_events

SICK = '{"service": "orders", "status": "failing", "checks": {"table": "AccessDeniedException", "queue": "ok"}}'


class Registry:
    """Two services in moto's Cloud Map, orders and users, with one instance each."""

    def __init__(self, instances: dict[str, Peer]) -> None:
        self.cloud_map: Any = boto3.client("servicediscovery")
        self.cloud_map.create_http_namespace(Name="mercato")
        (namespace,) = self.cloud_map.list_namespaces()["Namespaces"]
        self.service_ids: dict[str, str] = {}
        for name, peer in instances.items():
            made = self.cloud_map.create_service(
                Name=name, NamespaceId=namespace["Id"], HealthCheckCustomConfig={"FailureThreshold": 1}
            )
            self.service_ids[name] = made["Service"]["Id"]
            self.cloud_map.register_instance(
                ServiceId=made["Service"]["Id"], InstanceId=f"{name}-1", Attributes={"url": peer.url + "/"}
            )

    def health(self) -> dict[str, str]:
        return {
            name: found["HealthStatus"]
            for name in self.service_ids
            for found in self.cloud_map.discover_instances(
                NamespaceName="mercato", ServiceName=name, HealthStatus="ALL"
            )["Instances"]
        }


@pytest.fixture
def orders() -> Iterator[Peer]:
    with running_peer() as peer:
        yield peer


@pytest.fixture
def users() -> Iterator[Peer]:
    with running_peer() as peer:
        yield peer


@pytest.fixture
def registry(desk: Desk, orders: Peer, users: Peer, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry({"orders": orders, "users": users})
    monkeypatch.setenv("SOURCES", "mercato-orders")
    monkeypatch.setenv("SERVICES", ",".join(f"{name}={found}" for name, found in made.service_ids.items()))
    return made


def run() -> dict[str, int]:
    return prober.handler(aws_events.scheduled_event(), None)


def last_probes(desk: Desk) -> dict[str, dict[str, Any]]:
    status, page = desk.call("GET", "/services")
    assert status == 200
    return {one["instance_id"]: one | one["last_probe"] for service in page["items"] for one in service["instances"]}


def test_each_instance_is_asked_at_its_ingress_signed_and_under_one_request_id(
    registry: Registry, orders: Peer, users: Peer
) -> None:
    assert run() == {"healthy": 2, "unhealthy": 0}
    (asked,), (other,) = orders.seen, users.seen
    assert (asked.method, asked.path) == ("GET", "/health")
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert asked.headers["x-request-id"] == other.headers["x-request-id"]


def test_through_the_mesh_each_version_is_asked_by_its_service_s_name(
    registry: Registry, orders: Peer, users: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attributes = {"url": "https://canary.example", "version": "canary"}
    registry.cloud_map.register_instance(
        ServiceId=registry.service_ids["orders"], InstanceId="orders-canary", Attributes=attributes
    )
    monkeypatch.setenv("MESH_SOCKET", str(tmp_path / "mesh.sock"))
    with running_peer(str(tmp_path / "mesh.sock")) as sidecar:
        assert run() == {"healthy": 3, "unhealthy": 0}
    asked = sorted((seen.headers["host"], seen.headers.get("x-mesh-version", "")) for seen in sidecar.seen)
    assert asked == [("orders", ""), ("orders", "canary"), ("users", "")]
    assert {seen.path for seen in sidecar.seen} == {"/health"}
    assert "authorization" not in sidecar.seen[0].headers, "the sidecar signs"
    assert (orders.seen, users.seen) == ([], [])


def test_an_instance_that_is_not_well_is_taken_from_its_callers_and_given_back(
    registry: Registry, desk: Desk, orders: Peer
) -> None:
    orders.behaviours = [answer(503, SICK)]
    assert run() == {"healthy": 1, "unhealthy": 1}
    assert registry.health() == {"orders": "UNHEALTHY", "users": "HEALTHY"}
    probes = last_probes(desk)
    assert (probes["orders-1"]["health"], probes["orders-1"]["detail"]) == (
        "unhealthy",
        "503 table: AccessDeniedException",
    )
    assert (probes["users-1"]["health"], probes["users-1"]["detail"]) == ("healthy", "")

    orders.behaviours = [answer()]
    assert run() == {"healthy": 2, "unhealthy": 0}
    assert registry.health() == {"orders": "HEALTHY", "users": "HEALTHY"}
    assert last_probes(desk)["orders-1"]["detail"] == ""


def test_one_bad_answer_is_not_an_illness(registry: Registry, orders: Peer) -> None:
    orders.behaviours = [close, answer()]
    assert run() == {"healthy": 2, "unhealthy": 0}
    assert len(orders.seen) == 2


@pytest.mark.parametrize("behaviour", [close, answer(403, '{"Message": "Forbidden"}'), answer(500, "[]"), answer(404)])
def test_whatever_is_not_200_is_not_well(registry: Registry, orders: Peer, behaviour: Behaviour) -> None:
    orders.behaviours = [behaviour]
    run()
    assert registry.health()["orders"] == "UNHEALTHY"


def test_an_instance_that_hangs_keeps_nobody_else(
    registry: Registry, orders: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_PATIENCE", 2.0)  # long enough for the other one, also on a busy machine
    orders.behaviours = [hang]
    assert run() == {"healthy": 1, "unhealthy": 1}
    assert registry.health() == {"orders": "UNHEALTHY", "users": "HEALTHY"}


def test_the_registry_is_told_only_what_is_news(registry: Registry, orders: Peer) -> None:
    told: list[dict[str, str]] = []
    client = aws.client("servicediscovery")
    client.meta.events.register(
        "before-parameter-build.servicediscovery.UpdateInstanceCustomHealthStatus",
        lambda params, **_: told.append(dict(params)),
    )
    orders.behaviours = [close]
    for _ in range(3):
        run()
    assert told == [{"ServiceId": registry.service_ids["orders"], "InstanceId": "orders-1", "Status": "UNHEALTHY"}]


def test_an_instance_that_goes_away_while_it_is_probed_is_no_failure(
    registry: Registry, orders: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_out(connection: Any) -> bool:
        with contextlib.suppress(ClientError):
            registry.cloud_map.deregister_instance(ServiceId=registry.service_ids["orders"], InstanceId="orders-1")
        return False

    orders.behaviours = [take_out]
    assert run() == {"healthy": 1, "unhealthy": 1}


def test_before_the_first_probe_there_is_none_to_show(registry: Registry, desk: Desk) -> None:
    _, page = desk.call("GET", "/services")
    assert [one["last_probe"] for service in page["items"] for one in service["instances"]] == [None, None]


def test_an_odd_weight_is_shown_as_callers_read_it(registry: Registry, desk: Desk, orders: Peer) -> None:
    registry.cloud_map.register_instance(
        ServiceId=registry.service_ids["orders"],
        InstanceId="orders-2",
        Attributes={"url": orders.url, "weight": "much"},
    )
    _, page = desk.call("GET", "/services")
    assert [one["weight"] for one in page["items"][0]["instances"]] == [1, 0]
