"""Registering an account."""

import json
import re
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from mercato.store.dynamo import Table
from users import wiring
from users.passwords import hashing
from users.store import UserStore

if TYPE_CHECKING:
    from tests.integration.users.conftest import Answer, Service


def test_a_new_account_is_a_customers_and_unverified(service: "Service") -> None:
    user_id = service.join()

    assert service.call("GET", "/api/users/me", user_id=user_id).body == {
        "user_id": user_id,
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "role": "customer",
        "email_verified": False,
    }


def without_the_request_s_id(answer: "Answer") -> tuple[int, Any, dict[str, str]]:
    return answer.status, answer.body, answer.headers | {"X-Request-Id": ""}


def test_the_answer_is_the_same_whether_or_not_there_is_an_account(service: "Service") -> None:
    first, again = service.register(), service.register(name="Somebody Else")

    assert without_the_request_s_id(first) == without_the_request_s_id(again)
    assert first.status == 202
    assert "ada" not in str(first.body).lower()


def calls_of(service: "Service", monkeypatch: pytest.MonkeyPatch, **changes: str) -> list[str]:
    """The AWS calls of one registration, by name."""
    calls: list[str] = []
    real = Table._call

    def counted(self: Table, operation: str, **parameters: Any) -> dict[str, Any]:
        calls.append(operation)
        return real(self, operation, **parameters)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "_call", counted)
        service.register(**changes)
    return calls


