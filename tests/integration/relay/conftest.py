"""A bus that tests can make fail, and the failure queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mercato import aws
from relay import wiring
from relay.bus import EventBus

Failures = Callable[[], list[dict[str, Any]]]


class Bus:
    """A fake EventBridge that accepts every event that no test tells it to refuse. It records the calls."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.refuse: dict[str, str] = {}
        self.heal_at = 0
        self.fail_from: int | None = None
        self.error: Exception = ClientError(
            {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutEvents"
        )

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append(Entries)
        if len(self.calls) == self.heal_at:
            self.refuse = {}
        if self.fail_from and len(self.calls) >= self.fail_from:
            raise self.error
        ids = [json.loads(entry["Detail"])["id"] for entry in Entries]
        answers = [
            {"ErrorCode": self.refuse[one], "ErrorMessage": "no"} if one in self.refuse else {"EventId": one}
            for one in ids
        ]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    @property
    def taken(self) -> list[str]:
        """The ids of the accepted events, in order."""
        found = [json.loads(entry["Detail"])["id"] for call in self.calls for entry in call]
        return [one for one in found if one not in self.refuse]


@pytest.fixture
def failures(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Failures:
    """Reads the messages in the failure queue, and leaves them there."""
    sqs = boto3.client("sqs", "us-east-1")
    url = sqs.create_queue(QueueName="relay-dlq")["QueueUrl"]
    monkeypatch.setenv("EVENT_BUS_NAME", "the-bus")
    monkeypatch.setenv("FAILURE_QUEUE_URL", url)
    vars(wiring.ports()).update(event_bus=EventBus("the-bus", sleep=lambda _: None))

    def received() -> list[dict[str, Any]]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    return received


@pytest.fixture
def bus(failures: Failures, monkeypatch: pytest.MonkeyPatch) -> Bus:
    fake, real = Bus(), aws.client
    monkeypatch.setattr(aws, "client", lambda service: fake if service == "events" else real(service))
    return fake
