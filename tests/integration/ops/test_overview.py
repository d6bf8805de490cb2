"""Dead letters and services, as the operator sees them."""

from __future__ import annotations

import json
from typing import Any

import boto3

from tests.integration.ops.conftest import Desk


def make_queue(name: str, dead_letters: str | None = None, messages: int = 0) -> None:
    sqs: Any = boto3.client("sqs")
    attributes = {}
    if dead_letters:
        url = sqs.create_queue(QueueName=dead_letters)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    for n in range(messages):
        sqs.send_message(QueueUrl=url, MessageBody=str(n))


def test_dead_letters_are_counted_by_queue_the_fullest_first(desk: Desk) -> None:
    make_queue("mercato-orders", "mercato-orders-dlq", messages=2)
    make_queue("mercato-carts", "mercato-carts-dlq")
    make_queue("mercato-parked", "mercato-morgue")
    make_queue("mercato-relay-failures")
    make_queue("other-orders", "other-orders-dlq")
    dead = boto3.client("sqs").get_queue_url(QueueName="mercato-morgue")["QueueUrl"]
    for n in range(3):
        boto3.client("sqs").send_message(QueueUrl=dead, MessageBody=str(n))
    boto3.client("sqs").receive_message(QueueUrl=dead, MaxNumberOfMessages=1)
    status, page = desk.call("GET", "/dlq")
    assert status == 200
    assert page == {
        "items": [
            {"queue": "mercato-morgue", "source": "mercato-parked", "messages": 2, "in_flight": 1},
            {"queue": "mercato-carts-dlq", "source": "mercato-carts", "messages": 0, "in_flight": 0},
            {"queue": "mercato-orders-dlq", "source": "mercato-orders", "messages": 0, "in_flight": 0},
            {"queue": "mercato-relay-failures", "source": None, "messages": 0, "in_flight": 0},
        ],
        "total": 2,
    }


def test_no_queues_are_no_dead_letters(desk: Desk) -> None:
    assert desk.call("GET", "/dlq") == (200, {"items": [], "total": 0})


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
