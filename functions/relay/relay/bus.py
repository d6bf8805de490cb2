"""The event bus: takes batches, and returns the entries that failed, permanently or transiently.

Transient failures are retried a few times at once, so that a short throttle costs no further invocation. A batch has at
most one entry of an entity, so that a retry cannot reorder an entity's events.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.clock import utc_now
from mercato.invocation import deadline
from mercato.telemetry import correlation
from mercato.telemetry.logs import log
from relay import lag
from relay.records import Outgoing

# EventBridge never accepts an entry with these errors. All others (throttled, internal, not authorized) are transient.
_PERMANENT = frozenset({"MalformedDetail", "InvalidArgument"})
_ATTEMPTS = 4


class EventBus:
    """`sleep` and `now` are passed in for tests."""

    def __init__(
        self, name: str, sleep: Callable[[float], None] = time.sleep, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.name = name
        self._sleep = sleep
        self._now = now

    def put(self, batch: list[Outgoing]) -> tuple[dict[str, str], set[str]]:
        """Both by sequence number: the entries refused permanently with their reasons, and those that failed
        for now.
        """
        refused: dict[str, str] = {}
        taken: list[Outgoing] = []
        waiting = batch
        for attempt in range(1, _ATTEMPTS + 1):
            waiting = self._put_once(waiting, taken, refused)
            # Reserve two seconds for the answer and for setting records aside.
            if not waiting or attempt == _ATTEMPTS or deadline.within(5.0, reserve=2.0) < 5.0:
                break
            self._sleep(random.uniform(0, 0.1 * 2**attempt))
        lag.report([one.time for one in taken], self.name, self._now())
        return refused, {one.sequence_number for one in waiting}

    @staticmethod
    def _put_once(batch: list[Outgoing], taken: list[Outgoing], refused: dict[str, str]) -> list[Outgoing]:
        """Returns the entries to retry."""
        try:
            answers: list[dict[str, Any]] = aws.client("events").put_events(Entries=[one.entry for one in batch])[
                "Entries"
            ]
        except (ClientError, BotoCoreError) as error:
            log.warning("events not accepted", extra={"reason": str(error), "count": len(batch)})
            return batch
        waiting = []
        for one, answer in zip(batch, answers, strict=True):
            code = answer.get("ErrorCode")
            if code is None:
                _log_published(one)
                taken.append(one)
            elif code in _PERMANENT:
                refused[one.sequence_number] = f"{code}: {answer.get('ErrorMessage', '')}"
            else:
                log.warning("event not accepted", extra={"event_id": one.event_id, "reason": code})
                waiting.append(one)
        return waiting


def _log_published(one: Outgoing) -> None:
    with correlation.bound(one.correlation):
        log.info(
            "event published",
            extra={"event_id": one.event_id, "event_type": one.event_type, "subject": one.subject},
        )
