"""A stream of one writer that appends by single puts: cheap, without gaps, and never mixed with transactions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from mercato import aws
from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, Table
from mercato.store.event_store import NO_STREAM, ConcurrencyError, EventStore, Expected, MixedAppends
from mercato.store.item_size import AppendTooLarge
from tests.integration.layer.streams import at_once, count_calls, event, ids, interpose


@pytest.fixture
def store(table: Table) -> EventStore:
    return EventStore(table, "thing", sleep=lambda _: None)


def write_fast(store: EventStore, now: datetime, count: int) -> None:
    for version in range(count):
        assert store.append_fast("a", version, event(now, f"e{version + 1}")) == version + 1


def test_events_are_read_as_any_others(store: EventStore, noon: datetime) -> None:
    write_fast(store, noon, 3)
    assert ids(store) == [(1, "e1"), (2, "e2"), (3, "e3")]
    assert [found.version for found in store.tail("a", 2)] == [2, 3]
    assert store.fold("a", lambda state, _: state + 1, 0) == (3, 3)


def test_each_is_one_put_and_one_read_of_the_event_before_it(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_calls(monkeypatch)
    store.append_fast("a", NO_STREAM, event(noon, "e1"))
    assert asked == ["put_item"]
    asked.clear()
    store.append_fast("a", 1, event(noon, "e2"))
    assert asked == ["get_item", "put_item"]
    assert [item["sk"] for item in table.query_all("thing#a")] == ["E#0000000001", "E#0000000002"]


def test_without_a_head_the_version_is_that_of_the_last_event(store: EventStore, noon: datetime) -> None:
    write_fast(store, noon, 3)
    assert store.version("a") == 3


def test_whether_it_is_still_at_a_version_is_known_without_a_head(
    store: EventStore, table: Table, noon: datetime
) -> None:
    table.transact([store.is_still_at("a", NO_STREAM)])
    write_fast(store, noon, 2)
    table.transact([store.is_still_at("a", 2)])
    for passed in (NO_STREAM, 1):
        with pytest.raises(ConditionFailed):
            table.transact([store.is_still_at("a", passed)])


@pytest.mark.parametrize(("expected", "actual"), [(0, 2), (1, 2), (3, 2), (9, 2)])
def test_another_version_than_the_last_is_refused_and_never_leaves_a_gap(
    store: EventStore, noon: datetime, expected: int, actual: int
) -> None:
    write_fast(store, noon, 2)
    with pytest.raises(ConcurrencyError) as refused:
        store.append_fast("a", expected, event(noon, "late"))
    assert (refused.value.expected, refused.value.actual) == (expected, actual)
    assert ids(store) == [(1, "e1"), (2, "e2")]


def test_a_stream_never_begins_with_a_gap(store: EventStore, noon: datetime) -> None:
    with pytest.raises(ConcurrencyError) as refused:
        store.append_fast("a", 4, event(noon, "e5"))
    assert refused.value.actual == NO_STREAM
    assert ids(store) == []


def test_a_stream_of_transactions_takes_no_single_put(store: EventStore, noon: datetime) -> None:
    store.append("a", NO_STREAM, [event(noon, "e1"), event(noon, "e2")])
    with pytest.raises(MixedAppends, match="thing a is written by append,"):
        store.append_fast("a", 2, event(noon, "x"))
    with pytest.raises(ConcurrencyError):
        store.append_fast("a", NO_STREAM, event(noon, "x"))
    assert ids(store) == [(1, "e1"), (2, "e2")]
    assert store.append("a", 2, [event(noon, "e3")]) == 3


def test_a_stream_of_single_puts_takes_no_transaction(store: EventStore, noon: datetime) -> None:
    write_fast(store, noon, 2)
    for expected in (2, Expected.ANY, Expected.EXISTS):
        with pytest.raises(MixedAppends, match="thing a is written by append_fast"):
            store.append("a", expected, [event(noon, "x")])
    with pytest.raises(ConcurrencyError) as refused:
        store.append("a", NO_STREAM, [event(noon, "x")])
    assert refused.value.actual == 2
    assert ids(store) == [(1, "e1"), (2, "e2")]
    assert store.append_fast("a", 2, event(noon, "e3")) == 3


def test_what_comes_again_is_found_done(store: EventStore, noon: datetime) -> None:
    write_fast(store, noon, 3)
    assert store.append_fast("a", 1, event(noon, "e2")) == 2
    assert store.append_fast("a", NO_STREAM, event(noon, "e1")) == 1
    assert ids(store) == [(1, "e1"), (2, "e2"), (3, "e3")]


@pytest.mark.parametrize("arrived", [True, False])
def test_an_answer_that_was_lost_is_resolved_by_reading_back(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    write = table.write

    def lose_the_answer(one: dynamo.Write, **options: Any) -> None:
        if arrived:
            write(one, **options)
        raise TransientError("the connection broke")

    monkeypatch.setattr(table, "write", lose_the_answer)
    if arrived:
        assert store.append_fast("a", NO_STREAM, event(noon, "e1")) == 1
        assert ids(store) == [(1, "e1")]
    else:
        with pytest.raises(TransientError, match="broke"):
            store.append_fast("a", NO_STREAM, event(noon, "e1"))
        assert ids(store) == []


def test_botocore_s_own_second_try_after_a_lost_answer_is_no_conflict(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, lost = aws.client("dynamodb"), []
    put_item = client.put_item

    def twice(**parameters: Any) -> Any:
        put_item(**parameters)
        lost.append(ReadTimeoutError(endpoint_url="https://dynamodb"))
        return put_item(**parameters)

    monkeypatch.setattr(client, "put_item", twice)
    assert store.append_fast("a", NO_STREAM, event(noon, "e1")) == 1
    assert len(lost) == 1
    assert ids(store) == [(1, "e1")]


def test_should_there_be_two_writers_one_wins_each_version(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    won: list[tuple[int, str]] = []

    def writer(name: str) -> Callable[[], None]:
        def write() -> None:
            version = NO_STREAM
            while version < 6:
                try:
                    version = store.append_fast("a", version, event(noon, f"{name}-{version}"))
                    won.append((version, f"{name}-{version - 1}"))
                except ConcurrencyError as refused:
                    version = refused.actual

        return write

    at_once(monkeypatch, [writer("v"), writer("w")])
    assert [version for version, _ in ids(store)] == [1, 2, 3, 4, 5, 6]
    assert sorted(won) == ids(store)


def test_both_ways_at_once_begin_one_stream_of_one_kind(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [f"s{number}" for number in range(8)]
    begun: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []

    def writer(kind: str, begin: Callable[[str], int]) -> Callable[[], None]:
        def write() -> None:
            for stream_id in streams:
                try:
                    begin(stream_id)
                    begun.append((stream_id, kind))
                except ConcurrencyError:
                    refused.append((stream_id, kind))

        return write

    fast = writer("fast", lambda stream_id: store.append_fast(stream_id, NO_STREAM, event(noon, "fast")))
    whole = writer("whole", lambda stream_id: store.append(stream_id, NO_STREAM, [event(noon, "whole")]))
    at_once(monkeypatch, [fast, whole])
    assert [ids(store, stream_id) for stream_id in streams] == [[(1, kind)] for _, kind in sorted(begun)]
    assert sorted(refused + begun) == sorted((stream_id, kind) for stream_id in streams for kind in ("fast", "whole"))
    others = {"fast": lambda one: store.append(one, 1, [event(noon, "x")])}
    others["whole"] = lambda one: store.append_fast(one, 1, event(noon, "x"))
    for stream_id, kind in begun:
        with pytest.raises(MixedAppends):
            others[kind](stream_id)


def test_it_is_announced_by_its_own_outbox_attribute(store: EventStore, table: Table, noon: datetime) -> None:
    store.append_fast("a", NO_STREAM, event(noon, "e1", public='{"id":"e1"}'))
    (item,) = table.query_all("thing#a")
    assert item["event"] == '{"id":"e1"}'


def test_an_event_over_the_item_limit_is_refused_before_it_is_sent(store: EventStore, noon: datetime) -> None:
    with pytest.raises(AppendTooLarge, match="409600"):
        store.append_fast("a", NO_STREAM, event(noon, "e1", public="x" * 410_000))
    assert ids(store) == []


@pytest.mark.parametrize("expected", [1, 2, 3, 4])
@pytest.mark.parametrize("moment", range(4))
def test_a_writer_that_comes_between_any_two_calls_makes_a_conflict_of_versions_and_nothing_else(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch, expected: int, moment: int
) -> None:
    """`moment` is the call before which the other writer appends. Callers retry after a conflict of versions."""
    write_fast(store, noon, 2)
    interpose(monkeypatch, table, moment, lambda other: other.append_fast("a", 2, event(noon, "other")))
    with suppress(ConcurrencyError):
        assert store.append_fast("a", expected, event(noon, "mine")) == expected + 1
    found = ids(EventStore(Table(table.name), "thing"))
    assert [version for version, _ in found] == list(range(1, len(found) + 1))
