"""A closed account: all data of its user is deleted and does not reappear."""

from typing import Any

import boto3
import pytest

from mercato.events import dead_letters
from notifications import consumers

CLOSED = {"user_id": "user-1"}


def stored(service: Any, user_id: str) -> list[dict[str, Any]]:
    items = boto3.client("dynamodb", "us-east-1").scan(TableName=service.table.name)["Items"]
    return [item for item in items if item["pk"]["S"] == f"USER#{user_id}"]


def close(service: Any, event_id: str = "closed-1") -> list[str]:
    found: list[str] = service.receive(service.event("user.closed", event_id, CLOSED))
    return found


@pytest.fixture
def told(service: Any) -> Any:
    """Two users with notifications."""
    service.register()
    service.register("user-2", "bob@example.com", "Bob")
    assert service.receive(service.receipt("paid-1"), service.receipt("paid-2", "user-2")) == []
    service.call("PUT", "/api/notifications/preferences", body={"email": True})
    service.mailer.sent.clear()
    return service


def test_contact_preferences_and_notifications_are_erased_and_no_other_users(told: Any) -> None:
    assert close(told) == []

    [left] = stored(told, "user-1")
    assert left.keys() == {"pk", "sk", "closed_at", "unread"}
    assert told.listed("user-2")["unread_count"] == 2
    assert told.listed("user-1") == {"items": [], "next_cursor": None, "unread_count": 0}


def test_who_still_holds_a_token_is_told_that_the_account_is_closed(told: Any) -> None:
    close(told)

    status, problem = told.call("GET", "/api/notifications/preferences", user="user-1")

    assert (status, problem["type"]) == (404, "urn:mercato:problem:reader-gone")


def test_who_still_holds_a_token_leaves_no_preferences_behind(told: Any) -> None:
    close(told)

    status, problem = told.call("PUT", "/api/notifications/preferences", user="user-1", body={"email": False})

    assert (status, problem["type"]) == (404, "urn:mercato:problem:reader-gone")
    assert [item["sk"]["S"] for item in stored(told, "user-1")] == ["UNREAD"]


def test_closing_twice_changes_nothing(told: Any) -> None:
    close(told)
    before = stored(told, "user-1")
    told.pass_time(60)

    assert close(told, "closed-2") == []

    assert stored(told, "user-1") == before


def test_what_happens_afterwards_is_told_to_nobody_and_kept_nowhere(told: Any) -> None:
    close(told)

    assert told.receive(told.receipt("paid-3")) == []

    assert told.mailer.sent == []
    assert len(stored(told, "user-1")) == 1


def test_a_registration_that_comes_after_the_closing_brings_nothing_back(service: Any) -> None:
    close(service)

    data = {"user_id": "user-1", "email": "anna@example.com", "name": "Anna"}
    assert service.receive(service.event("user.registered", "late", data)) == []

    assert service.mailer.sent == []
    assert len(stored(service, "user-1")) == 1


def test_an_account_closed_while_it_is_being_told_keeps_nothing(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    add = told.store.add

    def closed_meanwhile(*given: Any, **named: Any) -> Any:
        close(told)
        return add(*given, **named)

    monkeypatch.setattr(told.store, "add", closed_meanwhile)

    assert told.receive(told.receipt("paid-3")) == []
    assert told.mailer.sent == []
    assert len(stored(told, "user-1")) == 1


def test_more_than_one_run_can_erase_is_erased_run_by_run(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def send(record: dict[str, Any]) -> bool:
        sent.append(record["messageId"])
        return True

    monkeypatch.setattr(dead_letters, "send_anew", send)
    runs = 0
    while not runs or len(sent) == runs:
        left = iter([True] * 2)
        monkeypatch.setattr(consumers, "_has_time", lambda left=left: next(left, False))
        before = len(stored(told, "user-1"))
        assert close(told) == []
        runs += 1
        assert len(stored(told, "user-1")) < before or len(sent) < runs
    assert runs == 3
    [left_over] = stored(told, "user-1")
    assert left_over.keys() == {"pk", "sk", "closed_at", "unread"}
