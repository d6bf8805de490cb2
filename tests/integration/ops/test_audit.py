"""The audit log has every admin's action before and after it, and no entry ever changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mercato.errors import TransientError
from mercato.http import audit
from mercato.http.audit import AuditEntry, AuditTrail
from mercato.store.dynamo import Table
from tests.conftest import NOON

if TYPE_CHECKING:
    from tests.integration.ops.conftest import Desk


def listed(desk: Desk, **query: str) -> list[dict[str, Any]]:
    status, body = desk.call("GET", "/audit", **query)
    assert status == 200, body
    return list(body["items"])


def test_an_action_is_listed_with_who_what_when_request_and_outcome(desk: Desk, parked: None) -> None:
    assert desk.resume()[0] == 200

    answered, asked = listed(desk)

    assert asked | {"entry_id": "", "at": ""} == {
        "entry_id": "",
        "at": "",
        "actor": "boss",
        "service": "ops",
        "action": "POST /api/ops/sagas/{order_id}/resume",
        "target": "order_id=ord-1",
        "request_id": "req-operator-1",
        "status": None,
    }
    assert answered == asked | {"status": 200}


def test_a_refused_action_is_listed_too(desk: Desk) -> None:
    assert desk.resume()[0] == 409

    assert [entry["status"] for entry in listed(desk)] == [409, None]


def test_reading_is_not_listed_and_customers_neither_do_nor_read(desk: Desk) -> None:
    desk.call("GET", "/sagas")
    assert desk.call("POST", "/sagas/ord-1/resume", {}, role="customer")[0] == 403
    assert desk.call("GET", "/audit", role="customer")[0] == 403
    assert desk.call("GET", "/audit", user="")[0] == 401

    assert listed(desk) == []


def test_the_list_pages_newest_first(desk: Desk) -> None:
    for order_id in ("ord-1", "ord-2", "ord-3"):
        desk.resume(order_id=order_id)

    _, first = desk.call("GET", "/audit", limit="4")
    _, second = desk.call("GET", "/audit", limit="4", cursor=first["next_cursor"])

    targets = [entry["target"] for entry in first["items"] + second["items"]]
    assert targets == [f"order_id=ord-{n}" for n in (3, 3, 2, 2, 1, 1)]
    assert second["next_cursor"] is None


def entry(desk: Desk, number: int, actor: str, target: str) -> str:
    at = NOON + timedelta(hours=12 * number)
    made = AuditEntry.make(actor, "ops", "POST /api/x", target, f"req-{number}", at)
    AuditTrail(Table("AuditTable")).ask(made)
    return made.request_id


def test_the_list_is_filtered_by_actor_target_and_day(desk: Desk) -> None:
    entry(desk, 0, "boss", "order_id=ord-1")
    entry(desk, 1, "eve", "order_id=ord-1")
    entry(desk, 2, "boss", "queue=orders order_id=ord-2")
    entry(desk, 3, "boss", "order_id=ord-11")

    def numbers(**query: str) -> list[int]:
        return [int(found["request_id"][4:]) for found in listed(desk, **query)]

    assert numbers() == [3, 2, 1, 0]
    assert numbers(actor="boss") == [3, 2, 0]
    assert numbers(actor="bos") == []
    assert numbers(target="ord-1") == [1, 0]
    assert numbers(target="order_id=ord-2") == numbers(target="orders") == [2]
    assert numbers(actor="boss", target="ord-1") == [0]
    assert numbers(**{"from": "2026-11-23", "to": "2026-11-23"}) == [2, 1]
    assert numbers(to="2026-11-22") == [0]
    assert numbers(**{"from": "2026-11-24", "to": "2026-11-22"}) == []
    assert numbers(**{"from": "2026-11-23", "actor": "eve"}) == [1]
    assert desk.call("GET", "/audit", **{"from": "monday"})[0] == 422


def test_a_filter_that_matches_little_ends_a_page_short_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_READ_AT_ONCE", 2)
    monkeypatch.setattr(audit, "_MOST_READS", 2)
    for number in range(9):
        entry(desk, number, "eve" if number in (0, 5) else "boss", "order_id=ord-1")
    pages, query = list[list[str]](), {"actor": "eve", "limit": "1"}
    while True:
        status, page = desk.call("GET", "/audit", **query)
        assert status == 200
        pages.append([found["request_id"] for found in page["items"]])
        if page["next_cursor"] is None:
            break
        query |= {"cursor": page["next_cursor"]}
    assert [found for page in pages for found in page] == ["req-5", "req-0"]
    assert [] in pages


@pytest.mark.parametrize(
    "failure",
    [TransientError("away"), ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutItem")],
)
def test_what_cannot_be_noted_is_not_done(
    desk: Desk, parked: None, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(AuditTrail, "ask", refuse)

    assert desk.resume()[0] in (500, 503)
    assert desk.machine.sent == []
    assert desk.listed() == ["ord-1"]


def test_an_outcome_that_cannot_be_noted_does_not_undo_the_answer(
    desk: Desk, parked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise TransientError("away")

    monkeypatch.setattr(AuditTrail, "answer", refuse)

    assert desk.resume()[0] == 200
    assert [entry["status"] for entry in listed(desk)] == [None]


@pytest.fixture
def parked(desk: Desk) -> None:
    from tests.integration.ops.conftest import message

    assert desk.park(message()) == []
