"""Sessions: renewal, replay and logout."""

from typing import TYPE_CHECKING

import jwt
import pytest

from mercato.errors import TransientError
from mercato.store import dynamo
from users.domain import Role
from users.store import UserStore

if TYPE_CHECKING:
    from tests.integration.users.conftest import Service


@pytest.fixture
def token(service: "Service") -> str:
    """Ada's first refresh token."""
    service.register()
    return str(service.log_in().body["refresh_token"])


def test_a_refresh_gives_a_new_pair(service: "Service", token: str) -> None:
    answer = service.refresh(token)

    assert answer.status == 200
    assert answer.body["refresh_token"] != token
    assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 900)
    assert service.refresh(answer.body["refresh_token"]).status == 200


def test_a_replayed_token_revokes_the_whole_family(service: "Service", token: str) -> None:
    newest = service.refresh(token).body["refresh_token"]
    service.wait(seconds=10.001)

    replay = service.refresh(token)

    assert replay.status == 401
    assert replay.body["type"] == "urn:mercato:problem:refresh-token-reused"
    assert "access_token" not in replay.body
    assert service.refresh(newest).status == 401
    assert service.refresh(newest).body["type"] == "urn:mercato:problem:invalid-refresh-token"


def test_a_replay_ends_that_session_and_no_other(service: "Service", token: str) -> None:
    other = service.log_in().body["refresh_token"]
    service.refresh(token)
    service.wait(seconds=11)
    service.refresh(token)

    assert service.refresh(other).status == 200


def test_two_tabs_with_one_token_go_on_with_the_same_new_one(service: "Service", token: str) -> None:
    first = service.refresh(token)
    service.wait(seconds=10)
    second = service.refresh(token)

    assert second.status == 200
    assert second.body["refresh_token"] == first.body["refresh_token"]
    assert service.refresh(second.body["refresh_token"]).status == 200


def test_a_token_two_generations_old_has_no_grace(service: "Service", token: str) -> None:
    second = service.refresh(token).body["refresh_token"]
    third = service.refresh(second).body["refresh_token"]

    assert service.refresh(token).status == 401
    assert service.refresh(third).status == 401


def test_a_failure_after_the_rotation_costs_no_session(
    service: "Service", token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TransientError("throttled")

    with monkeypatch.context() as patched:
        patched.setattr(UserStore, "get", fail)
        assert service.refresh(token).status == 503
    service.wait(seconds=2)

    again = service.refresh(token)

    assert again.status == 200
    assert service.refresh(again.body["refresh_token"]).status == 200


def test_renewing_does_not_prolong_a_session_beyond_30_days(service: "Service", token: str) -> None:
    service.wait(days=29)
    renewed = service.refresh(token)
    assert renewed.status == 200
    service.wait(days=1)

    assert service.refresh(renewed.body["refresh_token"]).status == 401


def test_a_new_role_is_in_the_next_access_token(service: "Service", token: str) -> None:
    (user,) = service.items("USER#")
    UserStore(service.table).set_role(user["user_id"], Role.ADMIN)

    renewed = service.refresh(token).body["access_token"]

    assert jwt.decode(renewed, options={"verify_signature": False})["role"] == "admin"


def test_the_session_of_an_account_that_is_gone_is_no_good(service: "Service", token: str) -> None:
    (user,) = service.items("USER#")
    service.table.write(dynamo.delete(user["pk"], user["sk"]))

    assert service.refresh(token).status == 401


@pytest.mark.parametrize("forged", ["", "x", "a" * 22 + "." + "b" * 43, "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_that_was_never_given_out_is_refused(service: "Service", token: str, forged: str) -> None:
    answer = service.refresh(forged)

    assert answer.status == 401
    assert answer.body["type"] == "urn:mercato:problem:invalid-refresh-token"
    assert service.refresh(token).status == 200


def test_logging_out_ends_the_session_for_every_token_of_it(service: "Service", token: str) -> None:
    newest = service.refresh(token).body["refresh_token"]

    answer = service.log_out(newest)

    assert (answer.status, answer.body) == (204, None)
    assert service.refresh(newest).status == 401
    assert service.refresh(token).status == 401


def test_an_older_token_logs_the_session_out_as_well(service: "Service", token: str) -> None:
    newest = service.refresh(token).body["refresh_token"]

    assert service.log_out(token).status == 204
    assert service.refresh(newest).status == 401


@pytest.mark.parametrize("unknown", ["x", "a" * 22 + "." + "b" * 43])
def test_logging_out_twice_or_from_nothing_is_fine(service: "Service", token: str, unknown: str) -> None:
    service.log_out(token)

    assert service.log_out(token).status == 204
    assert service.log_out(unknown).status == 204
    assert len(service.items("FAMILY#")) == 1


@pytest.mark.parametrize("body", [{}, {"refresh_token": 1}, {"refresh_token": "x" * 129}, {"token": "x"}])
def test_a_refresh_without_a_token_is_the_callers_fault(service: "Service", body: dict[str, object]) -> None:
    assert service.call("POST", "/api/users/token/refresh", body).status == 422
    assert service.call("POST", "/api/users/logout", body).status == 422
