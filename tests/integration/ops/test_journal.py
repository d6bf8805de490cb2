"""The journal has each event once, in the order of recording, and a reader that continues misses none."""

from __future__ import annotations

import itertools
import random
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from infra.contract import events
from mercato.errors import TransientError
from mercato.events import Event, envelope
from mercato.store import dynamo
from mercato.store.dynamo import InvalidCursor, KeyRange, Table
from mercato.telemetry import metrics
from ops.journal import store
from ops.journal.store import SHARDS, Journal, Position
from tests.integration.interrupter import Interrupter
from tests.integration.ops.conftest import Desk, Scribe


def event(number: int, event_type: str = "order.paid", *, request: str = "req-12345678") -> Event:
    return Event(
        specversion="1.0",
        id=f"event-{number}",
        source="mercato.orders",
        type=event_type,
        time=datetime.fromisoformat("2026-11-22T12:00:00.000Z") - timedelta(seconds=number),
        subject=f"order-{number}",
        data={"order_id": f"order-{number}", "email": "ada@example.com", "total": {"amount": 1}},
        sequence=number,
        correlationid=request,
    )


@pytest.fixture
def journal(scribe: Scribe) -> Journal:
    return Journal(scribe.table, sleep=lambda _: None)


def read_on(journal: Journal, position: Position, now: datetime, *, limit: int = 3) -> tuple[list[str], Position]:
    """All events after the position."""
    found: list[str] = []
    while True:
        entries, following = journal.read_after(position, limit=limit, now=now)
        found += [entry.event_id for entry in entries]
        if following == position:
            return found, position
        position = following


def test_an_event_is_told_without_what_its_data_says_of_a_person(journal: Journal, noon: datetime) -> None:
    journal.record(event(1), noon)
    [entry], _ = journal.read_newest(limit=5, now=noon)
    assert vars(entry) == {
        "event_id": "event-1",
        "type": "order.paid",
        "source": "mercato.orders",
        "subject": "order-1",
        "sequence": 1,
        "at": "2026-11-22T11:59:59.000Z",
        "recorded_at": "2026-11-22T12:00:00.000Z",
        "correlation_id": "req-12345678",
        "causation_id": None,
        "ids": {"order_id": "order-1"},
    }


@pytest.mark.parametrize("publication", events.publications(), ids=lambda one: one.model.TYPE)
def test_of_no_event_the_journal_keeps_a_name_an_address_or_a_token(scribe: Scribe, publication: Any) -> None:
    data = publication.model.model_validate(publication.model.EXAMPLE)
    at = datetime.fromisoformat("2026-11-22T12:00:00Z")
    told = envelope(data, service=publication.service, subject="s-1", event_id="e-1", sequence=1, now=at)
    assert scribe.hear(told) == []
    kept = [item for shard in range(SHARDS) for item in scribe.table.query_all(f"LOG#{shard}", KeyRange(prefix="N#"))]
    assert len(kept) == 1
    for secret in ("@", "Ada", "Lovelace", "London", "token"):
        assert secret not in str(kept)
    assert all(name.endswith("_id") for name in kept[0]["ids"])


def test_the_journal_hears_every_event_that_is_published() -> None:
    heard = {one.event_type for one in events.subscriptions() if one.queue == "ops"}
    assert heard == {one.model.TYPE for one in events.publications()}


def test_an_event_of_a_new_service_is_recorded(scribe: Scribe) -> None:
    assert scribe.hear(scribe.example("order.created", type="gift.note_left", dataschema="")) == []
    assert [entry.type for entry in scribe.newest()] == ["gift.note_left"]


def test_an_event_of_a_newer_version_is_recorded(scribe: Scribe) -> None:
    told = scribe.example("order.created") | {"dataschema": "urn:mercato:schema:order.created:7"}
    assert scribe.hear(told) == []
    assert [entry.type for entry in scribe.newest()] == ["order.created"]


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_that_goes_on_sees_each_event_once_in_whatever_order_they_come(
    journal: Journal, noon: datetime, seed: int
) -> None:
    chance = random.Random(seed)
    told = [event(number) for number in range(30)] * 2
    chance.shuffle(told)
    position, seen = Position(), list[str]()
    for one in told:
        journal.record(one, noon + timedelta(seconds=chance.randint(-5, 5)))  # the writers' clocks differ
        if chance.random() < 0.3:
            found, position = read_on(journal, position, noon, limit=chance.randint(1, 40))
            seen += found
    seen += read_on(journal, position, noon)[0]
    assert len(seen) == 30
    assert set(seen) == {f"event-{number}" for number in range(30)}


