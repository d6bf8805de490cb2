"""Changing the password, logging out everywhere, closing the account."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from mercato.clock import epoch
from mercato.errors import TransientError
from mercato.store import dynamo, ended_access
from mercato.store.dynamo import Table
from users import wiring
from users.domain import UserNotFound
from users.passwords import hashing
from users.store import UserStore
from users.usecases import demote, promote

if TYPE_CHECKING:
    from tests.integration.users.conftest import Answer, Service

OLD, NEW = "correct horse battery", "an umbrella for ducks"


@pytest.fixture
def ada(service: "Service") -> str:
    return service.join()


def change(service: "Service", user_id: str, current: str = OLD, new: str = NEW) -> "Answer":
    body = {"current_password": current, "new_password": new}
    return service.call("PUT", "/api/users/me/password", body, user_id=user_id)


def close(service: "Service", user_id: str, password: str = OLD) -> "Answer":
    return service.call("PUT", "/api/users/me/closure", {"password": password}, user_id=user_id)


def test_a_changed_password_is_the_only_one_and_ends_every_session(service: "Service", ada: str) -> None:
    session = service.log_in().body["refresh_token"]

    assert change(service, ada).status == 204

    assert service.refresh(session).status == 401
    assert service.log_in(password=OLD).status == 401
    assert service.log_in(password=NEW).status == 200
    assert len(service.events("user.password_changed")) == 1


@pytest.mark.parametrize(
    ("current", "new", "status", "slug"),
    [
        ("wrong password", NEW, 403, "wrong-password"),
        (OLD, "password123", 422, "weak-password"),
        (OLD, "short", 422, "invalid-request"),
    ],
)
def test_a_password_that_may_not_be_changed_stays(
    service: "Service", ada: str, current: str, new: str, status: int, slug: str
) -> None:
    session = service.log_in().body["refresh_token"]

    answer = change(service, ada, current, new)

    assert (answer.status, answer.body["type"]) == (status, f"urn:mercato:problem:{slug}")
    assert service.refresh(session).status == 200
    assert service.log_in().status == 200
    assert service.events("user.password_changed") == []


def test_a_stolen_access_token_does_not_help_to_guess_the_password(service: "Service", ada: str) -> None:
    statuses = [change(service, ada, "wrong password").status for _ in range(7)]

    assert statuses == [403] * 5 + [429] * 2


def test_a_log_in_under_way_does_not_outlive_the_password_it_used(
    service: "Service", ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    matches = hashing.password_matches

    def changed_meanwhile(password: str, password_hash: str) -> bool:
        monkeypatch.setattr(hashing, "password_matches", matches)
        assert change(service, ada).status == 204
        return matches(password, password_hash)

    monkeypatch.setattr(hashing, "password_matches", changed_meanwhile)

    session = service.log_in().body["refresh_token"]

    assert service.refresh(session).status == 401


def test_an_account_that_changes_meanwhile_is_not_overwritten(service: "Service", ada: str) -> None:
    users = UserStore(service.table)
    read_before = users.get(ada)
    change(service, ada)

    with pytest.raises(TransientError):
        users.set_password(read_before, "another hash", service.now)

    assert service.log_in(password=NEW).status == 200


def test_logging_out_everywhere_ends_every_session_and_no_other_users(service: "Service", ada: str) -> None:
    service.register(email="bob@example.com")
    bob = service.log_in(email="bob@example.com").body["refresh_token"]
    sessions = [service.log_in().body["refresh_token"] for _ in range(3)]

    assert service.call("DELETE", "/api/users/me/sessions", user_id=ada).status == 204

    assert [service.refresh(session).status for session in sessions] == [401] * 3
    assert service.refresh(bob).status == 200
    assert service.refresh(service.log_in().body["refresh_token"]).status == 200


def test_a_closed_account_leaves_nothing_but_its_id(service: "Service", ada: str) -> None:
    service.deliver()
    session = service.log_in().body["refresh_token"]

    assert close(service, ada).status == 204

    [left] = service.items("USER#")
    assert left.keys() == {"pk", "sk", "user_id", "closed_at", "version"}
    assert service.items("EMAIL#") == []
    assert [event["data"] for event in service.events("user.closed")] == [{"user_id": ada}]
    assert service.log_in().status == 401
    assert service.refresh(session).status == 401
    assert service.call("GET", "/api/users/me", user_id=ada).status == 404
    assert service.call("PATCH", "/api/users/me", {"name": "Ghost"}, user_id=ada).status == 404
    assert service.call_as_peer("GET", f"/api/users/{ada}").status == 404


def test_the_address_of_a_closed_account_is_free_for_another(service: "Service", ada: str) -> None:
    close(service, ada)

    assert service.join() != ada


def test_an_account_is_closed_by_its_password_alone(service: "Service", ada: str) -> None:
    assert close(service, ada, "wrong password").status == 403
    assert service.log_in().status == 200
    assert service.events("user.closed") == []


def test_links_sent_before_the_account_was_closed_open_nothing(service: "Service", ada: str) -> None:
    service.deliver()
    token = service.mailer.token()
    close(service, ada)

    assert service.call("POST", "/api/users/verify-email", {"token": token}).status == 422
    assert service.deliver(again=True) == []
    assert len(service.mailer.sent) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/users/me/password", {"current_password": OLD, "new_password": NEW}),
        ("PUT", "/api/users/me/closure", {"password": OLD}),
        ("PUT", "/api/users/me/email-verification", None),
        ("DELETE", "/api/users/me/sessions", None),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"X-User-Id": "ada"}, {"x-mercato-user": "ada", "X-Role": "admin"}])
def test_none_of_it_is_for_the_public_whatever_its_headers_say(
    service: "Service", ada: str, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    forged = {name: ada if value == "ada" else value for name, value in headers.items()}

    assert service.call(method, path, body, headers=forged).status == 401
    assert service.log_in().status == 200


def test_a_session_of_before_the_epochs_still_works(service: "Service", ada: str) -> None:
    session = service.log_in().body["refresh_token"]
    [family] = service.items("FAMILY#")
    service.table.write(dynamo.update(family["pk"], "SESSION", "REMOVE session_epoch"))

    assert service.refresh(session).status == 200


@pytest.fixture
def access(service: "Service", make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table in which the authorizer looks for tokens that have ended."""
    table = make_table("RateLimitsTable")
    monkeypatch.setenv("RATE_LIMITS_TABLE", table.name)
    wiring.ports.cache_clear()
    return table


