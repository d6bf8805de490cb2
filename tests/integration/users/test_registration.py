"""Making an account."""

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.users.conftest import Service


def test_a_new_account_is_shown_without_its_password(service: "Service") -> None:
    answer = service.register()

    user_id = answer.body["user_id"]
    assert answer.status == 201
    assert answer.body == {
        "user_id": user_id,
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "role": "customer",
        "email_verified": False,
    }
    assert answer.headers["Location"] == f"/api/users/{user_id}"


def test_an_account_is_announced_once_in_the_same_transaction(service: "Service") -> None:
    user_id = service.register().body["user_id"]

    (record,) = service.items("OUTBOX#")
    event = json.loads(record["event"])
    assert event["type"] == "user.registered"
    assert event["source"] == "mercato.users"
    assert event["subject"] == user_id
    assert event["time"] == "2026-11-22T12:00:00.000Z"
    assert event["data"] == {"user_id": user_id, "email": "ada@example.com", "name": "Ada Lovelace"}


def test_the_password_is_stored_as_a_hash_and_nowhere_else(service: "Service") -> None:
    service.register()

    (login,) = service.items("EMAIL#")
    assert login["password_hash"].startswith("$argon2id$")
    assert "correct horse" not in str(service.items(""))
    assert "argon2" not in str(service.items("USER#") + service.items("OUTBOX#"))


@pytest.mark.parametrize("email", ["ada@example.com", " ADA@Example.com", "\uff41da@example.com"])
def test_an_address_has_one_account_however_it_is_written(service: "Service", email: str) -> None:
    service.register()

    answer = service.register(email=email, name="Somebody Else")

    assert answer.status == 409
    assert answer.body["type"] == "urn:mercato:problem:email-taken"
    (user,) = service.items("USER#")
    assert user["name"] == "Ada Lovelace"
    assert len(service.items("OUTBOX#")) == 1


def test_a_taken_address_keeps_its_password(service: "Service") -> None:
    service.register()

    service.register(password="another password")

    assert service.log_in(password="another password").status == 401
    assert service.log_in().status == 200


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"password": "too short"}, "invalid-request"),
        ({"password": "x" * 129}, "invalid-request"),
        ({"password": 1234567890}, "invalid-request"),
        ({"password": None}, "invalid-request"),
        ({"name": ""}, "invalid-name"),
        ({"name": " \t "}, "invalid-name"),
        ({"name": "x" * 101}, "invalid-request"),
        ({"name": "Ada\r\nBcc: all@example.com"}, "invalid-name"),
        ({"email": "not an address"}, "invalid-email"),
        ({"email": "a" * 250 + "@b.co"}, "invalid-request"),
        ({"email": ["ada@example.com"]}, "invalid-request"),
        ({"role": "admin"}, "invalid-request"),
        ({"user_id": "chosen"}, "invalid-request"),
    ],
)
def test_a_registration_that_makes_no_sense_leaves_nothing(
    service: "Service", changes: dict[str, Any], problem: str
) -> None:
    answer = service.register(**changes)

    assert answer.status == 422
    assert answer.body["type"] == f"urn:mercato:problem:{problem}"
    assert service.items("") == []


@pytest.mark.parametrize(
    ("password", "status"),
    [("heron tea", 422), ("heron teas", 201), ("heron" + "-tea" * 30 + "xyz", 201), ("heron" + "-tea" * 31, 422)],
)
def test_a_password_has_10_to_128_characters(service: "Service", password: str, status: int) -> None:
    assert service.register(password=password).status == status


def test_a_refused_password_is_not_sent_back(service: "Service") -> None:
    assert "hunter2" not in str(service.register(password="hunter2").body)


@pytest.mark.parametrize(
    ("body", "status"),
    [(None, 400), ("", 400), ("{", 400), ("[]", 422), ("null", 422), ('{"email": "\\ud800@example.com"}', 400)],
)
def test_a_body_that_is_no_registration_is_the_callers_fault(service: "Service", body: str, status: int) -> None:
    answer = service.call("POST", "/api/users", body)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
