"""What AWS counts of a call."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.bench.usage import Call, Usage, action_of, size_of_event


def use(service: str, action: str, request: dict[str, Any], answer: dict[str, Any] = {}, status: int = 200) -> Usage:
    usage = Usage()
    usage.count(Call("OrdersApi", service, action, request, status, answer))
    return usage


@pytest.mark.parametrize(
    ("service", "method", "path", "target", "body", "action"),
    [
        ("dynamodb", "POST", "/", "DynamoDB_20120810.PutItem", b"{}", "PutItem"),
        ("events", "POST", "/", "AWSEvents.PutEvents", b"{}", "PutEvents"),
        ("ses", "POST", "/v2/email/outbound-emails", "", b"{}", "SendEmail"),
        ("lambda", "POST", "/_aws/lambda-url/abc/api/products/lookup", "", b"{}", "InvokeFunctionUrl"),
        ("sts", "POST", "/", "", b"Action=GetCallerIdentity&Version=2011-06-15", "GetCallerIdentity"),
        ("s3", "GET", "/bucket", "", b"", "GET /bucket"),
    ],
)
def test_every_protocol_names_its_action(
    service: str, method: str, path: str, target: str, body: bytes, action: str
) -> None:
    assert action_of(service, method, path, target, body) == action


def test_a_call_is_counted_by_function_service_and_action() -> None:
    usage = use("ssm", "GetParameter", {"Name": "x"})

    assert usage.calls == {("OrdersApi", "ssm", "GetParameter"): 1}
    assert usage.units == {"parameter calls": 1}


def test_an_events_size_is_that_of_its_texts_and_a_time() -> None:
    entry = {"Source": "mercato.orders", "DetailType": "order.created", "Detail": "é", "EventBusName": "not counted"}

    assert size_of_event(entry) == 14 + 13 + 2
    assert size_of_event(entry | {"Time": 1, "Resources": ["abc"]}) == 14 + 13 + 2 + 14 + 3


def test_events_are_counted_by_type_and_charged_by_64_kilobytes() -> None:
    entries = [{"Source": "s", "DetailType": "t", "Detail": "x" * size} for size in (10, 65_534, 65_535)]

    usage = use("events", "PutEvents", {"Entries": entries})

    assert usage.events == {"t": 3}
    archived = Decimal(10 + 65_534 + 65_535 + 3 * len("st")) / 10**9
    assert usage.units == {"events": 1 + 1 + 2, "archived gigabytes": archived}


def test_a_write_that_was_refused_is_paid_for_and_one_that_was_throttled_is_not() -> None:
    refused = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}
    throttled = {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}

    assert use("dynamodb", "PutItem", {}, refused, 400).units == {"write units, refused": 1}
    assert use("dynamodb", "PutItem", {}, refused, 400).written == {"OrdersApi": 1}
    assert use("dynamodb", "PutItem", {}, throttled, 400).units == {}
    assert use("dynamodb", "GetItem", {}, throttled, 400).units == {}


def test_reads_and_writes_go_to_their_own_units() -> None:
    assert use("dynamodb", "GetItem", {"ConsistentRead": False}).units == {"read units": Decimal("0.5")}
    copies = {"gsi1": {"CapacityUnits": 1.0}}
    written = use(
        "dynamodb", "PutItem", {}, {"ConsumedCapacity": {"CapacityUnits": 4.0, "GlobalSecondaryIndexes": copies}}
    )
    assert written.units == {"write units, tables": 3, "write units, indexes": 1}
    assert written.written == {"OrdersApi": 4}


def test_every_recipient_is_a_mail() -> None:
    request = {"Destination": {"ToAddresses": ["a@x.example", "b@x.example"], "BccAddresses": ["c@x.example"]}}

    assert use("ses", "SendEmail", request).units == {"mails": 3}


def test_only_discovery_is_charged_of_the_registry() -> None:
    assert use("servicediscovery", "DiscoverInstances", {}).units == {"discoveries": 1}
    assert use("servicediscovery", "ListServices", {}).units == {}