@pytest.mark.parametrize(("call", "same_event"), list(itertools.product(range(3), (False, True))))
def test_between_any_two_calls_of_a_writer_another_writes_and_a_reader_reads(
    journal: Journal, scribe: Scribe, noon: datetime, monkeypatch: pytest.MonkeyPatch, call: int, same_event: bool
) -> None:
    """Both write to one shard, so that they conflict."""
    monkeypatch.setattr(store, "SHARDS", 1)
    state: dict[str, Any] = {"position": Position((0,)), "seen": []}

    def read() -> None:
        found, state["position"] = read_on(journal, state["position"], noon)
        state["seen"] += found

    def interrupt() -> None:
        Journal(scribe.table).record(event(1 if same_event else 2), noon)
        read()

    journal.record(event(0), noon)
    read()
    interrupter = Interrupter()
    interrupter.at(call, interrupt)
    journal.record(event(1), noon)
    if interrupter.act:  # the writer makes fewer calls: act after the last
        interrupt()
    read()
    assert sorted(state["seen"]) == ["event-0", "event-1"] + ([] if same_event else ["event-2"])


def test_writers_at_once_and_a_reader_beside_them_agree(journal: Journal, scribe: Scribe, noon: datetime) -> None:
    def write(first: int) -> None:
        mine = Journal(scribe.table)
        for number in range(first, first + 15):
            mine.record(event(number), noon)

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 15, 30)]
    for writer in writers:
        writer.start()
    position, seen = Position(), list[str]()
    while any(writer.is_alive() for writer in writers):
        found, position = read_on(journal, position, noon)
        seen += found
    seen += read_on(journal, position, noon)[0]
    assert len(seen) == 45
    assert set(seen) == {f"event-{number}" for number in range(45)}


