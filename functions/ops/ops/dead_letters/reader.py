"""Looking into a dead-letter queue. SQS has no peek: to look is to receive, which hides a message from all others.

So what is taken is held for a minute at most and given back as soon as it is read; if we die, SQS gives it back.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.telemetry.logs import log
from ops.dead_letters.message import DeadLetter, read

HELD_FOR = 60  # seconds; longer than the function may run
_AT_ONCE = 10
_WAIT = 1  # second: a long poll asks all of SQS's servers, so that an empty answer means an empty queue


@dataclass(frozen=True)
class Held:
    """A letter in our hands."""

    letter: DeadLetter
    receipt: str


def is_time_left() -> bool:
    """For another round of calls, and to give back what is held."""
    return deadline.within(1.0, reserve=4.0) >= 1.0


def take(url: str, wait: int | None = None) -> Iterator[list[Held]]:
    """The queue's letters, at most ten at a time, until it seems empty. `wait` is how long to look for one."""
    while True:
        try:
            answer = aws.client("sqs").receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=_AT_ONCE,
                VisibilityTimeout=HELD_FOR,
                WaitTimeSeconds=_WAIT if wait is None else wait,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"{url} cannot be read: {error}") from error
        held = [Held(read(message), message["ReceiptHandle"]) for message in answer.get("Messages", [])]
        if not held:
            return
        yield held


def give_back(url: str, held: list[Held]) -> None:
    """At best: what cannot be given back now comes back by itself when its minute is over."""
    hide(url, [one.receipt for one in held], 0)


def hide(url: str, receipts: list[str], seconds: int) -> None:
    """From others, for so long from now on; 0 gives back. At best: else the time for which it is hidden stays."""
    for start in range(0, len(receipts), _AT_ONCE):
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for number, receipt in enumerate(receipts[start : start + _AT_ONCE])
        ]
        try:
            answer = aws.client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            log.warning("dead letters come back at another time", extra={"queue": url, "reason": str(error)})
            continue
        if answer.get("Failed"):
            reasons = sorted({failed["Code"] for failed in answer["Failed"]})
            log.warning("dead letters come back at another time", extra={"queue": url, "reason": ", ".join(reasons)})


def look(
    url: str, most: int, wait: int | None = None, known: Collection[str] = frozenset()
) -> tuple[list[DeadLetter], bool]:
    """At most so many letters beyond those whose marks are known, and whether these were all that could be
    seen.
    """
    held: list[Held] = []
    found: dict[str, DeadLetter] = {}
    is_whole = True
    try:
        for batch in take(url, wait):
            held += batch
            found |= {one.letter.message_id: one.letter for one in batch if mark_of(one.letter) not in known}
            if len(found) >= most or not is_time_left():
                is_whole = False
                break
    finally:
        give_back(url, held)
    return list(found.values())[:most], is_whole


def mark_of(letter: DeadLetter) -> str:
    """Eight characters that stand for the message's id in a cursor."""
    return base64.urlsafe_b64encode(hashlib.sha256(letter.message_id.encode()).digest()[:6]).decode()


def send(url: str, letter: DeadLetter, attributes: Mapping[str, str]) -> None:
    values: dict[str, Any] = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
    }
    _call(
        lambda: aws.client("sqs").send_message(QueueUrl=url, MessageBody=letter.body, MessageAttributes=values),
        f"{letter.message_id} cannot be sent to {url}",
    )


def remove(url: str, held: Held) -> None:
    _call(
        lambda: aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=held.receipt),
        f"{held.letter.message_id} cannot be removed from {url}",
    )


def _call(call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"{what}: {error}") from error
