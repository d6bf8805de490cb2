"""An append may expect its stream to be new, to exist, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, Table
from mercato.store.event_store import NO_STREAM, ConcurrencyError, EventStore, Expected, StreamNotFound
from mercato.store.item_size import AppendTooLarge
from tests.integration.layer.streams import at_once, count_calls, event, ids, interpose


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(table: Table, waits: list[float]) -> EventStore:
    return EventStore(table, "thing", sleep=waits.append)


def overtake(store: EventStore, monkeypatch: pytest.MonkeyPatch, now: datetime, times: int) -> None:
    """Lets another writer append between the read of the head and the append, this many times."""
    version, left = EventStore.version, list(range(times))

    def looked(self: EventStore, stream_id: str) -> int:
        found = version(self, stream_id)
        if left:
            store.append(stream_id, found, [event(now, f"other-{left.pop(0)}")])
        return found

    monkeypatch.setattr(EventStore, "version", looked)


def test_a_new_stream_begins_only_once(store: EventStore, noon: datetime) -> None:
    assert store.append("a", NO_STREAM, [event(noon, "e1")]) == 1
    with pytest.raises(ConcurrencyError) as refused:
        store.append("a", NO_STREAM, [event(noon, "e2")])
    assert (refused.value.expected, refused.value.actual) == (0, 1)
    assert ids(store) == [(1, "e1")]


def test_where_a_stream_must_exist_one_that_does_not_is_refused_and_not_made(store: EventStore, noon: datetime) -> None:
    with pytest.raises(StreamNotFound, match="thing a"):
        store.append("a", Expected.EXISTS, [event(noon, "e1")])
    assert (ids(store), store.version("a")) == ([], NO_STREAM)
    store.append("a", NO_STREAM, [event(noon, "e1")])
    assert store.append("a", Expected.EXISTS, [event(noon, "e2"), event(noon, "e3")]) == 3
    assert ids(store) == [(1, "e1"), (2, "e2"), (3, "e3")]


def test_anywhere_is_a_new_stream_too(store: EventStore, noon: datetime, waits: list[float]) -> None:
    assert store.append("a", Expected.ANY, [event(noon, "e1")]) == 1
    assert store.append("a", Expected.ANY, [event(noon, "e2")]) == 2
    assert ids(store) == [(1, "e1"), (2, "e2")]
    assert waits == []


def test_an_append_anywhere_that_is_overtaken_looks_again(
    store: EventStore, noon: datetime, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    overtake(store, monkeypatch, noon, times=3)
    assert store.append("a", Expected.ANY, [event(noon, "e1")]) == 4
    assert ids(store) == [(1, "other-0"), (2, "other-1"), (3, "other-2"), (4, "e1")]
    assert len(waits) == 3
    assert all(0 <= wait <= 0.5 for wait in waits)


def test_one_that_is_overtaken_again_and_again_gives_up_and_has_appended_nothing(
    store: EventStore, noon: datetime, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    overtake(store, monkeypatch, noon, times=8)
    with pytest.raises(ConcurrencyError):
        store.append("a", Expected.ANY, [event(noon, "e1")])
    assert [event_id for _, event_id in ids(store)] == [f"other-{n}" for n in range(8)]
    assert len(waits) == 7


def test_the_same_append_anywhere_again_is_found_done_at_the_version_that_it_had(
    store: EventStore, noon: datetime
) -> None:
    events = [event(noon, "e1"), event(noon, "e2")]
    assert store.append("a", Expected.ANY, events) == 2
    store.append("a", 2, [event(noon, "e3")])
    assert store.append("a", Expected.ANY, events) == 2
    assert store.append("a", Expected.EXISTS, events) == 2
    assert ids(store) == [(1, "e1"), (2, "e2"), (3, "e3")]


def test_the_same_event_first_among_others_is_another_append_and_refused(store: EventStore, noon: datetime) -> None:
    store.append("a", Expected.ANY, [event(noon, "e1")])
    with pytest.raises(ValueError, match="e1 was appended before"):
        store.append("a", Expected.ANY, [event(noon, "e1"), event(noon, "e2")])
    assert ids(store) == [(1, "e1")]


def test_an_append_anywhere_whose_answer_was_lost_is_done_once(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = table.transact

    def lose_the_answer(writes: list[dynamo.Write], **options: Any) -> None:
        transact(writes, **options)
        raise TransientError("the connection broke")

    monkeypatch.setattr(table, "transact", lose_the_answer)
    assert store.append("a", Expected.ANY, [event(noon, "e1")]) == 1
    monkeypatch.setattr(table, "transact", transact)
    assert store.append("a", Expected.ANY, [event(noon, "e1")]) == 1
    assert ids(store) == [(1, "e1")]


def test_a_condition_alongside_an_append_anywhere_is_told_by_its_own_index(
    store: EventStore, table: Table, noon: datetime
) -> None:
    table.write(dynamo.put({"pk": "row", "sk": "1"}))
    alongside = [dynamo.put({"pk": "row", "sk": "0"}), dynamo.put_new({"pk": "row", "sk": "1"})]
    with pytest.raises(ConditionFailed) as refused:
        store.append("a", Expected.ANY, [event(noon, "e1")], alongside=alongside)
    assert (refused.value.index, refused.value.item) == (1, {"pk": "row", "sk": "1"})
    assert ids(store) == []


def test_done_before_it_is_done_whatever_became_of_the_row_alongside(store: EventStore, noon: datetime) -> None:
    def row() -> dynamo.Write:
        return dynamo.put_new({"pk": "row", "sk": "1"})

    assert store.append("a", Expected.ANY, [event(noon, "e1")], alongside=[row()]) == 1
    assert store.append("a", Expected.ANY, [event(noon, "e1")], alongside=[row()]) == 1


def test_the_marker_counts_among_a_hundred_writes(store: EventStore, noon: datetime) -> None:
    with pytest.raises(AppendTooLarge, match="101 writes"):
        store.append("a", Expected.ANY, [event(noon, f"e{n}") for n in range(99)])
    assert store.append("a", Expected.ANY, [event(noon, f"e{n}") for n in range(98)]) == 98


def test_of_many_writers_anywhere_each_has_a_version_of_its_own(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: dict[str, int] = {}

    def writer(name: str) -> Callable[[], None]:
        def write() -> None:
            for number in range(3):
                got[f"{name}-{number}"] = store.append("a", Expected.ANY, [event(noon, f"{name}-{number}")])

        return write

    at_once(monkeypatch, [writer(name) for name in "uvwx"])
    assert sorted(got.values()) == list(range(1, 13))
    assert dict(ids(store)) == {version: event_id for event_id, version in got.items()}


def test_an_append_after_a_version_costs_one_call_and_one_anywhere_two(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_calls(monkeypatch)
    store.append("a", NO_STREAM, [event(noon, "e1")])
    assert asked == ["transact_write_items"]
    asked.clear()
    store.append("a", Expected.ANY, [event(noon, "e2")])
    assert asked == ["get_item", "transact_write_items"]


@pytest.mark.parametrize("expected", [0, 1, 2, 3, Expected.EXISTS, Expected.ANY])
@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("moment", range(6))
def test_a_writer_that_comes_between_any_two_calls_makes_a_conflict_of_versions_and_nothing_else(
    store: EventStore,
    table: Table,
    noon: datetime,
    monkeypatch: pytest.MonkeyPatch,
    expected: int | Expected,
    arrives: bool,
    moment: int,
) -> None:
    """Also if the append's response is lost: `arrives` says whether DynamoDB did it."""
    store.append("a", NO_STREAM, [event(noon, "e1")])
    transact = table.transact

    def lose_the_answer(writes: list[dynamo.Write], **options: Any) -> None:
        monkeypatch.setattr(table, "transact", transact)
        if arrives:
            transact(writes, **options)
        raise TransientError("the connection broke")

    monkeypatch.setattr(table, "transact", lose_the_answer)
    interpose(monkeypatch, table, moment, lambda other: other.append("a", other.version("a"), [event(noon, "other")]))
    version = NO_STREAM
    with suppress(TransientError):  # ConcurrencyError is one, too
        version = store.append("a", expected, [event(noon, "mine")])
    found = ids(EventStore(Table(table.name), "thing"))
    assert [version for version, _ in found] == list(range(1, len(found) + 1))
    assert [at for at, event_id in found if event_id == "mine"] in ([version], [])
    assert version == NO_STREAM or (version, "mine") in found
