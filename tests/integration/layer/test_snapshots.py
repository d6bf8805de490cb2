"""With a snapshot, a long stream is not read whole. Snapshots change only the time that a read takes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.dynamo import KeyRange, Table
from mercato.store.event_store import BrokenStream, EventStore
from mercato.store.snapshots import Codec, Snapshots
from mercato.store.stored_event import NewEvent, StoredEvent
from tests.bench.memory_table import MemoryTable
from tests.conftest import NOON

CODEC: Codec[list[int]] = Codec(1, list, list)
EVERY = 5


def apply(state: list[int] | None, event: StoredEvent) -> list[int]:
    return [*(state or []), event.data["n"]]


class Journal:
    def __init__(self, table: Table, now: datetime) -> None:
        self.table, self.now = table, now
        self.streams = EventStore(table, "thing")
        self.snapshots = Snapshots(table, "thing", CODEC, EVERY)

    def write(self, count: int, stream_id: str = "a") -> None:
        for _ in range(count):
            state, version = self.snapshots.load(self.streams, stream_id, apply)
            event = NewEvent(f"{stream_id}-{version}", "Counted", 1, self.now, {"n": version})
            self.streams.append(stream_id, version, [event])
            self.snapshots.keep(stream_id, version, version + 1, [*(state or []), version], self.now)

    def load(self, stream_id: str = "a") -> tuple[list[int] | None, int]:
        return self.snapshots.load(self.streams, stream_id, apply)

    def kept(self, stream_id: str = "a") -> list[int]:
        return [int(item["sk"]) for item in self.table.query_all(f"S#thing#{stream_id}")]


@pytest.fixture
def journal(make_table: Callable[[str], Table], noon: datetime) -> Journal:
    return Journal(make_table("OrdersTable"), noon)


def count_queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked, query = [], Table.query

    def counted(self: Table, pk: str, *keys: Any, **how: Any) -> Any:
        asked.append(pk)
        return query(self, pk, *keys, **how)

    monkeypatch.setattr(Table, "query", counted)
    return asked


def test_each_so_many_events_there_is_one_in_a_partition_of_its_own(journal: Journal) -> None:
    journal.write(12)
    assert journal.kept() == [5, 10]
    assert journal.load() == (list(range(12)), 12)
    assert {item["sk"][:2] for item in journal.table.query_all("thing#a")} == {"E#", "HE"}


def test_a_long_stream_is_read_from_its_snapshot_on_and_a_short_one_asks_for_none(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.write(13)
    journal.write(4, "b")
    asked = count_queries(monkeypatch)
    assert journal.load() == (list(range(13)), 13)
    assert asked == ["thing#a", "S#thing#a"]
    asked.clear()
    assert journal.load("b") == (list(range(4)), 4)
    assert asked == ["thing#b"]


def test_without_them_all_is_as_before(journal: Journal) -> None:
    journal.write(12)
    assert journal.snapshots.drop("a") == 2
    assert journal.kept() == []
    assert journal.load() == (list(range(12)), 12)
    assert journal.load("nothing") == (None, 0)


def test_one_of_another_schema_is_as_if_it_were_not_there_and_is_replaced(journal: Journal) -> None:
    journal.write(12)
    newer = Snapshots(journal.table, "thing", replace(CODEC, schema=2), EVERY)
    assert newer.latest("a") is None
    assert newer.load(journal.streams, "a", apply) == (list(range(12)), 12)
    assert newer.save("a", 10, list(range(10)), journal.now)
    assert newer.latest("a") == (list(range(10)), 10)
    assert not newer.save("a", 10, [666], journal.now)


def test_one_that_is_newer_than_the_events_that_were_read_wins(journal: Journal) -> None:
    journal.write(12)
    journal.snapshots.save("a", 12, list(range(12)), journal.now)
    assert journal.load() == (list(range(12)), 12)


def test_a_late_one_never_takes_the_place_of_a_newer(journal: Journal) -> None:
    journal.write(12)
    assert journal.snapshots.save("a", 7, list(range(7)), journal.now)
    assert journal.snapshots.latest("a") == (list(range(10)), 10)
    assert not journal.snapshots.save("a", 10, [666], journal.now)
    assert journal.load() == (list(range(12)), 12)


def test_one_that_cannot_be_written_harms_nobody(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise TransientError("busy")

    journal.write(4)
    monkeypatch.setattr(Table, "write", busy)
    journal.write(2)
    assert journal.kept() == []
    assert journal.load() == (list(range(6)), 6)


def test_a_state_of_a_megabyte_is_deflated_and_kept(journal: Journal) -> None:
    journal.write(6)
    large = [7] * 500_000
    assert journal.snapshots.save("a", 6, large, journal.now)
    (item,) = journal.table.query_all("S#thing#a", KeyRange(after="0000000005"))
    assert len(item["state"]) < 10_000
    assert journal.snapshots.latest("a") == (large, 6)


def test_a_state_that_is_too_large_even_so_is_not_kept_and_the_events_are_read(journal: Journal) -> None:
    journal.write(8)
    assert not journal.snapshots.save("a", 8, [secrets.randbits(64) for _ in range(60_000)], journal.now)
    assert journal.kept() == [5]
    assert journal.load() == (list(range(8)), 8)


def test_a_tail_with_a_gap_is_refused(journal: Journal) -> None:
    journal.write(8)
    journal.table.write(dynamo.delete("thing#a", "E#0000000007"))
    with pytest.raises(BrokenStream, match="version"):
        journal.load()


@given(data=st.data())
@settings(deadline=None)
def test_a_rebuild_is_a_snapshot_and_the_events_after_it_wherever_it_was_taken(data: st.DataObject) -> None:
    table = MemoryTable()
    streams = EventStore(table, "thing")
    length = data.draw(st.integers(0, 30), "events")
    splits = data.draw(st.sets(st.integers(0, length), max_size=3), "snapshots at")
    every = data.draw(st.integers(1, 12), "a snapshot each")
    numbers = list(range(length))
    for number in numbers:
        streams.append("a", number, [NewEvent(str(number), "Counted", 1, NOON, {"n": number})])
    snapshots = Snapshots(table, "thing", CODEC, every)
    for split in splits:
        assert snapshots.save("a", split, numbers[:split], NOON)
    rebuilt = streams.fold("a", apply, None)
    assert rebuilt == (numbers or None, length)
    assert snapshots.load(streams, "a", apply) == rebuilt


@given(steps=st.lists(st.sampled_from(["write", "drop", "stale"]), max_size=8))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_becomes_of_snapshots_the_state_is_that_of_the_events(journal: Journal, steps: list[str]) -> None:
    for step in steps:
        match step:
            case "write":
                journal.write(3)
            case "drop":
                journal.snapshots.drop("a")
            case _:
                newer = Snapshots(journal.table, "thing", replace(CODEC, schema=7), EVERY)
                newer.save("a", journal.streams.version("a"), [-1], journal.now)
        state, version = journal.load()
        assert (state or []) == [event.data["n"] for event in journal.streams.read("a")]
        assert version == journal.streams.version("a")


def test_what_older_code_has_stored_is_brought_up_to_today_s_schema(journal: Journal) -> None:
    old = [
        NewEvent("e1", "Paid", 1, journal.now, {"pounds": 2}),
        NewEvent("e2", "Paid", 2, journal.now, {"pence": 150}),
        NewEvent("e3", "Sent", 1, journal.now, {"to": "Ada"}),
    ]
    journal.streams.append("a", 0, old)
    upcasts = {
        ("Paid", 1): lambda data: {"pence": data["pounds"] * 100},
        ("Paid", 2): lambda data: data | {"currency": "GBP"},
    }
    found = list(EventStore(journal.table, "thing", upcasts).read("a"))
    assert [(event.schema_version, event.data) for event in found] == [
        (3, {"pence": 200, "currency": "GBP"}),
        (3, {"pence": 150, "currency": "GBP"}),
        (1, {"to": "Ada"}),
    ]
