"""Circuits in this process only: for tests and simulations, and for a function that shares none."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator

from mercato.breaker.change import Change, Result, Value
from mercato.breaker.state import State
from mercato.breaker.store import Reading
from mercato.events.model import EventModel
from mercato.store.attributes import Item


class MemoryStore:
    """`published` and `audits` are the events and audit records of the changes; `calls` counts the calls."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Value]] = {}
        self.entries: dict[str, str] = {}
        self.published: list[tuple[str, int, EventModel]] = []
        self.audits: dict[str, list[Item]] = {}
        self.calls = 0
        self._lock = threading.Lock()

    def read(self, names: Collection[str], entries: Collection[str] = ()) -> Reading:
        with self._lock:
            self.calls += 1
            states = {name: State.of(self.items.get(name, {})) for name in names}
            return Reading(states, {name: self.entries[name] for name in entries if name in self.entries})

    def change(self, name: str, change: Change, now: int) -> Result:
        with self._lock:
            self.calls += 1
            item = self.items.get(name, {})
            if not change.applies(item):
                return Result(False, State.of(item))
            item = item | dict(change.set)
            for key, amount in change.add.items():
                item[key] = int(item.get(key, 0)) + amount
            self.items[name] = item
            if change.event is not None:
                self.published.append((name, int(change.set["gen"]), change.event))
            if change.audit is not None:
                self.audits.setdefault(name, []).insert(0, change.audit)
            return Result(True, State.of(item))

    def enlist(self, name: str, about: str) -> None:
        with self._lock:
            self.calls += 1
            self.entries[name] = about

    def names(self) -> Iterator[tuple[str, str]]:
        return iter(sorted(self.entries.items()))

    def audit_of(self, name: str, limit: int = 20) -> list[Item]:
        return self.audits.get(name, [])[:limit]
