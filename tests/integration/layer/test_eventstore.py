"""The event store against DynamoDB's rules (moto)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.attributes import to_item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from mercato.store.event_store import BrokenStream, ConcurrencyError, EventStore
from mercato.store.item_size import AppendTooLarge, size_of
from mercato.store.stored_event import write_event
from mercato.telemetry import correlation
from tests.integration.layer.streams import at_once, count_calls, event, ids

MakeTable = Callable[[str], Table]


@pytest.fixture
def table(make_table: MakeTable) -> Table:
    return make_table("OrdersTable")


@pytest.fixture
def store(table: Table) -> EventStore:
    return EventStore(table, "thing")


def test_events_come_back_in_order_with_all_they_carried(store: EventStore, table: Table, noon: datetime) -> None:
    work = correlation.accept("req-12345678", causation_id="cause-1")
    with correlation.bound(work):
        assert store.append("a", 0, [event(noon, "e1", {"name": "é", "n": 1}), event(noon, "e2")]) == 2
        assert store.append("a", 2, [event(noon, "e3")]) == 3
    first, *rest = store.read("a")
    assert (first.type, first.schema_version, first.at, first.data) == ("Happened", 1, noon, {"name": "é", "n": 1})
    assert (first.correlation_id, first.causation_id) == ("req-12345678", "cause-1")
    assert {item["tp"] for item in table.query_all("thing#a", KeyRange(prefix="E#"))} == {work.traceparent}
    assert [(found.version, found.event_id) for found in rest] == [(2, "e2"), (3, "e3")]


def test_a_stream_that_does_not_exist_is_empty(store: EventStore) -> None:
    assert ids(store) == []
    assert store.fold("a", lambda state, _: state + 1, 0) == (0, 0)


def test_streams_and_entities_do_not_mix(store: EventStore, table: Table, noon: datetime) -> None:
    store.append("a", 0, [event(noon, "e1")])
    store.append("a#b", 0, [event(noon, "e2")])
    EventStore(table, "thing2").append("a", 0, [event(noon, "e3")])
    assert ids(store) == [(1, "e1")]
    assert ids(store, "a#b") == [(1, "e2")]


@pytest.mark.parametrize("entity", ["thing#a", "", "S", "OUTBOX", "Thing", "thing a"])
def test_an_entity_whose_streams_could_lie_in_other_partitions_is_refused(table: Table, entity: str) -> None:
    with pytest.raises(ValueError, match=repr(entity)):
        EventStore(table, entity)


@pytest.mark.parametrize("stream_id", ["", "x" * 1025, "é" * 513])
def test_a_stream_id_that_is_no_key_is_refused(store: EventStore, noon: datetime, stream_id: str) -> None:
    for act in (lambda: store.append(stream_id, 0, [event(noon, "e1")]), lambda: ids(store, stream_id)):
        with pytest.raises(ValueError, match="1 to 1024 bytes"):
            act()


def test_the_longest_stream_id_is_a_key(store: EventStore, noon: datetime) -> None:
    store.append("é" * 512, 0, [event(noon, "e1")])
    assert ids(store, "é" * 512) == [(1, "e1")]


def test_a_read_begins_after_one_version_and_ends_at_another(store: EventStore, noon: datetime) -> None:
    store.append("a", 0, [event(noon, f"e{n}") for n in range(1, 6)])
    assert ids(store, after=3) == [(4, "e4"), (5, "e5")]
    assert ids(store, up_to=2) == [(1, "e1"), (2, "e2")]
    assert ids(store, after=1, up_to=3) == [(2, "e2"), (3, "e3")]
    assert ids(store, up_to=9)[-1] == (5, "e5")


def test_a_read_up_to_a_version_asks_for_no_page_beyond_it(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append("a", 0, [event(noon, f"e{n}") for n in range(1, 6)])
    asked, query = [], table.query

    def counted(pk: str, *keys: Any, **how: Any) -> Any:
        asked.append(pk)
        return query(pk, *keys, **how)

    monkeypatch.setattr(table, "query", counted)
    assert ids(store, up_to=1) == [(1, "e1")]
    assert len(asked) == 1
    assert ids(store, after=2, up_to=2) == []
    assert len(asked) == 1


def test_the_tail_is_the_newest_events_in_order(store: EventStore, noon: datetime) -> None:
    store.append("a", 0, [event(noon, f"e{n}") for n in range(1, 6)])
    assert [found.version for found in store.tail("a", 2)] == [4, 5]
    assert [found.version for found in store.tail("a", 9)] == [1, 2, 3, 4, 5]
    assert store.tail("b", 9) == []
    assert (store.version("a"), store.version("b")) == (5, 0)


def test_fold_gives_the_state_and_its_version(store: EventStore, noon: datetime) -> None:
    store.append("a", 0, [event(noon, "e1", {"n": 2}), event(noon, "e2", {"n": 5})])
    assert store.fold("a", lambda state, found: state + found.data["n"], 0) == (7, 2)
    assert store.fold("a", lambda state, found: state + found.data["n"], 2, after=1) == (7, 2)


@pytest.mark.parametrize(("expected", "actual"), [(0, 2), (1, 2), (3, 2)])
def test_an_append_after_another_version_than_the_last_is_refused(
    store: EventStore, noon: datetime, expected: int, actual: int
) -> None:
    store.append("a", 0, [event(noon, "e1"), event(noon, "e2")])
    with pytest.raises(ConcurrencyError) as refused:
        store.append("a", expected, [event(noon, "late")])
    assert (refused.value.expected, refused.value.actual) == (expected, actual)
    assert ids(store) == [(1, "e1"), (2, "e2")]


def test_a_stream_never_begins_with_a_gap(store: EventStore, noon: datetime) -> None:
    with pytest.raises(ConcurrencyError) as refused:
        store.append("a", 4, [event(noon, "e5")])
    assert refused.value.actual == 0
    assert ids(store) == []


def test_of_many_writers_exactly_one_wins_each_version(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    won: list[tuple[int, str]] = []
    lost: list[tuple[int, str]] = []

    def writer(name: str) -> Callable[[], None]:
        def write() -> None:
            for expected in range(5):
                attempt = (expected + 1, f"{name}-{expected}")
                try:
                    store.append("a", expected, [event(noon, attempt[1])])
                    won.append(attempt)
                except ConcurrencyError:
                    lost.append(attempt)

        return write

    at_once(monkeypatch, [writer(name) for name in "uvwxyz"])
    assert [version for version, _ in sorted(won)] == [1, 2, 3, 4, 5]
    assert ids(store) == sorted(won)
    assert len(lost) == 6 * 5 - 5


def test_the_same_append_again_is_found_done(store: EventStore, noon: datetime) -> None:
    events = [event(noon, "e1"), event(noon, "e2")]
    assert store.append("a", 0, events) == 2
    store.append("a", 2, [event(noon, "e3")])
    assert store.append("a", 0, events) == 2
    assert len(ids(store)) == 3


def test_an_append_whose_answer_was_lost_is_found_done(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = table.transact

    def lose_the_answer(writes: list[dynamo.Write], **options: Any) -> None:
        transact(writes, **options)
        raise TransientError("the connection broke")

    monkeypatch.setattr(table, "transact", lose_the_answer)
    assert store.append("a", 0, [event(noon, "e1")]) == 1
    assert ids(store) == [(1, "e1")]


def test_an_append_that_did_not_arrive_stays_a_failure(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(writes: list[dynamo.Write], **options: Any) -> None:
        raise TransientError("the connection broke")

    monkeypatch.setattr(table, "transact", break_off)
    with pytest.raises(TransientError, match="broke"):
        store.append("a", 0, [event(noon, "e1")])
    assert ids(store) == []


def test_writes_alongside_are_of_the_same_transaction(store: EventStore, table: Table, noon: datetime) -> None:
    row = dynamo.put_new({"pk": "row", "sk": "1"})
    store.append("a", 0, [event(noon, "e1")], alongside=[row])
    assert table.get("row", "1") is not None
    with pytest.raises(ConcurrencyError):
        store.append("a", 0, [event(noon, "x")], alongside=[dynamo.put_new({"pk": "row", "sk": "2"})])
    assert table.get("row", "2") is None


def test_a_condition_alongside_that_fails_is_told_by_its_own_index(
    store: EventStore, table: Table, noon: datetime
) -> None:
    table.write(dynamo.put({"pk": "row", "sk": "1", "who": "other"}))
    alongside = [dynamo.put({"pk": "row", "sk": "0"}), dynamo.put_new({"pk": "row", "sk": "1"})]
    with pytest.raises(ConditionFailed) as refused:
        store.append("a", 0, [event(noon, "e1"), event(noon, "e2")], alongside=alongside)
    assert (refused.value.index, refused.value.item) == (1, {"pk": "row", "sk": "1", "who": "other"})
    assert ids(store) == []


def test_two_conditions_alongside_that_fail_are_no_conflict_of_the_stream(
    store: EventStore, table: Table, noon: datetime
) -> None:
    alongside = [dynamo.check("row", sk, "attribute_exists(pk)") for sk in ("1", "2")]
    with pytest.raises(ConditionFailed) as refused:
        store.append("a", 0, [event(noon, "e1")], alongside=alongside)
    assert refused.value.index == 0


def test_the_outbox_attribute_stands_on_the_event_itself(store: EventStore, table: Table, noon: datetime) -> None:
    store.append("a", 0, [event(noon, "e1", public='{"id":"e1"}'), event(noon, "e2")])
    items = {item["sk"]: item for item in table.query_all("thing#a")}
    assert items["E#0000000001"]["event"] == '{"id":"e1"}'
    assert "event" not in items["E#0000000002"]
    assert "event" not in items["HEAD"]
    assert items["HEAD"]["ver"] == 2


def test_nothing_to_append_is_refused(store: EventStore) -> None:
    with pytest.raises(ValueError, match="nothing"):
        store.append("a", 0, [])


def test_two_writes_of_one_item_are_refused_before_they_are_sent(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_calls(monkeypatch)
    for taken in ("E#0000000001", "HEAD"):
        with pytest.raises(ValueError, match=f"two writes of the item .*thing#a.*{taken}"):
            store.append("a", 0, [event(noon, "e1")], alongside=[dynamo.put({"pk": "thing#a", "sk": taken})])
    assert asked == []


def test_a_batch_numbers_its_own_events_so_that_no_version_comes_twice(
    store: EventStore, table: Table, noon: datetime
) -> None:
    store.append("a", 0, [event(noon, f"e{n}") for n in range(3)])
    assert [item["sk"] for item in table.query_all("thing#a", KeyRange(prefix="E#"))] == [
        f"E#{n:010d}" for n in (1, 2, 3)
    ]


def test_ninety_nine_events_fit_into_one_transaction_and_a_hundred_do_not(store: EventStore, noon: datetime) -> None:
    with pytest.raises(AppendTooLarge, match="101 writes; a transaction takes 100"):
        store.append("a", 0, [event(noon, f"e{n}") for n in range(100)])
    row = dynamo.put({"pk": "row", "sk": "1"})
    with pytest.raises(AppendTooLarge, match="101 writes"):
        store.append("a", 0, [event(noon, f"e{n}") for n in range(99)], alongside=[row])
    assert store.append("a", 0, [event(noon, f"e{n}") for n in range(99)]) == 99


def test_a_long_payload_is_stored_small_and_read_whole(store: EventStore, table: Table, noon: datetime) -> None:
    data = {"lines": [{"name": "Red mug", "n": n} for n in range(5000)]}
    store.append("a", 0, [event(noon, "e1", data), event(noon, "e2", {"n": 1})])
    items = {item["sk"]: item for item in table.query_all("thing#a")}
    assert len(items["E#0000000001"]["d"]) < len(json.dumps(data)) / 5
    assert items["E#0000000002"]["d"] == '{"n":1}'
    assert next(store.read("a")).data == data


def test_an_event_over_the_item_limit_is_refused_before_it_is_sent(store: EventStore, noon: datetime) -> None:
    with pytest.raises(AppendTooLarge, match="409600"):
        store.append("a", 0, [event(noon, "e1", public="é" * 205_000)])
    assert ids(store) == []


@pytest.mark.parametrize(
    "beside",
    [
        dynamo.put({"pk": "row", "sk": "ROW", "names": ["é" * 100_000, {"x": b"x" * 210_000}]}),
        dynamo.update("row", "ROW", "SET a = :a", values={":a": "x" * 410_000}),
    ],
    ids=["put", "update"],
)
def test_what_goes_along_is_held_to_the_item_limit_too(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch, beside: dynamo.Write
) -> None:
    asked = count_calls(monkeypatch)
    with pytest.raises(AppendTooLarge, match=r"the item row ROW of 410\d{3} bytes; 409600 is the most"):
        store.append("a", 0, [event(noon, "e1")], alongside=[beside])
    assert asked == []
    assert (ids(store), table.get("row", "ROW")) == ([], None)


def test_what_goes_along_counts_to_the_whole(store: EventStore, noon: datetime) -> None:
    beside = [dynamo.put({"pk": f"row-{n}", "sk": "ROW", "x": "x" * 400_000}) for n in range(11)]
    with pytest.raises(AppendTooLarge, match="a transaction takes 4194304"):
        store.append("a", 0, [event(noon, "e1")], alongside=beside)
    assert ids(store) == []


def test_the_largest_event_is_sent_and_one_of_a_byte_more_is_not(
    store: EventStore, table: Table, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[dynamo.Write]] = []
    monkeypatch.setattr(table, "transact", sent.append)  # moto takes 405,000 bytes, and DynamoDB 409,600
    rest = size_of(to_item(write_event("thing#a", 1, event(noon, "e1", public=""))))
    with pytest.raises(AppendTooLarge, match="an event of 409601 bytes"):
        store.append("a", 0, [event(noon, "e1", public="x" * (409_601 - rest))])
    assert sent == []
    assert store.append("a", 0, [event(noon, "e1", public="x" * (409_600 - rest))]) == 1
    assert len(sent) == 1


def test_a_transaction_over_the_limit_is_refused_before_it_is_sent(store: EventStore, noon: datetime) -> None:
    with pytest.raises(AppendTooLarge, match="a transaction takes"):
        store.append("a", 0, [event(noon, f"e{n}", public="x" * 380_000) for n in range(12)])
    assert ids(store) == []


def test_a_stream_over_a_megabyte_is_read_page_by_page_both_ways(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in range(5):
        events = [event(noon, f"e{batch * 5 + n}", public="x" * 90_000) for n in range(5)]
        store.append("a", batch * 5, events)
    asked = count_calls(monkeypatch)
    assert [version for version, _ in ids(store)] == list(range(1, 26))
    assert asked == ["query"] * 3  # 2.25 MB
    assert [found.version for found in store.tail("a", 20)] == list(range(6, 26))
    assert asked == ["query"] * 5


def test_a_stream_with_a_gap_is_refused(store: EventStore, table: Table, noon: datetime) -> None:
    store.append("a", 0, [event(noon, f"e{n}") for n in range(1, 4)])
    table.write(dynamo.delete("thing#a", "E#0000000002"))
    with pytest.raises(BrokenStream, match="version 2"):
        ids(store)


def test_the_size_is_never_less_than_what_dynamodb_counts() -> None:
    attributes = to_item({"pk": "é", "n": 1, "b": b"123", "l": ["ab"], "m": {"x": "y"}})
    assert size_of(attributes) >= (2 + 2) + (1 + 2) + (1 + 3) + (1 + 3 + 1 + 2) + (1 + 3 + 1 + 1 + 1)
