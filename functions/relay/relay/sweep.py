"""Run every quarter of an hour: publishes what the relay and its mapping gave up on.

A message leaves the failure queue only when all that it stands for is on the bus, or set aside one by one. Killed on
the way, the next sweep publishes again; consumers drop what they know. What still cannot be published stays where it
is, visible, so that its alarm goes on ringing until somebody mends the item or removes the message.
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

_HELD_FOR = 120  # seconds: longer than the function runs, so that a sweep sees a message once
_RESERVE = 20.0  # seconds: the last message's calls end before the invocation does
_AT_ONCE = 200  # messages that are looked at together; each is of 256 KB at most


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    done, left = sweep()
    log.info("failures swept", extra={"recovered": done, "left": left})
    return {"recovered": done, "left": left}


def sweep() -> tuple[int, int]:
    """How many messages were recovered, and how many are left. What a run has no time for is left to the next one."""
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
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        if not answer.get("Messages"):
            break
        found += answer["Messages"]
    return found


def _in_turn(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was received the fewest times comes first, so that a message that fails again and again, or takes all of a
    run's time, does not keep new ones from being recovered. Among those that were received as often, chance decides:
    no message is the first of every run.
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
    """One item that was set aside before. Refused again it stays: a second message would say nothing new."""
    (batch,) = batches([read(record, ports().settings.event_bus_name)])
    refused, not_taken = ports().event_bus.put(batch)
    return not refused and not not_taken


def _give_back(url: str, messages: list[dict[str, Any]]) -> None:
    """At once, and not in two minutes: the alarm counts what can be seen."""
    for message in messages:
        try:
            aws.client("sqs").change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        except (ClientError, BotoCoreError) as error:
            log.warning("a failure comes back later", extra={"reason": str(error)})
