"""What becomes of a message that failed: back to its queue after a pause, or to the dead letters with its reason.

A dead letter is the message as it came, with the attributes `reason`, `detail`, `correlation_id`, `message_id`,
`receive_count`, `redrive_count` and `first_failed_at`. The last two stay with it when it is redriven and fails again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws, correlation
from mercato.clock import rfc3339
from mercato.logs import log

# Reasons that the kit itself gives; a business rule's is its own slug.
MALFORMED = "malformed"
UNKNOWN_TYPE = "unknown-event-type"
UNKNOWN_VERSION = "unknown-event-version"
RETRIES_EXHAUSTED = "retries-exhausted"

MAX_RECEIVES = 8  # the maxReceiveCount of infra/subscription.yaml: pauses of 21 minutes in all
_FIRST_PAUSE, _LONGEST_PAUSE = 10, 900  # seconds

Jitter = Callable[[float, float], float]


def give_back(record: dict[str, Any], error: Exception, jitter: Jitter) -> bool:
    """After a failure that may heal. True where this was the last try, and the message is a dead letter now."""
    if _receives(record) >= MAX_RECEIVES:
        return move(record, RETRIES_EXHAUSTED, f"{type(error).__name__}: {error}")
    _pause(record, pause_after(_receives(record), jitter))
    return False


def pause_after(receives: int, jitter: Jitter) -> int:
    """Seconds: doubling from ten to a quarter of an hour. Half is random, so that a batch does not come back as one."""
    longest = min(_FIRST_PAUSE << (receives - 1), _LONGEST_PAUSE)
    return round(longest / 2 + jitter(0, longest / 2))


def move(record: dict[str, Any], reason: str, detail: str) -> bool:
    """False where the DLQ cannot be reached: the record stays in its queue, and the rest of the batch goes on."""
    log.error(
        "event moved to the dead-letter queue",
        extra={"reason": reason, "detail": detail, "message_id": record["messageId"]},
    )
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
    """The same message to the end of its own queue. False where the queue takes none now: then this one comes again.

    Killed between sending and the end of this run, both are received: each goes on from what is kept.
    """
    try:
        aws.client("sqs").send_message(QueueUrl=_queue_url(record), MessageBody=record["body"])
    except (ClientError, BotoCoreError) as error:
        log.warning("the queue cannot be reached", extra={"reason": str(error)})
        return False
    return True


def _history(record: dict[str, Any]) -> dict[str, str]:
    """From the last redrive where there was one, else from the queue's own count."""
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
    """A pause that cannot be set is the queue's own: its visibility timeout."""
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
    """The dead-letter queue of `shop-orders` is `shop-orders-dlq`, by convention of infra/subscription.yaml."""
    return str(aws.client("sqs").get_queue_url(QueueName=f"{queue_arn.rpartition(':')[2]}-dlq")["QueueUrl"])
