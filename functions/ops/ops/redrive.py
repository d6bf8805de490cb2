"""Sending dead letters back to the queue they came from: receive, send, delete.

Killed between send and delete, a letter is in both queues, and a later redrive sends it a second time: consumers take
an event once, so that a redrive may be repeated at will. Nothing is ever deleted that was not sent.

A message that fails again may be back before we are done: what a redrive has sent, it does not send a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from mercato.clock import rfc3339
from mercato.errors import Conflict, Invalid, TransientError
from mercato.logs import log
from ops import mailroom
from ops.letters import DeadLetter, Selection
from ops.mailroom import Held
from ops.queues import DeadLetterQueue


class NotRedrivable(Conflict):
    """The queue's letters came from no queue that they could go back to."""


class NothingSelected(Invalid):
    """A redrive names a queue, a type, a reason or ids."""


class NoteMissing(Invalid):
    """A redrive that sends says why."""


@dataclass(frozen=True)
class Instruction:
    """Who wants what redriven, and why: what the audit keeps. `most` is the cap over all queues."""

    selection: Selection
    most: int
    is_dry_run: bool
    note: str
    operator: str
    request_id: str
    at: datetime


@dataclass(frozen=True)
class Redrive:
    """What became of one queue. `left_behind` were sent, and could not be deleted: they may be sent again.

    `is_whole` is false where the cap, the time or a fault ended it before the queue did.
    """

    queue: str
    examined: int = 0
    matched: tuple[DeadLetter, ...] = ()
    redriven: int = 0
    left_behind: int = 0
    failure: str | None = None
    is_whole: bool = True


class Audit(Protocol):
    def open(self, queue: str, instruction: Instruction) -> str: ...

    def close(self, queue: str, audit_id: str, result: Redrive) -> None: ...


def check(instruction: Instruction, queue: str | None) -> None:
    selection = instruction.selection
    if not (queue or selection.event_type or selection.reason or selection.ids):
        raise NothingSelected("Name a queue, a type, a reason or ids: a redrive of everything is not meant by nothing.")
    if not instruction.is_dry_run and not instruction.note:
        raise NoteMissing("A redrive needs a note that says why; a dry run does not.")


def redrive_all(
    queues: list[DeadLetterQueue], instruction: Instruction, audit: Audit, is_time_left: Callable[[], bool]
) -> list[Redrive]:
    """Queue by queue, until the cap. A queue that nothing can be sent back from is passed over."""
    results: list[Redrive] = []
    left = instruction.most
    for queue in queues:
        if queue.source_url is None or left == 0:
            continue
        # SQS says that nothing can be seen there: no wait for it to be wrong.
        wait = None if queue.messages else 0
        result = redrive_queue(queue, replace(instruction, most=left), audit, is_time_left, wait)
        left -= len(result.matched)
        results.append(result)
    return results


def redrive_queue(
    queue: DeadLetterQueue,
    instruction: Instruction,
    audit: Audit,
    is_time_left: Callable[[], bool],
    wait: int | None = None,
) -> Redrive:
    """Nothing is sent before the audit has the instruction."""
    if queue.source_url is None:
        raise NotRedrivable(f"{queue.name} holds no messages of a queue: the relay's sweeper publishes what it can.")
    if instruction.is_dry_run:
        return _work(queue, instruction, None, is_time_left, wait)
    audit_id = audit.open(queue.name, instruction)
    result = _work(queue, instruction, queue.source_url, is_time_left, wait)
    audit.close(queue.name, audit_id, result)
    log.info(
        "dead letters redriven",
        extra={
            "queue": queue.name,
            "operator": instruction.operator,
            "redriven": result.redriven,
            "left_behind": result.left_behind,
        },
    )
    return result


def _work(
    queue: DeadLetterQueue,
    instruction: Instruction,
    target: str | None,
    is_time_left: Callable[[], bool],
    wait: int | None,
) -> Redrive:
    """`target` is None for a dry run. What is not sent is given back in the end, so that none is received twice."""
    result, kept = Redrive(queue.name), list[Held]()
    matched: dict[str, DeadLetter] = {}  # by body: a letter that came back has a new id
    examined: set[str] = set()
    try:
        for batch in mailroom.take(queue.url, wait):
            for held in batch:
                examined.add(held.letter.message_id)
                is_meant = instruction.selection.takes(held.letter) and held.letter.body not in matched
                if not is_meant or len(matched) == instruction.most or result.failure:
                    kept.append(held)
                    continue
                matched[held.letter.body] = held.letter
                if target is None:
                    kept.append(held)
                else:
                    result = _move(queue.url, target, held, instruction.at, result, kept)
            if len(matched) == instruction.most or result.failure or not is_time_left():
                result = replace(result, is_whole=False)
                break
    except TransientError as error:
        result = replace(result, failure=str(error), is_whole=False)
    finally:
        mailroom.give_back(queue.url, kept)
    return replace(result, examined=len(examined), matched=tuple(matched.values()))


def _move(source: str, target: str, held: Held, now: datetime, result: Redrive, kept: list[Held]) -> Redrive:
    letter = held.letter
    attributes = {
        "redrive_count": str(letter.redrive_count + 1),
        "first_failed_at": rfc3339(letter.first_failed_at or letter.sent_at),
        "redriven_at": rfc3339(now),
    }
    try:
        mailroom.send(target, letter, attributes)
    except TransientError as error:
        kept.append(held)
        return replace(result, failure=str(error))
    result = replace(result, redriven=result.redriven + 1)
    try:
        mailroom.remove(source, held)
    except TransientError as error:
        kept.append(held)
        return replace(result, left_behind=result.left_behind + 1, failure=str(error))
    return result
