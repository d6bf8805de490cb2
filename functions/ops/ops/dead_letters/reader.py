"""Reads a dead-letter queue. SQS has no peek, and a receive hides the message from other receivers.

So letters are held for a minute at most and released as soon as they are read. After a crash, SQS releases them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.telemetry.logs import log
from ops.dead_letters.message import DeadLetter, read

HELD_FOR = 60  # seconds; longer than the function may run
_AT_ONCE = 10
_WAIT = 1  # second: a long poll asks all of SQS's servers, so an empty answer means an empty queue


@dataclass(frozen=True)
class Held:
    """A received letter, which is hidden from other receivers."""

    letter: DeadLetter
    receipt: str


def is_time_left() -> bool:
    """Whether there is time for another round of calls and for releasing the held letters."""
    return deadline.within(1.0, reserve=4.0) >= 1.0


def take(url: str, wait: int | None = None) -> Iterator[list[Held]]:
    """The queue's letters, at most ten at a time, until it seems empty. `wait` is the long poll in seconds."""
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
    """Best effort: SQS releases the others when their minute is over."""
    hide(url, [one.receipt for one in held], 0)


def hide(url: str, receipts: list[str], seconds: int) -> None:
    """Hides the letters for `seconds` from now; 0 releases them. Best effort: a failure keeps the earlier time."""
    for start in range(0, len(receipts), _AT_ONCE):
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for number, receipt in enumerate(receipts[start : start + _AT_ONCE])
        ]
        try:
            answer = aws.client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            log.warning("dead letters stay hidden for now", extra={"queue": url, "reason": str(error)})
            continue
        if answer.get("Failed"):
            reasons = sorted({failed["Code"] for failed in answer["Failed"]})
            log.warning("dead letters stay hidden for now", extra={"queue": url, "reason": ", ".join(reasons)})


def look(
    url: str, most: int, wait: int | None = None, known: Collection[str] = frozenset()
) -> tuple[list[DeadLetter], bool]:
    """At most `most` letters besides those with known marks, and whether these were all that are visible."""
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
