"""A dead letter: the reason and the event in a message of a dead-letter queue, whatever service moved it there.

Our consumers and the relay write their reason to attributes. EventBridge writes an ERROR_CODE when it could not deliver
to the queue. Lambda writes a condition to the body when it gave up on a part of a table's stream. SQS writes nothing: a
message that it moved after the last receive belongs to a function that crashed or ran out of time or memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mercato.dataclass import dataclass

RETRIES_EXHAUSTED = "retries-exhausted"
UNDELIVERED = "undelivered"
STREAM_GIVEN_UP = "stream-given-up"

_SILENT = "SQS moved it after its last delivery: the function crashed or ran out of time or memory. See its log."


@dataclass(frozen=True)
class DeadLetter:
    """`receive_count` is the number of deliveries to the consumer if it is known, else the number of receives by SQS,
    which includes every look at it. `first_failed_at` and `event_*` are None if unknown.
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
    """The selected letters. An empty field selects all. An id is the message's or the event's."""

    event_type: str | None = None
    reason: str | None = None
    ids: frozenset[str] = frozenset()

    def takes(self, letter: DeadLetter) -> bool:
        return (
            self.event_type in (None, letter.event_type)
            and self.reason in (None, letter.reason)
            and (not self.ids or letter.message_id in self.ids or letter.event_id in self.ids)
        )


# The token of a parked saga lets its holder resume the saga without an audit record.
_SECRET = re.compile(r'("task_token"\s*:\s*")(?:[^"\\]|\\.)*')


def without_secrets(body: str) -> str:
    return _SECRET.sub(r"\1…", body)


def read(message: Mapping[str, Any]) -> DeadLetter:
    """Reads a message as SQS returns it, with all its attributes. Never fails, however malformed it is."""
    given = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    document = _document(message["Body"])
    event = document.get("detail")
    event = event if isinstance(event, dict) else {}
    reason, detail = _reason(given, document)
    return DeadLetter(
        message_id=message["MessageId"],
        reason=reason,
        detail=detail,
        event_type=_text(event.get("type")) or _text(document.get("detail-type")),
        event_id=_text(event.get("id")),
        subject=_text(event.get("subject")) or _saga(document),
        correlation_id=(
            _text(event.get("correlationid")) or given.get("correlation_id") or _text(document.get("correlation_id"))
        ),
        receive_count=_count(given.get("receive_count"), int(message["Attributes"]["ApproximateReceiveCount"])),
        redrive_count=_count(given.get("redrive_count"), 0),
        first_failed_at=_moment(given.get("first_failed_at")),
        sent_at=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
        attributes=given,
        body=message["Body"],
    )


def _reason(given: Mapping[str, str], document: Mapping[str, Any]) -> tuple[str, str]:
    if given.get("reason"):
        return given["reason"], given.get("detail", "")
    if given.get("ERROR_CODE"):
        return UNDELIVERED, f"{given['ERROR_CODE']}: {given.get('ERROR_MESSAGE', '')}"
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
    """The name of the parked saga, as it is listed, if the message is a parking, which is no event."""
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