def test_writers_that_take_turns_soon_have_a_shard_each(
    scribe: Scribe, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact, refused = Table.transact, []

    def counted(table: Table, writes: Any) -> None:
        try:
            transact(table, writes)
        except dynamo.ConditionFailed as failed:
            refused.append(failed)
            raise

    monkeypatch.setattr(Table, "transact", counted)
    writers = [Journal(scribe.table, sleep=lambda _: None) for _ in range(5)]
    for number in range(100):
        writers[number % 5].record(event(number), noon)
    assert len(refused) < 30  # five writers on eight shards all day long would be refused some 80 times


def test_a_query_that_passes_a_number_before_it_is_written_loses_nothing(
    journal: Journal, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SHARDS", 1)
    for number in range(4):
        journal.record(event(number), noon)
    query, torn = Table.query, [True]

    def passes_the_second(self: Table, *what: Any, **how: Any) -> Any:
        page = query(self, *what, **how)
        if torn:
            torn.clear()
            page.items[:] = [item for item in page.items if not item["sk"].endswith("2")]
        return page

    monkeypatch.setattr(Table, "query", passes_the_second)
    found, _ = read_on(journal, Position((0,)), noon, limit=10)
    assert found == [f"event-{number}" for number in range(4)]
    assert not torn


def test_where_events_have_expired_a_reader_goes_on_behind_them(
    journal: Journal, scribe: Scribe, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SHARDS", 1)
    for number in range(4):
        journal.record(event(number), noon)
    for number in (1, 3):
        scribe.table.write(dynamo.delete("LOG#0", f"N#{number:012d}"))
    assert read_on(journal, Position((0,)), noon)[0] == ["event-1", "event-3"]
    later = noon + store.KEPT + timedelta(seconds=1)
    assert read_on(journal, Position((0,)), later)[0] == [], "expired, and not deleted yet"
    journal.record(event(1), later)
    found, position = read_on(journal, Position((0,)), later)
    assert (found, position.numbers) == (["event-1"], (5,)), "what comes again after that is recorded again"


def test_numbers_go_on_when_all_events_of_a_shard_have_expired(
    journal: Journal, scribe: Scribe, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SHARDS", 1)
    journal.record(event(0), noon)
    _, position = read_on(journal, Position((0,)), noon)
    scribe.table.write(dynamo.delete("LOG#0", "N#000000000001"))
    Journal(scribe.table).record(event(1), noon)
    assert read_on(journal, position, noon)[0] == ["event-1"]


def test_a_type_is_picked_and_the_others_are_passed_over(journal: Journal, noon: datetime) -> None:
    for number in range(20):
        journal.record(event(number, "order.paid" if number % 4 else "order.lost"), noon + timedelta(seconds=number))
    position, seen = Position(), list[str]()
    for _ in range(20):
        entries, position = journal.read_after(position, limit=2, event_type="order.lost", now=noon)
        seen += [entry.event_id for entry in entries]
    assert sorted(seen) == sorted(f"event-{number}" for number in range(0, 20, 4))
    assert read_on(journal, position, noon)[0] == []


def test_the_newest_come_oldest_first_and_lead_on(journal: Journal, noon: datetime) -> None:
    for number in range(20):
        journal.record(event(number), noon + timedelta(seconds=number))
    entries, position = journal.read_newest(limit=5, now=noon)
    assert [entry.event_id for entry in entries] == [f"event-{number}" for number in range(15, 20)]
    assert read_on(journal, position, noon)[0] == []
    journal.record(event(20), noon)
    assert read_on(journal, position, noon)[0] == ["event-20"]


def test_a_shard_that_moves_all_the_time_is_tried_again_later(
    journal: Journal, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always_moved(*_: Any, **__: Any) -> None:
        raise dynamo.ConditionFailed(1, None)

    monkeypatch.setattr(Table, "transact", always_moved)
    with pytest.raises(TransientError):
        journal.record(event(1), noon)


@pytest.mark.parametrize("text", ["", "x", "W10", "WzEsMiwzLDQsNSw2LDcsLTFd", "WzEsMiwzLDQsNSw2LDcsdHJ1ZV0"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Position.decode(text)


def test_a_position_is_read_back() -> None:
    position = Position(tuple(range(SHARDS)))
    assert Position.decode(position.encode()) == position


# ---- over HTTP


def test_the_journal_is_followed_over_http(desk: Desk, scribe: Scribe) -> None:
    status, newest = desk.call("GET", "/events")
    assert (status, newest["items"]) == (200, [])
    assert scribe.hear(scribe.example("order.created"), scribe.example("payment.failed")) == []
    _, first = desk.call("GET", "/events", after=newest["next_cursor"], limit="1")
    _, second = desk.call("GET", "/events", after=first["next_cursor"])
    assert sorted(one["type"] for one in first["items"] + second["items"]) == ["order.created", "payment.failed"]
    _, third = desk.call("GET", "/events", after=second["next_cursor"])
    assert third == {"items": [], "next_cursor": second["next_cursor"]}
    _, failed = desk.call("GET", "/events", type="payment.failed")
    assert [one["type"] for one in failed["items"]] == ["payment.failed"]


@pytest.mark.parametrize(
    ("query", "status"), [({"after": "x"}, 400), ({"limit": "0"}, 422), ({"after": "ä"}, 422), ({"cursor": "x"}, 422)]
)
def test_what_cannot_be_read_is_refused(desk: Desk, scribe: Scribe, query: dict[str, str], status: int) -> None:
    assert desk.call("GET", "/events", **query)[0] == status


@pytest.mark.parametrize("path", ["/events", "/requests/req-12345678"])
def test_the_journal_is_for_admins(desk: Desk, scribe: Scribe, path: str) -> None:
    assert desk.call("GET", path, role="customer")[0] == 403
    assert desk.call("GET", path, user="")[0] == 401


def test_what_came_of_a_request_is_a_tree(desk: Desk, scribe: Scribe) -> None:
    created = scribe.example("order.created", id="e-1")
    paid = scribe.example("payment.completed", id="e-3", causationid="e-1", time="2026-11-22T12:00:02.000Z")
    mail = scribe.example("notification.sent", id="e-2", causationid="e-3", time="2026-11-22T12:00:03.000Z")
    other = scribe.example("order.created", id="e-9", correlationid="another-request")
    assert scribe.hear(mail, other, paid, created) == []
    status, tree = desk.call("GET", "/requests/req-12345678")
    assert (status, tree["request_id"], tree["is_whole"]) == (200, "req-12345678", True)
    found = [
        (one["key"], one["parent"], one["depth"], one["kind"], one["after_ms"])
        for one in tree["items"]
        if one["kind"] in ("event", "mail")
    ]
    assert found == [
        ("e-1", None, 0, "event", 0),
        ("e-3", "e-1", 1, "event", 2000),
        ("e-2", "e-3", 2, "mail", 3000),
    ]


def test_a_request_of_which_nothing_came_is_404(desk: Desk, scribe: Scribe) -> None:
    status, problem = desk.call("GET", "/requests/req-unknown-1")
    assert (status, problem["type"]) == (404, "urn:mercato:problem:request-not-found")


@pytest.mark.parametrize(("status", "rings"), [("open", 2), ("inquiry", 0), ("won", 0), ("lost", 0)])
def test_a_dispute_that_opens_rings_at_each_delivery_and_is_in_the_journal_once(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch, status: str, rings: int
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(metrics, "count", rung.append)
    told = scribe.example("payment.disputed")
    told |= {"data": told["data"] | {"status": status}}
    assert [scribe.hear(told), scribe.hear(told)] == [[], []]
    assert rung == ["DisputesOpened"] * rings
    assert [entry.type for entry in scribe.newest()] == ["payment.disputed"]
