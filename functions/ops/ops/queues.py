"""The dead-letter queues and how full they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from mercato import aws

_ATTRIBUTES = ["QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "RedrivePolicy"]


@dataclass(frozen=True)
class DeadLetters:
    """`source` is the queue whose failed messages come here; None where they come from a stream or a rule."""

    queue: str
    source: str | None
    messages: int
    in_flight: int


def list_dead_letters(prefix: str) -> list[DeadLetters]:
    """Every queue that another one redrives to, or that is called a DLQ. The fullest first."""
    found = [_attributes(url) for url in _urls(prefix)]
    sources = {
        json.loads(queue["RedrivePolicy"])["deadLetterTargetArn"]: _name(queue["QueueArn"])
        for queue in found
        if queue.get("RedrivePolicy")
    }
    dead = [
        DeadLetters(
            queue=_name(queue["QueueArn"]),
            source=sources.get(queue["QueueArn"]),
            messages=int(queue["ApproximateNumberOfMessages"]),
            in_flight=int(queue["ApproximateNumberOfMessagesNotVisible"]),
        )
        for queue in found
        if queue["QueueArn"] in sources or _name(queue["QueueArn"]).endswith(("-dlq", "-failures"))
    ]
    return sorted(dead, key=lambda queue: (-queue.messages, queue.queue))


def _urls(prefix: str) -> Iterator[str]:
    for page in (
        aws.client("sqs")
        .get_paginator("list_queues")
        .paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
    ):
        yield from page.get("QueueUrls", [])


def _attributes(url: str) -> dict[str, str]:
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=_ATTRIBUTES)
    found: dict[str, str] = answer["Attributes"]
    return found


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
