"""Every quarter of an hour, publishes the records in the failure queue.

A message leaves the failure queue only when all its records are on the bus, or set aside one by one. After a crash the
next sweep publishes again, and consumers drop duplicates. Records that still cannot be published stay visible, so that
the alarm stays on until an operator repairs the item or removes the message.
"""

from __future__ import annotations

import json
import random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log
from relay.failed_records import Gone, records_of
from relay.publish import publish
from relay.records import Unreadable, batches, read
from relay.wiring import ports

_HELD_FOR = 120  # seconds: longer than the function runs, so that a sweep receives a message once
_RESERVE = 20.0  # seconds: the last message's calls end before the invocation does
_AT_ONCE = 200  # messages that are handled together; each has 256 KB at most


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    done, left = sweep()
    log.info("failures swept", extra={"recovered": done, "left": left})
    return {"recovered": done, "left": left}


def sweep() -> tuple[int, int]:
    """The number of recovered messages, and of those left for the next run."""
    url, done = ports().settings.failure_queue_url, 0
    left: list[dict[str, Any]] = []
    try:
        while _has_time() and (messages := _receive(url)):
            for message in _in_turn(messages):
                if _has_time() and _recover(message["Body"]):
                    aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    done += 1
                else:
                    left.append(message)
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"the failure queue cannot be read: {error}") from error
    finally:
        _give_back(url, left)
    return done, len(left)


def _has_time() -> bool:
    return deadline.left() >= _RESERVE


def _receive(url: str) -> list[dict[str, Any]]:
    """Up to _AT_ONCE messages; none at the end of the queue."""
    found: list[dict[str, Any]] = []
    while len(found) < _AT_ONCE:
        answer = aws.client("sqs").receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=_HELD_FOR,
            WaitTimeSeconds=1,  # a short poll asks some of SQS's servers, and may find nothing where there is something
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        if not answer.get("Messages"):
            break
        found += answer["Messages"]
    return found


def _in_turn(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorts by receive count, so that a message that fails again and again, or takes all of a run's time, does not
    block newer ones. Messages with the same count are shuffled, so that none is first in every run.
    """
    return sorted(messages, key=lambda found: (int(found["Attributes"]["ApproximateReceiveCount"]), random.random()))


def _recover(body: str) -> bool:
    try:
        message = json.loads(body)
        records = records_of(message)
        return _publish_again(records[0]) if "keys" in message else publish(records) is None
    except (Gone, Unreadable, ValueError, RecursionError) as error:
        log.error("a failure cannot be recovered", extra={"reason": str(error), "failure": body[:2000]})
    except TransientError as error:
        log.warning("a failure cannot be recovered now", extra={"reason": str(error)})
    return False


def _publish_again(record: dict[str, Any]) -> bool:
    """Publishes one item that was set aside before. A refused one stays; a second message would add nothing."""
    (batch,) = batches([read(record, ports().settings.event_bus_name)])
    refused, not_taken = ports().event_bus.put(batch)
    return not refused and not not_taken


def _give_back(url: str, messages: list[dict[str, Any]]) -> None:
    """Makes the messages visible at once instead of in two minutes, since the alarm counts visible messages."""
    for message in messages:
        try:
            aws.client("sqs").change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        except (ClientError, BotoCoreError) as error:
            log.warning("a failure was not released; SQS releases it later", extra={"reason": str(error)})
