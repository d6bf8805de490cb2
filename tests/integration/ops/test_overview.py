"""The services in the operator's overview."""

from __future__ import annotations

import boto3

from tests.integration.ops.conftest import Desk


def test_services_are_listed_with_their_instances_and_health(desk: Desk) -> None:
    cloud_map = boto3.client("servicediscovery")
    cloud_map.create_http_namespace(Name="mercato")
    (namespace,) = cloud_map.list_namespaces()["Namespaces"]
    for name in ("products", "orders"):
        service = cloud_map.create_service(Name=name, NamespaceId=namespace["Id"])["Service"]
        if name == "orders":
            attributes = {"url": "https://orders.example/", "weight": "3"}
            cloud_map.register_instance(ServiceId=service["Id"], InstanceId="orders-1", Attributes=attributes)
    status, page = desk.call("GET", "/services")
    assert status == 200
    (orders, products) = page["items"]
    assert (products["name"], products["instances"]) == ("products", [])
    assert orders["name"] == "orders"
    (instance,) = orders["instances"]
    assert (instance["instance_id"], instance["url"], instance["weight"]) == ("orders-1", "https://orders.example/", 3)
    assert instance["health"] in ("healthy", "unknown")


def test_a_namespace_that_does_not_exist_has_no_services(desk: Desk) -> None:
    assert desk.call("GET", "/services") == (200, {"items": []})
