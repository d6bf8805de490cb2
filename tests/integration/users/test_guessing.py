"""Guessing passwords is slow for the attacker, and never locks the owner out."""

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from mercato.http.guard import Guard
from mercato.http.rate_limit import CountTable, Limiter
from users import api
from users.passwords import hashing
from users.passwords.attempt_store import AttemptStore
from users.passwords.attempts import Count

if TYPE_CHECKING:
    from tests.integration.users.conftest import Service

HOME, ELSEWHERE = "203.0.113.9", "198.51.100.7"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records every password that was compared with a hash. The comparison takes no time here."""
    found: list[str] = []

    def compare(password: str, password_hash: str) -> bool:
        found.append(password)
        return password == "correct horse battery" and password_hash != hashing.UNMATCHABLE

    monkeypatch.setattr(hashing, "password_matches", compare)
    return found


def test_five_failures_are_free_and_the_next_must_wait(service: "Service", checked: list[str]) -> None:
    service.register()

    answers = [service.log_in(password="wrong").status for _ in range(6)]

    assert answers == [401] * 5 + [429]
    assert len(checked) == 5


def test_the_refusal_is_the_same_for_an_address_without_an_account(service: "Service", checked: list[str]) -> None:
    service.register()
    for _ in range(5):
        service.log_in(password="wrong")
        service.log_in(email="nobody@example.com")

    known, unknown = service.log_in(password="wrong"), service.log_in(email="nobody@example.com")

    assert known.status == unknown.status == 429
    assert known.headers["Retry-After"] == unknown.headers["Retry-After"] == "1"
    assert known.body | {"request_id": ""} == unknown.body | {"request_id": ""}
    assert known.body["type"] == "urn:mercato:problem:too-many-attempts"


def test_a_thousand_attempts_from_a_thousand_addresses_test_few_passwords_and_the_owner_gets_in(
    service: "Service", checked: list[str]
) -> None:
    service.register()
    service.source = HOME
    assert service.log_in().status == 200
    checked.clear()

    for guess in range(1000):
        service.source = f"198.51.{guess // 250}.{guess % 250}"
        service.log_in(password=f"guess {guess}")
        service.wait(seconds=1)

    assert len(checked) == 14  # five at once, then after 1, 2, 4, … 256 seconds
    service.source = HOME
    assert service.log_in().status == 200


def test_an_attack_from_the_owners_own_network_slows_that_network_alone(service: "Service", checked: list[str]) -> None:
    service.register()
    service.log_in()
    for _ in range(6):
        service.log_in(password="wrong")

    assert service.log_in().status == 429
    service.source = ELSEWHERE
    assert service.log_in().status == 200


def test_an_owner_in_a_new_place_waits_at_most_a_quarter_of_an_hour(service: "Service", checked: list[str]) -> None:
    service.register()
    for _ in range(300):
        service.log_in(password="wrong")
        service.wait(minutes=5)

    service.wait(minutes=15)

    assert service.log_in().status == 200


def test_a_successful_log_in_forgets_the_failures_of_its_network(service: "Service", checked: list[str]) -> None:
    service.register()
    service.log_in()
    for _ in range(4):
        service.log_in(password="wrong")

    assert service.log_in().status == 200
    assert [service.log_in(password="wrong").status for _ in range(6)] == [401] * 5 + [429]


def test_attempts_at_the_same_moment_are_counted_like_attempts_in_a_row(
    service: "Service", checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.register()
    read, statuses = AttemptStore.read, []

    def overtaken(store: AttemptStore, email: str, network: str, now: datetime) -> Count:
        """Between this attempt's read and its count another whole attempt runs, seven deep."""
        found = read(store, email, network, now)
        if len(started) < 7:
            started.append(1)
            statuses.append(service.log_in(password="wrong").status)
        return found

    started: list[int] = [1]
    monkeypatch.setattr(AttemptStore, "read", overtaken)

    statuses.append(service.log_in(password="wrong").status)

    assert statuses == [401] * 5 + [429] * 2
    assert len(checked) == 5


def test_what_was_tried_is_not_stored_in_clear(service: "Service", checked: list[str]) -> None:
    service.log_in(email="nobody@example.com", password="a secret of mine")

    stored = str(service.items("ATTEMPTS#"))
    assert "nobody" not in stored
    assert HOME not in stored
    assert "a secret of mine" not in stored


def test_one_address_may_ask_for_twenty_log_ins_whoever_it_claims_to_be(
    service: "Service", checked: list[str], make_table: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table("RateLimitsTable")  # type: ignore[operator]
    guard = Guard(Limiter(CountTable("RateLimitsTable"), 100))
    monkeypatch.setattr(api.app, "guarding", lambda: guard)

    statuses = [
        service.call(
            "POST",
            "/api/users/login",
            {"email": f"user{attempt}@example.com", "password": "guess guess"},
            headers={"X-Forwarded-For": f"10.0.0.{attempt % 250}", "Forwarded": f"for=10.0.0.{attempt % 250}"},
        ).status
        for attempt in range(1000)
    ]

    assert statuses == [401] * 20 + [429] * 980
