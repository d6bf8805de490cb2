"""A dead letter: what a message in a dead-letter queue says of itself, whoever put it there.

Our consumers and the relay say their reason in attributes. EventBridge, which could not deliver to the queue, says an
ERROR_CODE. Lambda, which gave up on a part of a table's stream, says a condition in the body. SQS says nothing: a
message that it moved after the last receive belongs to a function that died of it (time-out, memory, crash).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

RETRIES_EXHAUSTED = "retries-exhausted"
UNDELIVERED = "undelivered"
STREAM_GIVEN_UP = "stream-given-up"

_SILENT = "The queue moved it after its last delivery: the function ended without an answer. Its log says more."


@dataclass(frozen=True)
class DeadLetter:
    """`receive_count` is how often the consumer had it, as far as it told; else how often SQS has handed it out, and
    then every look at it counts. `first_failed_at` and `event_*` are None where nobody told.
    """

    message_id: str
    reason: str
    detail: str
    event_type: str | None
    event_id: str | None
    subject: str | None
    correlation_id: str | None
    receive_count: int
    redrive_count: int
    first_failed_at: datetime | None
    sent_at: datetime
    attributes: dict[str, str]
    body: str


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; what is empty takes all. An id is the message's or the event's."""

    event_type: str | None = None
    reason: str | None = None
    ids: frozenset[str] = frozenset()

    def takes(self, letter: DeadLetter) -> bool:
        return (
            self.event_type in (None, letter.event_type)
            and self.reason in (None, letter.reason)
            and (not self.ids or letter.message_id in self.ids or letter.event_id in self.ids)
        )


# Who has the token of a parked saga can resume it unseen.
_SECRET = re.compile(r'("task_token"\s*:\s*")(?:[^"\\]|\\.)*')


def without_secrets(body: str) -> str:
    return _SECRET.sub(r"\1…", body)


def read(message: Mapping[str, Any]) -> DeadLetter:
    """From a message as SQS returns it, with all its attributes. Reads anything, however broken."""
    told = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    document = _document(message["Body"])
    event = document.get("detail")
    event = event if isinstance(event, dict) else {}
    reason, detail = _reason(told, document)
    return DeadLetter(
        message_id=message["MessageId"],
        reason=reason,
        detail=detail,
        event_type=_text(event.get("type")) or _text(document.get("detail-type")),
        event_id=_text(event.get("id")),
        subject=_text(event.get("subject")) or _saga(document),
        correlation_id=(
            _text(event.get("correlationid")) or told.get("correlation_id") or _text(document.get("correlation_id"))
        ),
        receive_count=_count(told.get("receive_count"), int(message["Attributes"]["ApproximateReceiveCount"])),
        redrive_count=_count(told.get("redrive_count"), 0),
        first_failed_at=_moment(told.get("first_failed_at")),
        sent_at=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
        attributes=told,
        body=message["Body"],
    )


def _reason(told: Mapping[str, str], document: Mapping[str, Any]) -> tuple[str, str]:
    if told.get("reason"):
        return told["reason"], told.get("detail", "")
    if told.get("ERROR_CODE"):
        return UNDELIVERED, f"{told['ERROR_CODE']}: {told.get('ERROR_MESSAGE', '')}"
    context = document.get("requestContext")
    if "DDBStreamBatchInfo" in document and isinstance(context, dict):
        return STREAM_GIVEN_UP, f"{context.get('condition')} of {context.get('functionArn')}"
    return RETRIES_EXHAUSTED, _SILENT


def _document(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _saga(document: Mapping[str, Any]) -> str | None:
    """A parking is no event, and about the saga that waits: by its name, as it would be listed."""
    return _text((_text(document.get("execution_arn")) or "").rpartition(":")[2])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else otherwise


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
