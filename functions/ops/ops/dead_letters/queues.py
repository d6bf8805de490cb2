"""The dead-letter queues: their names, sizes and sources."""

from __future__ import annotations

import json
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import NotFound, TransientError

_ATTRIBUTES = ["QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "RedrivePolicy"]
SUFFIX = "-dlq"  # a convention that the IAM permission to read depends on


class DeadLetterQueueNotFound(NotFound):
    """No dead-letter queue has this name."""


@dataclass(frozen=True)
class DeadLetterQueue:
    """`source` is the queue whose failed messages come here; None if they come from a stream or a rule.

    `messages` and `in_flight` are SQS's approximate counts.
    """

    name: str
    url: str
    source: str | None
    source_url: str | None
    messages: int
    in_flight: int


def list_dead_letter_queues(prefix: str) -> list[DeadLetterQueue]:
    """Fullest first. Raises TransientError."""
    try:
        found = {url: _attributes(url) for url in _urls(prefix)}
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"the queues cannot be listed: {error}") from error
    sources = {
        json.loads(queue["RedrivePolicy"])["deadLetterTargetArn"]: url
        for url, queue in found.items()
        if queue.get("RedrivePolicy")
    }
    dead = [
        DeadLetterQueue(
            name=_name(queue["QueueArn"]),
            url=url,
            source=_name(found[sources[queue["QueueArn"]]]["QueueArn"]) if queue["QueueArn"] in sources else None,
            source_url=sources.get(queue["QueueArn"]),
            messages=int(queue["ApproximateNumberOfMessages"]),
            in_flight=int(queue["ApproximateNumberOfMessagesNotVisible"]),
        )
        for url, queue in found.items()
        if _name(queue["QueueArn"]).endswith(SUFFIX)
    ]
    return sorted(dead, key=lambda queue: (-queue.messages, queue.name))


def find_dead_letter_queue(prefix: str, name: str) -> DeadLetterQueue:
    """Finds it by name, with or without the prefix and the suffix: `orders` is `mercato-orders-dlq`.

    Raises DeadLetterQueueNotFound and TransientError.
    """
    queues = list_dead_letter_queues(prefix)
    for queue in queues:
        if name in (queue.name, queue.name.removeprefix(prefix), queue.name.removeprefix(prefix).removesuffix(SUFFIX)):
            return queue
    names = ", ".join(queue.name for queue in queues) or "none"
    raise DeadLetterQueueNotFound(f"There is no dead-letter queue {name}. There are: {names}.")


def _urls(prefix: str) -> Iterator[str]:
    others = tuple(_other_shops(prefix))
    for page in (
        aws.client("sqs")
        .get_paginator("list_queues")
        .paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
    ):
        yield from (url for url in page.get("QueueUrls", []) if not url.rpartition("/")[2].startswith(others))


def _other_shops(prefix: str) -> Iterator[str]:
    """The prefixes of other shops' queues that begin as this shop's do: `mercato-dev-` where it is `mercato-`.

    A shop has a namespace of its name.
    """
    for page in aws.client("servicediscovery").get_paginator("list_namespaces").paginate():
        yield from (f"{found['Name']}-" for found in page["Namespaces"] if found["Name"].startswith(prefix))


def _attributes(url: str) -> dict[str, str]:
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=_ATTRIBUTES)
    found: dict[str, str] = answer["Attributes"]
    return found


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
