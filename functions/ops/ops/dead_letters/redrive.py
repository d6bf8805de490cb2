"""Sends dead letters back to the queue they came from: receive, send, delete.

After a crash between send and delete a letter is in both queues, and a later redrive sends it again. Consumers are
idempotent, so a redrive may be repeated. A letter is deleted only after it was sent.

A letter that fails again may come back during the redrive. A redrive sends no letter twice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from mercato.clock import rfc3339, utc_now
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, TransientError
from mercato.telemetry.logs import log
from ops import scans
from ops.dead_letters import reader
from ops.dead_letters.message import DeadLetter, Selection
from ops.dead_letters.queues import DeadLetterQueue
from ops.dead_letters.reader import Held
from ops.scans import Scan
from ops.wiring import Ports

_MOST_EXAMINED = 500  # letters per call, which takes some seconds


class NotRedrivable(Conflict):
    """The queue's dead letters have no source queue to be sent back to."""


class NothingSelected(Invalid):
    """A redrive needs at least one filter: queue, type, reason or ids."""


class NoteMissing(Invalid):
    """A redrive that is not a dry run needs a note with its reason."""


@dataclass(frozen=True)
class Instruction:
    """A redrive's operator, selection and reason, as stored in the audit. `most` is the cap over all queues."""

    selection: Selection
    most: int
    is_dry_run: bool
    note: str
    operator: str
    request_id: str
    at: datetime


@dataclass(frozen=True)
class Redrive:
    """The result for one queue. `left_behind` were sent but not deleted: they may be sent again.

    `is_whole` is false if the cap, the time or a fault ended it before the queue was empty. `scan` is the state for the
    next call, which reads more letters or releases those that were read.
    """

    queue: str
    examined: int = 0
    matched: tuple[DeadLetter, ...] = ()
    redriven: int = 0
    left_behind: int = 0
    failure: str | None = None
    is_whole: bool = True
    scan: Scan | None = None


def check(instruction: Instruction, queue: str | None) -> None:
    selection = instruction.selection
    if not (queue or selection.event_type or selection.reason or selection.ids):
        raise NothingSelected("A redrive needs at least one filter: queue, type, reason or ids.")
    if not instruction.is_dry_run and not instruction.note:
        raise NoteMissing("A redrive needs a note with its reason; a dry run does not.")


def redrive_all(
    queues: list[DeadLetterQueue], instruction: Instruction, ports: Ports, scan: Scan | None = None
) -> list[Redrive]:
    """Redrives queue by queue in the order of their names, until the cap or the first queue that needs another call.
    Skips queues without a source queue.
    """
    results: list[Redrive] = []
    left = instruction.most
    for queue in sorted(queues, key=lambda queue: queue.name):
        if queue.source_url is None or left == 0 or (scan and queue.name < scan.queue):
            continue
        # SQS reports no visible messages, so do not wait for one.
        wait = None if queue.messages else 0
        begun = scan if scan and scan.queue == queue.name else None
        result = redrive_queue(queue, replace(instruction, most=left), ports, begun, wait)
        left -= len(result.matched)
        results.append(result)
        if result.scan:
            break
    return results


def redrive_queue(
    queue: DeadLetterQueue,
    instruction: Instruction,
    ports: Ports,
    scan: Scan | None = None,
    wait: int | None = None,
) -> Redrive:
    """Stores the instruction in the audit before it sends. `scan` continues an earlier call."""
    if queue.source_url is None:
        raise NotRedrivable(f"{queue.name} holds no messages of a queue: the relay's sweeper publishes what it can.")
    scan = scan or scans.begin(queue.name, about(instruction), instruction.at)
    if scan.is_at_end:
        return _released(Redrive(queue.name, scan=scan), queue, ports)
    if instruction.is_dry_run:
        return _work(queue, instruction, None, ports, scan, wait)
    audit_id = ports.redrive_audit.open(queue.name, instruction)
    result = _work(queue, instruction, queue.source_url, ports, scan, wait)
    ports.redrive_audit.close(queue.name, audit_id, result)
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
    ports: Ports,
    scan: Scan,
    wait: int | None,
) -> Redrive:
    """`target` is None for a dry run. Letters that are not sent stay held until the end, so none is received twice."""
    result, kept, is_paused = Redrive(queue.name), list[Held](), False
    matched: dict[str, DeadLetter] = {}  # by body: a letter that came back has a new id
    examined: set[str] = set()
    try:
        for batch in reader.take(queue.url, wait):
            for held in batch:
                examined.add(held.letter.message_id)
                is_meant = instruction.selection.takes(held.letter) and held.letter.body not in matched
                # A letter that an earlier call of this scan has sent may have come back with a new id.
                is_meant = is_meant and not (scan.parts and held.letter.sent_at > scan.began_at)
                if not is_meant or len(matched) == instruction.most or result.failure:
                    kept.append(held)
                    continue
                matched[held.letter.body] = held.letter
                if target is None:
                    kept.append(held)
                else:
                    result = _move(queue.url, target, held, instruction.at, result, kept)
            if len(matched) == instruction.most or result.failure:
                result = replace(result, is_whole=False)
                break
            if len(examined) >= _MOST_EXAMINED or not reader.is_time_left():
                result, is_paused = replace(result, is_whole=False), True
                break
        if is_paused:
            scan = ports.scans.keep(scan, queue.url, kept, utc_now())
            kept = []
    except TransientError as error:
        result, is_paused = replace(result, failure=str(error), is_whole=False), False
    finally:
        reader.give_back(queue.url, kept)
    result = replace(result, examined=len(examined), matched=tuple(matched.values()))
    if is_paused:
        return replace(result, scan=scan)
    return _released(replace(result, scan=replace(scan, is_at_end=True)), queue, ports)


def _released(result: Redrive, queue: DeadLetterQueue, ports: Ports) -> Redrive:
    """Ends the scan: releases the letters that its calls have read, as far as the time allows."""
    assert result.scan
    scan = ports.scans.release(result.scan, queue.url, reader.is_time_left)
    return replace(result, scan=scan if scan.released < scan.parts else None)


def about(instruction: Instruction) -> str:
    """The fingerprint of the instruction, to which a cursor is bound."""
    chosen = instruction.selection
    return json.dumps([chosen.event_type, chosen.reason, sorted(chosen.ids), instruction.is_dry_run])


def _move(source: str, target: str, held: Held, now: datetime, result: Redrive, kept: list[Held]) -> Redrive:
    letter = held.letter
    attributes = {
        "redrive_count": str(letter.redrive_count + 1),
        "first_failed_at": rfc3339(letter.first_failed_at or letter.sent_at),
        "redriven_at": rfc3339(now),
    }
    try:
        reader.send(target, letter, attributes)
    except TransientError as error:
        kept.append(held)
        return replace(result, failure=str(error))
    result = replace(result, redriven=result.redriven + 1)
    try:
        reader.remove(source, held)
    except TransientError as error:
        kept.append(held)
        return replace(result, left_behind=result.left_behind + 1, failure=str(error))
    return result