def test_closing_ends_the_access_tokens_in_the_same_transaction(
    service: "Service", access: Table, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(UserStore, "_commit", lambda *_: None)
        assert close(service, ada).status == 204
    assert not ended_access.has_ended(access.name, ada, epoch(service.now))

    assert close(service, ada).status == 204

    assert ended_access.has_ended(access.name, ada, epoch(service.now))
    assert not ended_access.has_ended(access.name, ada, epoch(service.now) + 1)
    assert not ended_access.has_ended(access.name, "another", epoch(service.now))


def test_a_role_that_is_taken_ends_the_sessions_and_tokens_that_hold_it(
    service: "Service", access: Table, ada: str
) -> None:
    users = UserStore(service.table, access.name)
    promote(users, "ada@example.com")
    session = service.log_in().body["refresh_token"]

    for _ in range(2):
        demote(users, " Ada@example.com", service.now)

    assert service.refresh(session).status == 401
    assert ended_access.has_ended(access.name, ada, epoch(service.now))
    again = service.log_in().body
    assert jwt.decode(again["access_token"], options={"verify_signature": False})["role"] == "customer"
    assert service.refresh(again["refresh_token"]).status == 200, "a session of after that goes on"
    with pytest.raises(UserNotFound):
        demote(users, "nobody@example.com", service.now)
