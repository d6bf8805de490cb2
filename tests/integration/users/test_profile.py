"""Profiles: one's own, another customer's, and what an operator may change."""

from typing import TYPE_CHECKING

import pytest

from tests.integration.users.conftest import PASSWORD
from users.domain import UserNotFound
from users.store import UserStore
from users.usecases import promote

if TYPE_CHECKING:
    from tests.integration.users.conftest import Answer, Service


@pytest.fixture
def ada(service: "Service") -> str:
    return service.join()


def test_a_customer_sees_their_own_profile(service: "Service", ada: str) -> None:
    answer = service.call("GET", "/api/users/me", user_id=ada)

    assert answer.status == 200
    assert answer.body == {
        "user_id": ada,
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "role": "customer",
        "email_verified": False,
    }


def test_a_customer_changes_their_name(service: "Service", ada: str) -> None:
    answer = service.call("PATCH", "/api/users/me", {"name": " Ada King "}, user_id=ada)

    assert answer.status == 200
    assert answer.body == {
        "user_id": ada,
        "email": "ada@example.com",
        "name": "Ada King",
        "role": "customer",
        "email_verified": False,
    }
    assert service.call("GET", "/api/users/me", user_id=ada).body["name"] == "Ada King"


def test_a_new_name_is_announced_with_the_account_s_version_and_the_same_one_is_not(
    service: "Service", ada: str
) -> None:
    for name in ("Ada King", "Ada King", "Ada Byron"):
        assert service.call("PATCH", "/api/users/me", {"name": name}, user_id=ada).status == 200

    told = [(event["subject"], event["sequence"], event["data"]) for event in service.events("user.profile_changed")]
    assert sorted(told) == [
        (ada, "0000000002", {"user_id": ada, "name": "Ada King"}),
        (ada, "0000000003", {"user_id": ada, "name": "Ada Byron"}),
    ]


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "x" * 101}, {"name": None}, {"name": "x", "role": "admin"}, {"email": "b@example.com"}],
)
def test_nothing_but_a_good_name_can_be_changed(service: "Service", ada: str, body: dict[str, object]) -> None:
    before = service.items("USER#")

    assert service.call("PATCH", "/api/users/me", body, user_id=ada).status == 422
    assert service.items("USER#") == before


def test_a_change_makes_no_account_out_of_nothing(service: "Service") -> None:
    assert service.call("PATCH", "/api/users/me", {"name": "Ghost"}, user_id="gone").status == 404
    assert service.items("") == []


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"name": "Mallory"})])
def test_the_public_has_no_profile(service: "Service", ada: str, method: str, body: object) -> None:
    answer = service.call(method, "/api/users/me", body)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_peer_and_an_admin_see_any_profile(service: "Service", ada: str) -> None:
    profile = {
        "user_id": ada,
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "role": "customer",
        "email_verified": False,
    }

    assert service.call_as_peer("GET", f"/api/users/{ada}").body == profile
    assert service.call("GET", f"/api/users/{ada}", user_id="root", role="admin").body == profile


def test_a_customer_sees_no_profile_by_id(service: "Service", ada: str) -> None:
    assert service.call("GET", f"/api/users/{ada}", user_id="mallory").status == 403
    assert service.call("GET", f"/api/users/{ada}").status == 401


def listed(service: "Service", email: str, role: str = "admin") -> "Answer":
    return service.call("GET", "/api/users", user_id="root", role=role, query={"email": email})


@pytest.mark.parametrize("email", ["ada@example.com", " ADA@Example.com "])
def test_an_admin_and_a_peer_find_an_account_by_its_address_in_any_spelling(
    service: "Service", ada: str, email: str
) -> None:
    profile = service.call_as_peer("GET", f"/api/users/{ada}").body
    assert listed(service, email).body == {"items": [profile]}
    assert service.call_as_peer("POST", "/api/users/lookup", {"email": email}).body == profile


def test_an_address_is_found_whole_or_not_at_all(service: "Service", ada: str) -> None:
    for email in ("ad@example.com", "eve@example.com"):
        assert listed(service, email).body == {"items": []}
        assert service.call_as_peer("POST", "/api/users/lookup", {"email": email}).status == 404
    assert listed(service, "ada").status == 422
    for email in ("ada", "Ï", "ada@"):  # a text that is no address has no account; peers send what staff typed
        assert service.call_as_peer("POST", "/api/users/lookup", {"email": email}).status == 404
    assert service.call("GET", "/api/users", user_id="root", role="admin").status == 422


def test_a_closed_account_is_found_by_no_address(service: "Service", ada: str) -> None:
    assert service.call("PUT", "/api/users/me/closure", {"password": PASSWORD}, user_id=ada).status == 204
    assert listed(service, "ada@example.com").body == {"items": []}
    assert service.call_as_peer("POST", "/api/users/lookup", {"email": "ada@example.com"}).status == 404


def test_a_customer_finds_nobody_by_address(service: "Service", ada: str) -> None:
    assert listed(service, "ada@example.com", role="customer").status == 403
    for user_id, role, status in (("", "customer", 401), ("mallory", "customer", 403), ("root", "admin", 403)):
        body = {"email": "ada@example.com"}
        assert service.call("POST", "/api/users/lookup", body, user_id=user_id, role=role).status == status


@pytest.mark.parametrize("user_id", ["nobody", "EMAIL%23ada@example.com", "%00", "x" * 3000])
def test_an_unknown_user_is_404(service: "Service", ada: str, user_id: str) -> None:
    assert service.call_as_peer("GET", f"/api/users/{user_id}").status == 404


def test_an_operator_makes_an_admin_however_often_they_ask(service: "Service", ada: str) -> None:
    users = UserStore(service.table)

    assert promote(users, " Ada@example.com").role == "admin"
    assert promote(users, "ada@example.com").role == "admin"

    assert service.call("GET", "/api/users/me", user_id=ada).body["role"] == "admin"


def test_nobody_unknown_is_made_an_admin(service: "Service", ada: str) -> None:
    with pytest.raises(UserNotFound):
        promote(UserStore(service.table), "nobody@example.com")

    assert [user["role"] for user in service.items("USER#")] == ["customer"]


def test_the_service_tells_its_health(service: "Service") -> None:
    health = {"service": "users", "status": "ok", "checks": {"table": "ok"}}

    assert service.call_as_peer("GET", "/health").body == health
