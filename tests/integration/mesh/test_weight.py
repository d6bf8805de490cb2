"""`mercato mesh weight` and `mercato mesh status`: the real commands, a registry that the test directs, and a real
sidecar that follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from infra.mesh import certificates, policy
from infra.mesh.command import mesh as command
from infra.mesh.registry import Registry
from infra.operator import target
from infra.operator.target import Target
from tests.integration.mesh.conftest import Cloud, Mesh, running_cloud
from tests.integration.mesh.test_traffic import follow, settled

LEAF = certificates.Row("orders", "CN=authority", "2 h", "2026-11-30 09:00 UTC", "")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with running_cloud() as found:
        found.weigh("products", live=1, canary=0)
        yield found


@pytest.fixture
def registry(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    use(cloud, monkeypatch)
    return cloud


def use(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, **outputs: str) -> None:
    """The commands work on the shop of this cloud."""
    told = {"MeshIssuer": "shop-mesh-issuer", **outputs}
    shop = Target("http://shop", f"http://127.0.0.1:{cloud.port}", "eu-west-1", "shop", told, {})
    monkeypatch.setattr(target, "chosen", lambda: shop)
    monkeypatch.setattr(certificates, "rows", lambda _shop, _now: ([], [LEAF]))


def run(*words: str) -> Result:
    return CliRunner().invoke(command, words, env={"COLUMNS": "160"})


def weights(cloud: Cloud) -> dict[str, str]:
    return {one["version"]: one["weight"] for one in cloud.instances["products"]}


def test_a_weight_leaves_the_rest_to_the_live_version_and_the_sidecar_follows(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(mesh.cloud, monkeypatch)
    mesh.cloud.weigh("products", live=1, canary=0)
    mesh.give("orders")
    orders = mesh.start("orders")
    settled(mesh, orders)
    done = run("weight", "products", "canary=100")
    assert (done.exit_code, done.output) == (0, "products-1 (live): 1 → 0\nproducts-2 (canary): 0 → 100\n")
    follow(mesh, orders)
    assert {orders.look_up().status for _ in range(20)} == {200}
    assert mesh.cloud.versions() == {"canary": 20}


def test_a_second_run_changes_nothing(registry: Cloud) -> None:
    assert run("weight", "products", "canary=10").exit_code == 0
    assert weights(registry) == {"live": "90", "canary": "10"}
    asked = registry.asked["RegisterInstance"]
    done = run("weight", "products", "live=90", "canary=10")
    assert (done.exit_code, done.output) == (0, "unchanged: the versions have these weights\n")
    assert registry.asked["RegisterInstance"] == asked


def test_the_other_attributes_of_an_instance_stay(registry: Cloud) -> None:
    registry.instances["products"] = [
        {"url": "https://live.example", "weight": "1"},
        {"url": "https://canary.example", "version": "canary"},
    ]
    assert run("weight", "products", "canary=25").exit_code == 0
    assert registry.instances["products"] == [
        {"url": "https://live.example", "weight": "75"},
        {"url": "https://canary.example", "version": "canary", "weight": "25"},
    ]


def test_an_ill_instance_stays_ill(registry: Cloud) -> None:
    """Cloud Map takes an instance that is registered again for healthy, unless it is told otherwise."""
    registry.ill = {"products-2"}
    assert run("weight", "products", "canary=10").exit_code == 0
    assert [one.get("AWS_INIT_HEALTH_STATUS") for one in registry.instances["products"]] == [None, "UNHEALTHY"]
    registry.ill = set()
    assert run("weight", "products", "canary=50").exit_code == 0
    assert [one.get("AWS_INIT_HEALTH_STATUS") for one in registry.instances["products"]] == [None, None]


def test_instances_of_one_version_divide_its_weight(registry: Cloud) -> None:
    registry.instances["products"].append({"version": "canary", "weight": "0"})
    assert run("weight", "products", "canary=25").exit_code == 0
    assert [one["weight"] for one in registry.instances["products"]] == ["75", "13", "12"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["product", "canary=10"], "the policy has no service product"),
        (["products", "gamma=10"], "products has no version gamma. The policy lists live, canary"),
        (["products", "live=80", "canary=10"], "add up to 90, not to 100"),
        (["products", "canary=101"], "add up to 101, not to 100"),
        (["products", "live=90"], "add up to 90, not to 100"),
        (["products", "canary"], "is no VERSION=PERCENT"),
        (["products", "canary=ten"], "is no VERSION=PERCENT"),
        (["products", "canary=-1"], "is no VERSION=PERCENT"),
        (["products", "canary=1", "canary=2"], "canary is named twice"),
    ],
)
def test_weights_that_mean_nothing_are_refused_and_change_nothing(registry: Cloud, words: list[str], said: str) -> None:
    done = run("weight", "--", *words)
    assert done.exit_code != 0
    assert said in " ".join(done.output.split())
    assert weights(registry) == {"live": "1", "canary": "0"}


def test_a_version_without_an_instance_gets_no_weight(registry: Cloud) -> None:
    registry.weigh("products", live=1)
    done = run("weight", "products", "canary=10")
    assert done.exit_code == 1
    assert "no instance of products with the version canary" in " ".join(done.output.split())
    assert weights(registry) == {"live": "1"}
    assert run("weight", "products", "canary=0").exit_code == 0, "none is needed for no calls"


def test_a_writer_at_the_same_time_is_told(registry: Cloud) -> None:
    """Cloud Map has no conditional write: the weights are read again at the end."""

    def other(name: str) -> None:
        if name == "GetOperation":
            registry.instances["products"][0]["weight"] = "50"

    registry.between = other
    done = run("weight", "products", "canary=10")
    assert done.exit_code == 1
    assert "someone else has changed the weights of products meanwhile: products-1 has 50" in done.output
    registry.between = lambda _: None
    assert run("weight", "products", "canary=10").exit_code == 0
    assert weights(registry) == {"live": "90", "canary": "10"}


@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_run_that_dies_is_run_again(registry: Cloud, dies_at: int) -> None:
    """And between its two writes no version gets more than before and after."""

    class DeathError(BaseException):
        pass

    set_weight, calls = Registry.set_weight, itertools.count(1)

    def die(*given: Any) -> None:
        if next(calls) == dies_at:
            raise DeathError
        set_weight(*given)

    registry.weigh("products", live=90, canary=10)
    with patch.object(Registry, "set_weight", die), pytest.raises(DeathError):
        CliRunner().invoke(command, ["weight", "products", "canary=50"])
    live, canary = (int(one["weight"]) for one in registry.instances["products"])
    assert 0.10 <= canary / (live + canary) <= 0.50
    assert run("weight", "products", "canary=50").exit_code == 0
    assert weights(registry) == {"live": "50", "canary": "50"}


def test_without_a_mesh_no_weight_is_set(registry: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "chosen", lambda: Target("http://shop", "", "eu-west-1", "shop", {}, {}))
    done = run("weight", "products", "canary=10")
    assert done.exit_code == 1
    assert "the shop has no mesh. Deploy it with Mesh=on" in done.output
    assert registry.asked["RegisterInstance"] == 0


def test_the_status_tells_certificates_shares_health_and_ingress(
    registry: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(registry, monkeypatch, MeshIngress="ingress123456")
    for service in policy.read().services.keys() - {"products"}:
        registry.instances[service] = [{"weight": "1"}]
    registry.weigh("products", live=75, canary=25)
    done = run("status")
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.replace("│", " ").split()) for line in done.output.splitlines()]
    assert "orders CN=authority 2 h 2026-11-30 09:00 UTC" in lines
    assert "products live products-1 75 75% healthy" in lines
    assert "canary products-2 25 25% healthy" in lines
    assert lines[-1] == "The ingress is the API ingress123456"

    registry.ill = {"products-2"}
    done = run("status")
    assert done.exit_code == 1
    lines = [" ".join(line.replace("│", " ").split()) for line in done.output.splitlines()]
    assert "products live products-1 75 100% healthy" in lines
    assert "canary products-2 25 – unhealthy" in lines


def test_a_service_without_an_instance_is_told(registry: Cloud) -> None:
    done = run("status")
    assert done.exit_code == 1
    assert "no instance" in done.output


def test_the_age_of_a_certificate_is_read_from_its_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = {"subject": "CN=orders", "issuer": "CN=a", "issued_at": "2026-11-29T05:30:00Z"}
    told = {"authorities": [], "leaves": {"orders": leaf | {"ends_at": "2026-11-30T05:30:00Z"}}}
    monkeypatch.setattr(certificates, "_invoke", lambda *_: told)
    for hour, age in ((6, "30 min"), (9, "3 h")):
        [row] = certificates.rows(Target("", "", "", "", {}, {}), datetime(2026, 11, 29, hour, tzinfo=UTC))[1]
        assert row.age == age
