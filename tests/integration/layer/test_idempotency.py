"""An Idempotency-Key: a repeated, concurrent or interrupted request gets the first response."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mercato.errors import Conflict, IdempotencyKeyReused, TransientError
from mercato.http import Created, Response, View
from mercato.http.auth import Caller, Role
from mercato.http.idempotency import KEPT, LEASE, Keyed, RequestInFlight, answer_once
from mercato.store import dynamo
from mercato.store.dynamo import Table, Write

ADA, BOB = (Caller(user_id=name, role=Role.CUSTOMER) for name in ("ada", "bob"))


class Thing(View):
    name: str


class Refused(Conflict):
    """A domain error."""


class Desk:
    """A write that a test can count and interrupt, and in whose middle another one can run."""

    def __init__(self, table: Table, now: datetime) -> None:
        self.table, self.now = table, now
        self.written: list[str] = []
        self.trouble: BaseException | None = None
        self.meanwhile: Callable[[], object] = lambda: None

    def ask(self, name: str = "lamp", key: str = "k-1", caller: Caller = ADA, route: str = "POST /x") -> Response[Any]:
        asked = Keyed.read(route, caller, key, Thing(name=name))

        def write() -> Response[Thing]:
            self.written.append(asked.id)
            meanwhile, self.meanwhile = self.meanwhile, lambda: None
            meanwhile()
            if self.trouble:
                raise self.trouble
            return Created(Thing(name=name), "/x/1")

        return answer_once(asked, self.table, self.now, write)


@pytest.fixture
def desk(make_table: Callable[[str], Table], noon: datetime) -> Desk:
    return Desk(make_table("ProductsTable"), noon)


def test_the_first_answer_comes_again_and_says_so(desk: Desk) -> None:
    first = desk.ask()
    assert (first.status, first.headers) == (201, {"Location": "/x/1"})
    desk.now += timedelta(hours=1)
    again = desk.ask()
    assert (again.status, again.headers) == (201, {"Location": "/x/1", "Idempotent-Replayed": "true"})
    assert json.loads(str(again.body)) == {"name": "lamp"}
    assert len(desk.written) == 1


def test_another_body_with_the_same_key_is_refused(desk: Desk) -> None:
    desk.ask()
    with pytest.raises(IdempotencyKeyReused):
        desk.ask("vase")
    assert len(desk.written) == 1


@pytest.mark.parametrize("other", [{"caller": BOB}, {"route": "POST /y"}, {"key": "k-2"}])
def test_a_key_is_its_caller_s_and_its_route_s(desk: Desk, other: dict[str, Any]) -> None:
    desk.ask()
    assert "Idempotent-Replayed" not in desk.ask("vase", **other).headers
    assert len(set(desk.written)) == 2


def test_the_path_is_a_part_of_what_is_asked() -> None:
    one, other = (Keyed.read("POST /x/{id}", ADA, "k-1", Thing(name="a"), path) for path in ("1", "2"))
    assert one.id == other.id
    assert one.fingerprint != other.fingerprint


def test_while_the_first_is_under_way_the_second_is_told_so_and_writes_nothing(desk: Desk) -> None:
    refusals = []

    def ask_again() -> None:
        for name, error in (("lamp", RequestInFlight), ("vase", IdempotencyKeyReused)):
            with pytest.raises(error):
                replace_now(desk).ask(name)
            refusals.append(error)

    desk.meanwhile = ask_again
    assert desk.ask().status == 201
    assert len(refusals) == 2
    assert len(desk.written) == 1


def replace_now(desk: Desk) -> Desk:
    """The same desk one second later, in another process."""
    return Desk(desk.table, desk.now + timedelta(seconds=1))


def test_a_process_that_dies_leaves_nothing_stuck_and_the_same_id(desk: Desk) -> None:
    """It ends where no `finally` runs, so the record stays in flight until its lease expires."""
    asked = Keyed.read("POST /x", ADA, "k-1", Thing(name="lamp"))
    key = {"pk": f"IDEMPOTENCY#{asked.id}", "sk": "IDEMPOTENCY", "fingerprint": asked.fingerprint, "token": "dead"}
    until = int((desk.now + LEASE).timestamp())
    desk.table.write(dynamo.put(key | {"state": "in_flight", "until": until, "ttl": until + 9999}))
    desk.now += LEASE - timedelta(seconds=1)
    with pytest.raises(RequestInFlight):
        desk.ask()
    desk.now += timedelta(seconds=1)
    with pytest.raises(IdempotencyKeyReused):
        desk.ask("vase")
    assert desk.written == [], "what the dead process has done with the key is not known"
    assert desk.ask().status == 201
    assert desk.written == [asked.id]
    assert "Idempotent-Replayed" in replace_now(desk).ask().headers


def test_one_that_was_slower_than_its_lease_does_not_undo_what_the_next_one_kept(desk: Desk) -> None:
    def take_over() -> None:
        later = Desk(desk.table, desk.now + LEASE)
        assert later.ask().status == 201

    desk.meanwhile = take_over
    assert desk.ask().status == 201
    assert "Idempotent-Replayed" in replace_now(desk).ask().headers


@pytest.mark.parametrize("trouble", [Refused("no"), TransientError("busy"), KeyError("defect")])
def test_a_refusal_or_a_failure_is_not_kept(desk: Desk, trouble: BaseException) -> None:
    desk.trouble = trouble
    with pytest.raises(type(trouble)):
        desk.ask()
    desk.trouble = None
    assert "Idempotent-Replayed" not in desk.ask().headers
    assert len(desk.written) == 2


def test_after_two_days_a_key_is_new(desk: Desk) -> None:
    desk.ask()
    desk.now += KEPT + timedelta(seconds=1)
    assert "Idempotent-Replayed" not in desk.ask("vase").headers


def test_a_claim_whose_answer_was_lost_is_ours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore repeats the put, whose condition then fails on the first one's item."""
    write = Table.write

    def twice(self: Table, one: Write, **options: Any) -> Any:
        monkeypatch.setattr(Table, "write", write)
        write(self, one, **options)
        return write(self, one, **options)

    monkeypatch.setattr(Table, "write", twice)
    assert desk.ask().status == 201
    assert len(desk.written) == 1


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", [1, 2])
def test_a_write_of_the_record_that_fails_keeps_nobody_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, at: int, after_effect: bool
) -> None:
    write, count = Table.write, 0

    def fail_once(self: Table, one: Write, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == at and not after_effect:
            raise TransientError("busy")
        answer = write(self, one, **options)
        if count == at:
            raise TransientError("the answer was lost")
        return answer

    monkeypatch.setattr(Table, "write", fail_once)
    with pytest.raises(TransientError):
        desk.ask()
    assert desk.ask().status == 201
    assert len(set(desk.written)) == 1


def test_a_body_that_is_no_model_is_told_by_its_bytes() -> None:
    one, same, other = (Keyed.read("POST /x", ADA, "k-1", raw) for raw in (b"a", b"a", b"b"))
    assert one == same
    assert one == replace(other, fingerprint=one.fingerprint) != other
