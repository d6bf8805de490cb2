from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from mercato import aws
from mercato.errors import TransientError
from mercato.peers.discovery import Registry


class CloudMap:
    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.instances: list[dict[str, str]] = [{"url": "https://one/", "weight": "1"}]
        self.error: Exception | None = None
        self.settings: dict[str, Any] = {}

    def made_by(self, service: str, **settings: Any) -> CloudMap:
        self.settings = {"service": service} | settings
        return self

    def discover_instances(self, **call: Any) -> dict[str, Any]:
        self.calls.append(call)
        if self.error:
            raise self.error
        wanted = [one for one in self.instances if call["HealthStatus"] == "ALL" or one.get("health") != "UNHEALTHY"]
        return {"Instances": [{"InstanceId": str(n), "Attributes": found} for n, found in enumerate(wanted)]}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cloud_map(monkeypatch: pytest.MonkeyPatch) -> CloudMap:
    found = CloudMap()
    monkeypatch.setattr(aws, "client", found.made_by)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(cloud_map: CloudMap, clock: Clock) -> Registry:
    return Registry("shop", now=clock)


AWAY = [
    ClientError({"Error": {"Code": "ServiceNotFound", "Message": ""}}, "DiscoverInstances"),
    EndpointConnectionError(endpoint_url="https://cloudmap"),
]


def test_a_healthy_instance_is_asked_for_and_its_url_has_no_slash(registry: Registry, cloud_map: CloudMap) -> None:
    assert registry.find("products") == "https://one"
    assert cloud_map.calls == [{"NamespaceName": "shop", "ServiceName": "products", "HealthStatus": "HEALTHY"}]


def test_an_answer_is_kept_for_about_half_a_minute(registry: Registry, cloud_map: CloudMap, clock: Clock) -> None:
    registry.find("products")
    clock.now += 23
    registry.find("products")
    assert len(cloud_map.calls) == 1
    clock.now += 14
    registry.find("products")
    assert len(cloud_map.calls) == 2


def test_each_service_is_looked_up_by_itself(registry: Registry, cloud_map: CloudMap) -> None:
    registry.find("products")
    registry.find("users")
    assert [call["ServiceName"] for call in cloud_map.calls] == ["products", "users"]


def test_instances_are_picked_by_weight_and_a_drained_one_never(registry: Registry, cloud_map: CloudMap) -> None:
    cloud_map.instances = [
        {"url": "https://nine", "weight": "9"},
        {"url": "https://one"},
        {"url": "https://drained", "weight": "0"},
        {"weight": "5"},
        {"url": "https://odd", "weight": "much"},
    ]
    picked = Counter(registry.find("products") for _ in range(2000))
    assert set(picked) == {"https://nine", "https://one"}
    assert picked["https://nine"] > 4 * picked["https://one"] > 0


def test_an_unhealthy_instance_is_used_only_where_no_other_is_left(
    registry: Registry, cloud_map: CloudMap, clock: Clock
) -> None:
    sick = {"url": "https://sick", "health": "UNHEALTHY"}
    cloud_map.instances = [sick, {"url": "https://well"}]
    assert {registry.find("products") for _ in range(50)} == {"https://well"}
    cloud_map.instances = [sick]
    clock.now += 100
    assert registry.find("products") == "https://sick"


@pytest.mark.parametrize("error", AWAY)
def test_where_cloud_map_is_away_the_last_answer_serves(
    registry: Registry, cloud_map: CloudMap, clock: Clock, error: Exception
) -> None:
    registry.find("products")
    cloud_map.error = error
    clock.now += 100
    assert registry.find("products") == "https://one"
    calls = len(cloud_map.calls)
    registry.find("products")
    assert len(cloud_map.calls) == calls, "and it is not asked again at every call"


@pytest.mark.parametrize("error", AWAY)
def test_where_nothing_was_ever_known_it_is_transient(
    registry: Registry, cloud_map: CloudMap, error: Exception
) -> None:
    cloud_map.error = error
    with pytest.raises(TransientError):
        registry.find("products")


@pytest.mark.parametrize("instances", [[], [{"url": "https://drained", "weight": "0"}]])
def test_where_nobody_is_registered_it_is_transient_and_asked_again_at_once(
    registry: Registry, cloud_map: CloudMap, instances: list[dict[str, str]]
) -> None:
    cloud_map.instances = instances
    with pytest.raises(TransientError):
        registry.find("products")
    cloud_map.instances = [{"url": "https://back"}]
    assert registry.find("products") == "https://back"


def test_cloud_map_is_asked_once_and_briefly(registry: Registry, cloud_map: CloudMap) -> None:
    registry.find("products")
    assert cloud_map.settings == {"service": "servicediscovery", "attempts": 1, "patience": 1.0}


def test_an_instance_that_was_tried_is_avoided_where_there_is_another(registry: Registry, cloud_map: CloudMap) -> None:
    cloud_map.instances = [{"url": "https://one", "weight": "100"}, {"url": "https://two"}]
    assert {registry.find("products", avoid={"https://one"}) for _ in range(50)} == {"https://two"}
    assert registry.find("products", avoid={"https://one", "https://two"}) in {"https://one", "https://two"}


def test_an_address_in_doubt_is_asked_for_again(registry: Registry, cloud_map: CloudMap) -> None:
    registry.find("products")
    cloud_map.instances = [{"url": "https://moved"}]
    registry.doubt("products")
    registry.doubt("unknown")
    assert registry.find("products") == "https://moved"


def test_an_address_in_doubt_serves_still_where_cloud_map_is_away(registry: Registry, cloud_map: CloudMap) -> None:
    registry.find("products")
    cloud_map.error = AWAY[1]
    registry.doubt("products")
    assert registry.find("products") == "https://one"


def test_an_answer_from_before_a_freeze_or_from_the_future_is_not_fresh(
    registry: Registry, cloud_map: CloudMap, clock: Clock
) -> None:
    registry.find("products")
    clock.now += 3600
    registry.find("products")
    clock.now -= 7200
    registry.find("products")
    assert len(cloud_map.calls) == 3


def test_that_no_instance_is_healthy_is_said(
    registry: Registry, cloud_map: CloudMap, caplog: pytest.LogCaptureFixture
) -> None:
    cloud_map.instances = [{"url": "https://sick", "health": "UNHEALTHY"}]
    registry.find("products")
    assert "no instance is healthy, using all" in caplog.text
