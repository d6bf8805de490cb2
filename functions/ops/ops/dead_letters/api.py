"""HTTP routes of the dead letters."""

from __future__ import annotations

import json

from mercato.clock import utc_now
from mercato.http import ADMIN, WATCH, App
from mercato.http.auth import Caller
from mercato.store.dynamo import InvalidCursor
from mercato.telemetry import correlation
from ops.dead_letters import reader, redrive
from ops.dead_letters.message import Selection
from ops.dead_letters.queues import find_dead_letter_queue, list_dead_letter_queues
from ops.dead_letters.views import (
    LettersPage,
    LettersQuery,
    LetterView,
    QueuesPage,
    QueueView,
    RedriveAuditPage,
    RedriveAuditView,
    RedriveLetters,
    RedrivesView,
    SampleView,
)
from ops.scans import cursor_of, scan_of
from ops.wiring import ports

_SAMPLE = 50
_MOST_BYTES = 2_000_000  # of a page; a Lambda response has 6 MB at most
_MOST_KNOWN = 500  # letters in a cursor, which is part of a URL
_AUDITS = 50


def register(app: App) -> None:
    app.get("/api/ops/dlq", role=ADMIN, limit=WATCH)(list_queues)
    app.post("/api/ops/dlq/redrive", role=ADMIN)(redrive_letters)
    app.get("/api/ops/dlq/{queue}/messages", role=ADMIN, limit=WATCH)(list_letters)
    app.get("/api/ops/dlq/{queue}/redrives", role=ADMIN, limit=WATCH)(list_redrives)


def list_queues() -> QueuesPage:
    now, items = utc_now(), []
    for queue in list_dead_letter_queues(ports().api.queue_prefix):
        # SQS reports no visible messages, so do not wait for one.
        letters, is_whole = reader.look(queue.url, _SAMPLE, None if queue.messages else 0)
        items.append(QueueView.of(queue, SampleView.of(letters, is_whole and not queue.in_flight, now)))
    return QueuesPage(items=items, total=sum(item.messages for item in items))


def list_letters(queue: str, query: LettersQuery) -> LettersPage:
    found = find_dead_letter_queue(ports().api.queue_prefix, queue)
    cursor = query.cursor or ""
    known = {cursor[start : start + 8] for start in range(0, len(cursor), 8)}
    letters, is_whole = reader.look(found.url, query.limit, known=known)
    meant = sorted(filter(Selection(query.type, query.reason).takes, letters), key=lambda letter: letter.sent_at)
    shown: list[LetterView] = []
    left, size = list(meant), 0
    while left:
        view = LetterView.of(left[0], query.with_body)
        size += len(json.dumps(view.model_dump()))
        if shown and size > _MOST_BYTES:
            break
        shown.append(view)
        del left[0]
    known |= {reader.mark_of(letter) for letter in letters if letter not in left}
    has_more = (left or not is_whole) and len(known) <= _MOST_KNOWN
    return LettersPage(
        queue=found.name,
        source=found.source,
        messages=found.messages,
        sample=SampleView.of(letters, is_whole and not found.in_flight, utc_now()),
        items=shown,
        next_cursor="".join(sorted(known)) if has_more else None,
    )


def redrive_letters(order: RedriveLetters, caller: Caller) -> RedrivesView:
    instruction = order.instruction(caller.user_id, correlation.current().correlation_id, utc_now())
    redrive.check(instruction, order.queue)
    prefix = ports().api.queue_prefix
    scan = scan_of(order.cursor, redrive.about(instruction), instruction.at) if order.cursor else None
    if order.queue is None:
        results = redrive.redrive_all(list_dead_letter_queues(prefix), instruction, ports(), scan)
    else:
        queue = find_dead_letter_queue(prefix, order.queue)
        if scan and scan.queue != queue.name:
            raise InvalidCursor("The cursor belongs to another queue; start again without one.")
        results = [redrive.redrive_queue(queue, instruction, ports(), scan)]
    following = results[-1].scan if results else None
    cursor = cursor_of(following, redrive.about(instruction)) if following else None
    return RedrivesView.of(results, order.dry_run, cursor)


def list_redrives(queue: str) -> RedriveAuditPage:
    found = find_dead_letter_queue(ports().api.queue_prefix, queue)
    return RedriveAuditPage(
        queue=found.name,
        items=[RedriveAuditView.model_validate(record) for record in ports().redrive_audit.latest(found.name, _AUDITS)],
    )
