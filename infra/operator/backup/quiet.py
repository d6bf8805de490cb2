"""Whether anything is under way in the shop: messages, sagas, events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from infra.operator import target
from infra.operator.accounts import use_cloud_of
from infra.operator.parts import QUEUE, Part
from infra.operator.target import Target
from mercato.clock import utc_now
from mercato.store.dynamo import Table
from ops.journal.store import Journal, Position

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
# Between two looks. An event is in its queue, and then in the journal, within a second or two of its write.
PAUSE = 5.0


@dataclass(frozen=True)
class Look:
    """`under_way` has a sentence for each thing that is under way. `journal` is how many events were ever recorded."""

    under_way: tuple[str, ...]
    journal: Position


def look_at(shop: Target, parts: Iterable[Part]) -> Look:
    return Look((*_messages(shop, parts), *_sagas(shop)), _position(shop, parts))


def watch(
    shop: Target, parts: Iterable[Part], before: Position | None = None, sleep: Callable[[float], None] = time.sleep
) -> Look:
    """Looks twice. An event between the looks, or since `before`, is under way as well: a change of the shop that
    concerns two tables publishes one.
    """
    first = look_at(shop, parts)
    if first.under_way:
        return first
    sleep(PAUSE)
    last = look_at(shop, parts)
    if last.under_way or last.journal == (before or first.journal):
        return last
    return Look(("events were published in between",), last.journal)


def _messages(shop: Target, parts: Iterable[Part]) -> Iterable[str]:
    sqs = target.client(shop, "sqs")
    for part in parts:
        if part.kind == QUEUE:
            counts = sqs.get_queue_attributes(QueueUrl=part.id, AttributeNames=list(_COUNTS))["Attributes"]
            if found := sum(int(counts[name]) for name in _COUNTS):
                yield f"the queue {part.id.rpartition('/')[2]} has {found} message{'s' * (found > 1)}"


def _sagas(shop: Target) -> Iterable[str]:
    answer = target.client(shop, "stepfunctions").list_executions(
        stateMachineArn=shop.outputs["OrderSagaArn"], statusFilter="RUNNING", maxResults=100
    )
    if found := len(answer["executions"]):
        more = "+" if "nextToken" in answer else ""
        yield f"{found}{more} saga{'s' * (found > 1)} under way, or parked for an operator"


def _position(shop: Target, parts: Iterable[Part]) -> Position:
    use_cloud_of(shop)
    [table] = [part.id for part in parts if part.path.endswith("JournalTable")]
    return Journal(Table(table)).read_newest(limit=1, now=utc_now())[1]
