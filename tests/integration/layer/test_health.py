"""A service's health follows from its table and queue, and is answered in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from mercato import aws
from mercato.http import health
from mercato.invocation import deadline
from mercato.store.dynamo import Table


@pytest.fixture
def settings(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "things")
    monkeypatch.setenv("QUEUE_NAME", "shop-things")


def test_a_service_whose_table_and_queue_answer_is_well(settings: None, table: Table) -> None:
    boto3.client("sqs").create_queue(QueueName="shop-things")
    assert health.table_and_queue() == {"table": "ok", "queue": "ok"}


def test_a_service_without_a_queue_needs_none(settings: None, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUEUE_NAME")
    assert health.table_and_queue() == {"table": "ok"}


def test_what_is_missing_is_named_by_its_error(settings: None) -> None:
    found = health.table_and_queue()
    assert found["table"] == "ResourceNotFoundException"
    assert found["queue"] in ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


def test_the_table_is_read_by_a_key_that_nothing_has(settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    class Client:
        def __init__(self, service: str, settings: dict[str, Any]) -> None:
            self.service, self.settings = service, settings

        def get_item(self, **call: Any) -> None:
            asked.append((self.service, self.settings, call))

        def get_queue_url(self, **call: Any) -> None:
            asked.append((self.service, self.settings, call))

    monkeypatch.setattr(aws, "client", lambda service, **settings: Client(service, settings))
    assert health.table_and_queue() == {"table": "ok", "queue": "ok"}
    once = {"attempts": 1, "patience": 2.0}
    key = {"pk": {"S": "HEALTH"}, "sk": {"S": "HEALTH"}}
    assert sorted(asked, key=lambda one: one[0]) == [
        ("dynamodb", once, {"TableName": "things", "Key": key}),
        ("sqs", once, {"QueueName": "shop-things"}),
    ]


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_what_hangs_is_not_waited_for_and_the_rest_is_told(never: threading.Event) -> None:
    started = time.monotonic()
    found = health.examine({"table": lambda: never.wait(30), "queue": lambda: None}, patience=1.0)
    assert found == {"table": "no answer in time", "queue": "ok"}
    assert time.monotonic() - started < 10


def test_the_end_of_the_invocation_is_a_nearer_deadline(never: threading.Event) -> None:
    started = time.monotonic()
    with deadline.at_most(0.7):
        assert health.examine({"table": lambda: never.wait(30)}) == {"table": "no answer in time"}
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "arn:secret"}}, "GetItem"), "AccessDenied"),
        (EndpointConnectionError(endpoint_url="https://dynamodb"), "EndpointConnectionError"),
    ],
)
def test_only_the_kind_of_error_is_told(error: Exception, said: str) -> None:
    def fail() -> None:
        raise error

    (found,) = health.examine({"table": fail}).values()
    assert found.startswith(said)
    assert "secret" not in found


def test_a_fault_of_our_own_is_not_taken_for_an_illness() -> None:
    with pytest.raises(ZeroDivisionError):
        health.examine({"table": lambda: 1 // 0})
