"""A dependency that takes seconds: a message that was never attempted is no dead letter. The real consumer on a model
of SQS.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from mercato.events import Event, Reads, dead_letters
from mercato.events import consumer as consumers
from mercato.events.consumer import Consumer
from mercato.invocation import deadline
from tests.kit import aws_events
from tests.kit.given import published

MESSAGES, BATCH, AT_ONCE, TIMEOUT, VISIBILITY, SLOW = 1000, 10, 5, 20.0, 120.0, 6.0


class Brewed(Reads):
    cups: int


@dataclass
class Clock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Context:
    clock: Clock
    ends_at: float

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends_at - self.clock.now) * 1000)


@dataclass
class Queue:
    """Delivers a random part of the visible messages, counts receives, and hides delivered messages."""

    chance: random.Random
    visible_at: dict[str, float] = field(default_factory=lambda: {f"m-{n}": 0.0 for n in range(MESSAGES)})
    receives: dict[str, int] = field(default_factory=dict)

    def receive(self, now: float) -> list[str]:
        seen = [name for name, at in self.visible_at.items() if at <= now]
        taken = self.chance.sample(seen, min(BATCH, len(seen)))
        for name in taken:
            self.receives[name] = self.receives.get(name, 0) + 1
            self.visible_at[name] = now + VISIBILITY
        return taken


def record(name: str, receives: int) -> dict[str, Any]:
    event = published("tea.brewed", "pot-1", {"cups": 1}, id=name)
    return aws_events.bus_record(event, "shop-tea", message_id=name, receives=receives)


@pytest.mark.parametrize("seed", range(3))
def test_with_a_slow_dependency_every_message_is_handled_and_none_is_dead_untried(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    clock, queue, handled = Clock(), Queue(random.Random(seed)), list[str]()
    monkeypatch.setattr(deadline, "time", clock)
    monkeypatch.setattr(consumers, "time", clock)
    monkeypatch.delenv("TABLE_NAME", raising=False)
    kitchen = Consumer("kitchen")

    @kitchen.on("tea.brewed")
    def take(event: Event, _: Brewed) -> None:
        clock.now += SLOW
        handled.append(event.id)

    free_at = [0.0] * AT_ONCE
    while queue.visible_at:
        worker = min(range(AT_ONCE), key=free_at.__getitem__)
        clock.now = began = free_at[worker]
        taken = queue.receive(began)
        if not taken:
            free_at[worker] = max(began, min(queue.visible_at.values())) + 0.001
            continue
        context = Context(clock, began + TIMEOUT)
        answer = kitchen.handler(aws_events.records(*(record(name, queue.receives[name]) for name in taken)), context)
        assert clock.now <= began + TIMEOUT, "a function that is killed gives back all, and none of it is counted"
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for name in taken:
            if name not in failed:
                del queue.visible_at[name]
        free_at[worker] = clock.now
    assert sorted(handled) == sorted(f"m-{n}" for n in range(MESSAGES)), "each is tried once"
    assert max(queue.receives.values()) < dead_letters.MAX_RECEIVES
    assert max(queue.receives.values()) > dead_letters.MAX_TRIES, "as receives they would have been dead letters"
