"""Handles a message that failed: returns it to its queue after a pause, or moves it to the dead letters with its
reason.

A dead letter is the original message with the attributes `reason`, `detail`, `correlation_id`, `message_id`,
`receive_count`, `redrive_count` and `first_failed_at`. The last two are kept when it is redriven and fails again.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.clock import epoch, rfc3339, utc_now
from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.dynamo import Table
from mercato.telemetry import correlation, failures
from mercato.telemetry.logs import log

# The layer's own reasons; a business rule's reason is its slug.
MALFORMED = "malformed"
UNKNOWN_TYPE = "unknown-event-type"
UNKNOWN_VERSION = "unknown-event-version"
RETRIES_EXHAUSTED = "retries-exhausted"

MAX_TRIES = 8  # pauses of 21 minutes in all
# The maxReceiveCount of infra/subscription.yaml. SQS also counts receives of messages that were returned untried, so
# its count is only the backstop for messages that are never counted here.
MAX_RECEIVES = 100
_SILENT = "The function ended without an answer at each of its last tries. See its log."
_COUNTED_FOR = timedelta(days=15)  # longer than a message lives in its queue
_FIRST_PAUSE, _LONGEST_PAUSE = 10, 900  # seconds

Jitter = Callable[[float, float], float]


def begin(record: dict[str, Any]) -> int | None:
    """Counts a try before it starts, if the message was received so often that a function may have crashed on it.
    Returns None if it is not counted yet: then only a failed try is counted.
    """
    return _count(record) if _receives(record) > MAX_TRIES else None


def is_spent(record: dict[str, Any], begun: int | None) -> bool:
    """Moves the message to the dead letters if all its tries have started and none has ended. Returns True then."""
    return begun is not None and begun > MAX_TRIES and move(record, RETRIES_EXHAUSTED, _SILENT)


def give_back(record: dict[str, Any], error: Exception, jitter: Jitter, begun: int | None = None) -> bool:
    """Returns the message to its queue after a transient failure. True if this was the last try, and it was moved."""
    tries = _count(record) if begun is None else begun
    if (tries or 0) >= MAX_TRIES or _receives(record) >= MAX_RECEIVES:
        return move(record, RETRIES_EXHAUSTED, f"{type(error).__name__}: {error}")
    _pause(record, pause_after(tries or _receives(record), jitter))
    return False


def _count(record: dict[str, Any]) -> int | None:
    """The number of tries of this message, counted with this one in the service's table. None if the table is
    unavailable; then the message waits for it.
    """
    name = os.environ.get("TABLE_NAME")
    if name is None:
        return None
    counted = dynamo.update(
        f"TRIES#{record['messageId']}",
        "TRIES",
        "SET #ttl = :ttl ADD tries :one",
        names={"#ttl": "ttl"},
        values={":ttl": epoch(utc_now() + _COUNTED_FOR), ":one": 1},
    )
    try:
        found = Table(name).write(counted, return_values="ALL_NEW")
    except (TransientError, ClientError, BotoCoreError) as error:
        log.warning("the try cannot be counted", extra={"reason": str(error)})
        return None
    return int(found["tries"]) if found else None


def pause_after(tries: int, jitter: Jitter) -> int:
    """Seconds, doubling from ten to a quarter of an hour. Half is random, so that a batch is spread out."""
    longest = min(_FIRST_PAUSE << (tries - 1), _LONGEST_PAUSE)
    return round(longest / 2 + jitter(0, longest / 2))


def move(record: dict[str, Any], reason: str, detail: str) -> bool:
    """Returns False if the DLQ is unavailable: the record stays in its queue, and the rest of the batch continues."""
    log.error(
        "event moved to the dead-letter queue",
        extra={"reason": reason, "detail": detail, "message_id": record["messageId"]},
    )
    failures.count()
    attributes = {
        "reason": reason,
        "detail": "".join(char if char.isprintable() else " " for char in detail[:1000]) or "-",
        "correlation_id": correlation.current().correlation_id,
        "message_id": record["messageId"],
        "receive_count": str(_receives(record)),
    } | _history(record)
    try:
        aws.client("sqs").send_message(
            QueueUrl=_dlq_url(record["eventSourceARN"]),
            MessageBody=record["body"],
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("the dead-letter queue cannot be reached", extra={"reason": str(error)})
        return False
    return True


def send_anew(record: dict[str, Any]) -> bool:
    """Sends the same message to the end of its own queue. False if the queue is unavailable; then this one comes again.

    After a crash between the sending and the end of this run, both are received: each continues from the stored
    progress.
    """
    try:
        aws.client("sqs").send_message(QueueUrl=_queue_url(record), MessageBody=record["body"])
    except (ClientError, BotoCoreError) as error:
        log.warning("the queue cannot be reached", extra={"reason": str(error)})
        return False
    return True


def _history(record: dict[str, Any]) -> dict[str, str]:
    """The history from the last redrive if there was one, else from the queue's count."""
    carried = {
        name: attribute["stringValue"]
        for name, attribute in record.get("messageAttributes", {}).items()
        if name in ("redrive_count", "first_failed_at") and attribute.get("stringValue")
    }
    found = {"redrive_count": "0"}
    first_received = record.get("attributes", {}).get("ApproximateFirstReceiveTimestamp")
    if first_received:
        found["first_failed_at"] = rfc3339(datetime.fromtimestamp(int(first_received) / 1000, UTC))
    return found | carried


def _receives(record: dict[str, Any]) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


def _pause(record: dict[str, Any], seconds: int) -> None:
    """Sets the pause. If that fails, the queue's visibility timeout applies."""
    receipt = record.get("receiptHandle")
    if receipt is None:
        return
    try:
        aws.client("sqs").change_message_visibility(
            QueueUrl=_queue_url(record),
            ReceiptHandle=receipt,
            VisibilityTimeout=seconds,
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("the pause before the next try cannot be set", extra={"reason": str(error)})


def _queue_url(record: dict[str, Any]) -> str:
    return _dlq_url(str(record["eventSourceARN"])).removesuffix("-dlq")


@functools.cache
def _dlq_url(queue_arn: str) -> str:
    """The dead-letter queue of `shop-orders` is `shop-orders-dlq`, as infra/subscription.yaml names it."""
    return str(aws.client("sqs").get_queue_url(QueueName=f"{queue_arn.rpartition(':')[2]}-dlq")["QueueUrl"])