def test_the_work_is_the_same_whether_or_not_there_is_an_account(
    service: "Service", monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = Mock(wraps=hashing.hash_password)
    monkeypatch.setattr(hashing, "hash_password", hashed)

    free, taken = calls_of(service, monkeypatch), calls_of(service, monkeypatch)

    assert free == taken == ["get_item", "transact_write_items"]
    assert hashed.call_count == 2


def test_the_owner_of_a_taken_address_is_told_by_mail_with_a_way_in(service: "Service") -> None:
    service.register()
    service.deliver()

    service.register(name="Somebody Else", password="another password")
    service.deliver()

    to, subject, body = service.mailer.sent[-1]
    assert (to, subject) == ("ada@example.com", "You have an account with us")
    assert body.startswith("Hello Ada Lovelace,")
    confirmation = {"token": service.mailer.token(), "new_password": "an umbrella for ducks"}
    assert service.call("POST", "/api/users/password-reset/confirm", confirmation).status == 204
    assert service.log_in(password="an umbrella for ducks").status == 200


def test_the_mail_to_an_address_has_no_link_of_who_registered_it(service: "Service") -> None:
    service.register(name="your parcel waits: https://evil.example/pay")
    service.deliver()

    ((_, _, body),) = service.mailer.sent
    assert body.startswith("Hello there,\n\n")
    assert "evil" not in body


def test_nobody_s_mailbox_is_filled_by_registering_again_and_again(service: "Service") -> None:
    service.register()
    for _ in range(5):
        service.register()

    service.deliver()

    assert sorted(subject for _, subject, _ in service.mailer.sent) == [
        "Please verify your e-mail address",
        "You have an account with us",
    ]


def test_two_registrations_at_once_make_one_account(service: "Service", monkeypatch: pytest.MonkeyPatch) -> None:
    """The other registration is written between the read and the write."""
    monkeypatch.setattr(UserStore, "find_login", lambda *_: None)
    service.register()

    assert service.register(name="Somebody Else").status == 202

    (user,) = service.items("USER#")
    assert user["name"] == "Ada Lovelace"
    assert len(service.events("user.registration_repeated")) == 1


@pytest.fixture
def strict_service(monkeypatch: pytest.MonkeyPatch, service: "Service") -> "Service":
    """The service with the settings of AWS."""
    monkeypatch.setenv("VERIFIED_ADDRESSES_ONLY", "true")
    wiring.ports.cache_clear()
    return service


def test_logging_in_after_registering_does_not_tell_whether_the_address_was_free(strict_service: "Service") -> None:
    strict_service.register(email="taken@example.com", password="its owner's own one")
    mine = "a password of my own"

    for email in ("taken@example.com", "free@example.com"):
        strict_service.register(email=email, password=mine)
    taken, free = (strict_service.log_in(email, mine) for email in ("taken@example.com", "free@example.com"))

    assert taken.status == free.status == 401
    assert taken.body | {"request_id": ""} == free.body | {"request_id": ""}


def test_a_verified_address_opens_the_account(strict_service: "Service") -> None:
    strict_service.register()
    strict_service.deliver()
    assert strict_service.log_in().status == 401

    strict_service.call("POST", "/api/users/verify-email", {"token": strict_service.mailer.token()})

    assert strict_service.log_in().status == 200


def test_who_resets_the_password_has_read_the_mail_and_is_verified(strict_service: "Service") -> None:
    """So an address that a stranger has registered first still belongs to its owner."""
    user_id = strict_service.join(password="a stranger's own one")
    strict_service.deliver()
    strict_service.register()
    strict_service.deliver()
    confirmation = {"token": strict_service.mailer.token(), "new_password": "an umbrella for ducks"}

    assert strict_service.call("POST", "/api/users/password-reset/confirm", confirmation).status == 204

    assert strict_service.log_in(password="a stranger's own one").status == 401
    assert strict_service.log_in(password="an umbrella for ducks").status == 200
    assert strict_service.call("GET", "/api/users/me", user_id=user_id).body["email_verified"] is True
    assert len(strict_service.events("user.email_verified")) == 1


STRANGER, OWNER = "a stranger's own one", "the owner's own one"


@pytest.mark.parametrize("first", [STRANGER, OWNER])
@pytest.mark.parametrize("mails", [(0,), (1,), (0, 1), (1, 0)])
@pytest.mark.parametrize("strict", [True, False])
def test_whoever_registers_an_address_too_its_mails_open_it_for_its_owner_alone(
    service: "Service", monkeypatch: pytest.MonkeyPatch, first: str, mails: tuple[int, ...], strict: bool
) -> None:
    """Mail 0 has the first registration's link, which verifies. Mail 1 has the second one's, which sets a password."""
    monkeypatch.setenv("VERIFIED_ADDRESSES_ONLY", str(strict).lower())
    wiring.ports.cache_clear()
    names = {STRANGER: "Mallory", OWNER: "Ada"}
    second = OWNER if first == STRANGER else STRANGER
    tokens = []
    for password in (first, second):
        service.register(password=password, name=names[password])
        service.deliver()
        tokens.append(service.mailer.token())
    sessions = [found.body["refresh_token"] for found in [service.log_in(password=first)] if found.status == 200]
    assert len(sessions) == (0 if strict else 1)

    for mail in mails:
        path = ("/api/users/verify-email", "/api/users/password-reset/confirm")[mail]
        body = {"token": tokens[mail]} | ({"new_password": "chosen by the owner"} if mail else {})
        assert service.call("POST", path, body).status == 204

    assert [service.log_in(password=password).status for password in (STRANGER, OWNER)] == [401, 401]
    assert [service.refresh(session).status for session in sessions] == [401] * len(sessions)
    if 1 not in mails:
        service.wait(minutes=3)
        service.call("POST", "/api/users/password-reset", {"email": "ada@example.com"})
        service.deliver()
        body = {"token": service.mailer.token(), "new_password": "chosen by the owner"}
        assert service.call("POST", "/api/users/password-reset/confirm", body).status == 204
    assert service.log_in(password="chosen by the owner").status == 200
    (user,) = [item for item in service.items("USER#") if item["sk"] == "USER"]
    assert (user["name"], user["email_verified"]) == ("", True)
    assert [event["data"]["name"] for event in service.events("user.profile_changed")] == [""]


def test_the_same_registration_again_is_no_other_s(strict_service: "Service") -> None:
    """A client repeats its request when the response was lost."""
    for _ in range(2):
        strict_service.register()
    strict_service.deliver()
    # The two events may come in either order, and so may their mails.
    (link,) = re.findall(r"/verify-email#token=(\S+)", "".join(body for _, _, body in strict_service.mailer.sent))

    assert strict_service.call("POST", "/api/users/verify-email", {"token": link}).status == 204

    assert strict_service.log_in().status == 200


def test_registering_a_verified_address_again_changes_nothing_of_it(strict_service: "Service") -> None:
    user_id = strict_service.join()
    strict_service.deliver()
    first = strict_service.mailer.token()
    assert strict_service.call("POST", "/api/users/verify-email", {"token": first}).status == 204
    session = strict_service.log_in().body["refresh_token"]

    strict_service.register(password=STRANGER, name="Mallory")
    strict_service.deliver()

    assert strict_service.log_in(password=STRANGER).status == 401
    assert strict_service.log_in().status == 200
    assert strict_service.refresh(session).status == 200
    assert strict_service.call("GET", "/api/users/me", user_id=user_id).body["name"] == "Ada Lovelace"
    body = {"token": strict_service.mailer.token(), "new_password": "chosen by the owner"}
    assert strict_service.call("POST", "/api/users/password-reset/confirm", body).status == 204
    assert strict_service.call("GET", "/api/users/me", user_id=user_id).body["name"] == "Ada Lovelace"


def test_a_registration_that_comes_while_the_first_is_verified_contests_it(
    strict_service: "Service", monkeypatch: pytest.MonkeyPatch
) -> None:
    strict_service.register(password=STRANGER)
    strict_service.deliver()
    token = strict_service.mailer.token()
    find = UserStore.find_login

    def overtaken(store: UserStore, email: str) -> Any:
        found = find(store, email)
        monkeypatch.setattr(UserStore, "find_login", find)
        strict_service.register(password=OWNER)
        return found

    monkeypatch.setattr(UserStore, "find_login", overtaken)
    assert strict_service.call("POST", "/api/users/verify-email", {"token": token}).status == 503
    assert strict_service.call("POST", "/api/users/verify-email", {"token": token}).status == 204

    assert strict_service.log_in(password=STRANGER).status == 401


def test_an_account_is_announced_once_in_the_same_transaction(service: "Service") -> None:
    user_id = service.join()

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

    assert answer.status == 202
    (user,) = service.items("USER#")
    assert user["name"] == "Ada Lovelace"
    assert len(service.events("user.registered")) == 1


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
        ({"name": ""}, "invalid-request"),
        ({"name": " \t "}, "invalid-request"),
        ({"name": "x" * 101}, "invalid-request"),
        ({"name": "Ada\r\nBcc: all@example.com"}, "invalid-request"),
        ({"name": "Ada\u202e Lovelace"}, "invalid-request"),
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
    [("heron tea", 422), ("heron teas", 202), ("heron" + "-tea" * 30 + "xyz", 202), ("heron" + "-tea" * 31, 422)],
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


@pytest.mark.parametrize(
    "typed", ["ada@m\u00fcnchen.example", "Ada@XN--MNCHEN-3YA.example", "ada@mu\u0308nchen.example"]
)
def test_both_spellings_of_an_international_domain_are_one_account(service: "Service", typed: str) -> None:
    assert service.register(email="ada@m\u00fcnchen.example").status == 202
    [login] = service.items("EMAIL#ada@xn--mnchen-3ya.example")

    assert service.log_in(email=typed).status == 200
    me = service.call("GET", "/api/users/me", user_id=str(login["user_id"])).body
    assert me["email"] == "ada@xn--mnchen-3ya.example"


def test_a_name_is_stored_in_one_form(service: "Service") -> None:
    user_id = service.join(name="  Jose\u0301 علی\u200cرضا\u200e ")

    assert service.call("GET", "/api/users/me", user_id=user_id).body["name"] == "José علی\u200cرضا"
