"""Writes and reads streams of an event store for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from mercato.store.dynamo import Table
from mercato.store.event_store import ConcurrencyError, EventStore
from mercato.store.stored_event import NewEvent


def event(now: datetime, event_id: str, data: dict[str, Any] | None = None, public: str | None = None) -> NewEvent:
    return NewEvent(event_id, "Happened", 1, now, data if data is not None else {"n": event_id}, public)


def ids(store: EventStore, stream_id: str = "a", **bounds: int) -> list[tuple[int, str]]:
    return [(found.version, found.event_id) for found in store.read(stream_id, **bounds)]


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts the calls of all tables by operation, from now on."""
    asked, call = [], Table._call

    def counted(self: Table, operation: str, **parameters: Any) -> dict[str, Any]:
        asked.append(operation)
        return call(self, operation, **parameters)

    monkeypatch.setattr(Table, "_call", counted)
    return asked


def at_once(monkeypatch: pytest.MonkeyPatch, writers: Sequence[Callable[[], None]]) -> None:
    """Runs them concurrently, each in a thread. DynamoDB's calls are atomic; moto needs a lock for that."""
    lock, call = threading.Lock(), Table._call

    def whole(self: Table, operation: str, **parameters: Any) -> dict[str, Any]:
        with lock:
            return call(self, operation, **parameters)

    monkeypatch.setattr(Table, "_call", whole)
    with ThreadPoolExecutor(len(writers)) as pool:
        for done in [pool.submit(writer) for writer in writers]:
            done.result()


def interpose(monkeypatch: pytest.MonkeyPatch, table: Table, moment: int, act: Callable[[EventStore], object]) -> None:
    """Runs another writer once, before the call of this number to `table`, counted from 0, if it still can write."""
    call, calls = table._call, iter(range(1000))
    other = EventStore(Table(table.name), "thing")

    def counted(operation: str, **parameters: Any) -> dict[str, Any]:
        if next(calls) == moment:
            with suppress(ConcurrencyError):
                act(other)
        return call(operation, **parameters)

    monkeypatch.setattr(table, "_call", counted)
