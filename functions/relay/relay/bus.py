"""The event bus as the relay sees it: batches in, and what was not taken out, told apart by whether it may heal.

What is not taken now is tried again a few times at once, so that a short throttle costs no further invocation. An
entity is in a batch only once, so that trying an entry again overtakes nothing.
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

# What EventBridge says of an entry that it will never take. All else (throttled, internal, not authorized) may heal.
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
        """By sequence number: what will never be taken, with the reason, and what was not taken now."""
        refused: dict[str, str] = {}
        taken: list[Outgoing] = []
        waiting = batch
        for attempt in range(1, _ATTEMPTS + 1):
            waiting = self._put_once(waiting, taken, refused)
            # Two seconds are left for the answer, and for what must be set aside.
            if not waiting or attempt == _ATTEMPTS or deadline.within(5.0, reserve=2.0) < 5.0:
                break
            self._sleep(random.uniform(0, 0.1 * 2**attempt))
        lag.report([one.time for one in taken], self.name, self._now())
        return refused, {one.sequence_number for one in waiting}

    @staticmethod
    def _put_once(batch: list[Outgoing], taken: list[Outgoing], refused: dict[str, str]) -> list[Outgoing]:
        """What should be tried again."""
        try:
            answers: list[dict[str, Any]] = aws.client("events").put_events(Entries=[one.entry for one in batch])[
                "Entries"
            ]
        except (ClientError, BotoCoreError) as error:
            log.warning("events not taken", extra={"reason": str(error), "count": len(batch)})
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
                log.warning("event not taken", extra={"event_id": one.event_id, "reason": code})
                waiting.append(one)
        return waiting


def _log_published(one: Outgoing) -> None:
    with correlation.bound(one.correlation):
        log.info(
            "event published",
            extra={"event_id": one.event_id, "event_type": one.event_type, "subject": one.subject},
        )
