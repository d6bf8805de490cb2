"""The request and response bodies of dead letters."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from mercato.clock import rfc3339
from mercato.http import Body, Cursor, Query, View
from mercato.text import Exact, Reason
from ops.dead_letters.message import DeadLetter, Selection, without_secrets
from ops.dead_letters.queues import DeadLetterQueue
from ops.dead_letters.redrive import Instruction, Redrive

_Name = Annotated[str, Exact(), Field(min_length=1, max_length=200)]


class SampleView(View):
    """The letters that were read. `is_whole`: they were all that are visible; otherwise the counts are a sample's."""

    size: int
    is_whole: bool
    oldest_at: str | None
    oldest_age_seconds: int | None
    reasons: dict[str, int]
    types: dict[str, int]

    @classmethod
    def of(cls, letters: list[DeadLetter], is_whole: bool, now: datetime) -> Self:
        oldest = min((letter.sent_at for letter in letters), default=None)
        return cls(
            size=len(letters),
            is_whole=is_whole,
            oldest_at=rfc3339(oldest) if oldest else None,
            oldest_age_seconds=max(0, int((now - oldest).total_seconds())) if oldest else None,
            reasons=dict(Counter(letter.reason for letter in letters).most_common()),
            types=dict(Counter(letter.event_type or "-" for letter in letters).most_common()),
        )


class QueueView(View):
    """`messages` and `in_flight` are SQS's approximate counts of the whole queue."""

    queue: str
    source: str | None
    messages: int
    in_flight: int
    sample: SampleView

    @classmethod
    def of(cls, queue: DeadLetterQueue, sample: SampleView) -> Self:
        return cls(
            queue=queue.name,
            source=queue.source,
            messages=queue.messages,
            in_flight=queue.in_flight,
            sample=sample,
        )


class QueuesPage(View):
    items: list[QueueView]
    total: int


class LettersQuery(Query):
    """`with_body=true` returns the messages themselves, which may contain customers' data.

    `cursor` leaves out the letters of earlier pages.
    """

    type: Annotated[str, Exact(), Field(max_length=200)] | None = None
    reason: Annotated[str, Exact(), Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    with_body: bool = False
    cursor: Annotated[str, Field(max_length=4800, pattern=r"^([A-Za-z0-9_-]{8})*$")] | None = None


class LetterView(View):
    message_id: str
    reason: str
    detail: str
    event_type: str | None
    event_id: str | None
    subject: str | None
    correlation_id: str | None
    receive_count: int
    redrive_count: int
    first_failed_at: str | None
    sent_at: str
    attributes: dict[str, str]
    body: str | None

    @classmethod
    def of(cls, letter: DeadLetter, with_body: bool = False) -> Self:
        return cls(
            **vars(letter)
            | {
                "first_failed_at": rfc3339(letter.first_failed_at) if letter.first_failed_at else None,
                "sent_at": rfc3339(letter.sent_at),
                "body": without_secrets(letter.body) if with_body else None,
            }
        )


class LettersPage(View):
    """The matching ones among the letters that were read, oldest first, in at most 2 MB.

    `next_cursor` continues with the others, up to 500 letters in all. If there are more, filter by type or reason.
    """

    queue: str
    source: str | None
    messages: int
    sample: SampleView
    items: list[LetterView]
    next_cursor: str | None


class RedriveLetters(Body):
    """A dry run unless `dry_run` is false. `max` caps the letters of this call over all queues; `note` is for the
    audit.

    `cursor` is the `next_cursor` of the response to the same instruction, and continues where that call ended.
    """

    queue: _Name | None = None
    type: _Name | None = None
    reason: _Name | None = None
    ids: Annotated[list[_Name], Field(max_length=100)] = []
    dry_run: bool = True
    max: Annotated[int, Field(ge=1, le=500)] = 100
    note: Reason | None = None
    cursor: Cursor | None = None

    def instruction(self, operator: str, request_id: str, now: datetime) -> Instruction:
        selection = Selection(self.type, self.reason, frozenset(self.ids))
        return Instruction(selection, self.max, self.dry_run, self.note or "", operator, request_id, now)


class RedriveView(View):
    queue: str
    examined: int
    matched: int
    redriven: int
    left_behind: int
    failure: str | None
    is_whole: bool
    letters: list[LetterView]

    @classmethod
    def of(cls, result: Redrive) -> Self:
        fields: dict[str, Any] = {name: value for name, value in vars(result).items() if name != "scan"} | {
            "matched": len(result.matched),
            "letters": [LetterView.of(letter) for letter in result.matched],
        }
        return cls(**fields)


class RedrivesView(View):
    """`next_cursor`, while letters are left to read or to release, is the `cursor` of the next call."""

    dry_run: bool
    matched: int
    redriven: int
    next_cursor: str | None
    items: list[RedriveView]

    @classmethod
    def of(cls, results: list[Redrive], dry_run: bool, next_cursor: str | None) -> Self:
        return cls(
            dry_run=dry_run,
            matched=sum(len(result.matched) for result in results),
            redriven=sum(result.redriven for result in results),
            next_cursor=next_cursor,
            items=[RedriveView.of(result) for result in results],
        )


class RedriveAuditView(View):
    """`outcome` is started, done or failed. It stays started after a crash."""

    operator: str
    request_id: str
    at: str
    note: str
    event_type: str | None
    reason: str | None
    ids: list[str]
    max: int
    outcome: str
    redriven: int
    left_behind: int


class RedriveAuditPage(View):
    queue: str
    items: list[RedriveAuditView]
