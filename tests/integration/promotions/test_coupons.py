"""Staff makes, changes, lists and ends coupons, and the checkout has codes evaluated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from promotions.store import Coupons
from tests.integration.promotions.conftest import COUPONS, HOME, TEN, Desk, pounds
from tests.kit.overtaking import overtake


def test_a_coupon_is_made_shown_and_listed_the_newest_first(desk: Desk) -> None:
    made = desk.add(code="Ten", minimum=pounds(1000), valid_until="2026-12-24T00:00:00+01:00", limit=100)
    desk.wait(seconds=1)
    desk.add(code="POST", kind="free_shipping", basis_points=None)

    assert desk.show("ten") == made
    assert (made["code"], made["version"], made["used"], made["ended_at"]) == ("TEN", 1, 0, None)
    assert made["valid_until"] == "2026-12-23T23:00:00.000Z"
    status, page = desk.call("GET", query={"limit": "1"})
    assert (status, [one["code"] for one in page["items"]]) == (200, ["POST"])
    status, page = desk.call("GET", query={"limit": "1", "cursor": page["next_cursor"]})
    assert [one["code"] for one in page["items"]] == ["TEN"]
    assert desk.call("GET", query={"cursor": "nonsense"})[0] == 400


def test_a_code_is_generated_where_none_is_given_and_a_retry_finds_the_same(desk: Desk) -> None:
    new = {name: value for name, value in TEN.items() if name != "code"}
    made = desk.call("POST", body=new, key="key-1")
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}", made[1]["code"])
    assert desk.call("POST", body=new, key="key-1") == made


def test_a_code_is_never_used_twice_also_after_its_coupon_has_ended(desk: Desk) -> None:
    desk.add()
    assert desk.call("DELETE", f"{COUPONS}/ten") == (204, None)
    assert desk.call("DELETE", f"{COUPONS}/ten") == (204, None)
    assert desk.show()["ended_at"] == "2026-11-22T12:00:00.000Z"
    status, problem = desk.call("POST", body=TEN | {"code": "ten"}, key="other")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:coupon-exists")


def test_a_change_names_the_version_and_may_raise_the_limit(desk: Desk) -> None:
    desk.add(limit=1)
    desk.claim("ord-1")
    status, changed = desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 2, "product_ids": ["mug", "mug"]})
    assert (status, changed["version"], changed["limit"], changed["product_ids"]) == (200, 2, 2, ["mug"])
    assert desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 2, "product_ids": ["mug"]}) == (200, changed)
    status, problem = desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 3})
    assert (status, problem["type"], problem["version"]) == (409, "urn:mercato:problem:coupon-changed", 2)
    desk.claim("ord-2")
    assert desk.used() == 2


def test_a_change_that_is_sent_twice_at_once_is_one_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add(limit=1)

    def send() -> tuple[int, Any]:
        return desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 2})

    first = overtake(monkeypatch, Coupons, "find", send)
    second = send()
    assert (second[0], second[1]["version"], first) == (200, 2, [second])


def test_of_two_changes_at_once_one_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add(limit=1)
    first = overtake(
        monkeypatch, Coupons, "find", lambda: desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 3})
    )
    status, problem = desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 2})
    assert (status, problem["type"], problem["version"]) == (409, "urn:mercato:problem:coupon-changed", 2)
    assert (first[0][0], desk.show()["limit"]) == (200, 3)


def test_codes_are_evaluated_in_any_case_with_stable_reasons(desk: Desk) -> None:
    desk.add()
    desk.add(code="LATE", valid_until="2026-11-22T12:00:00Z")
    status, found = desk.ask("ten", "LATE", "NOBODY", "TEN")
    assert status == 200
    parts = [{"product_id": "mug", "amount": 250}, {"product_id": "pot", "amount": 200}]
    assert [(one["code"], one["parts"], one["free_shipping"]) for one in found["accepted"]] == [("TEN", parts, False)]
    assert [(one["code"], one["reason"]) for one in found["rejected"]] == [("LATE", "expired"), ("NOBODY", "unknown")]
    assert found["customer"] == "account:ada"


def test_uses_of_others_and_of_the_customer_are_counted(desk: Desk) -> None:
    desk.add(limit=2, limit_per_customer=1)
    desk.claim("ord-1")
    reasons = [desk.ask("TEN", user=user)[1]["rejected"] for user in ("ada", "bob")]
    assert [[one["reason"] for one in found] for found in reasons] == [["used-up"], []]
    desk.claim("ord-2", customer="account:bob")
    assert desk.ask("TEN", user="eve")[1]["rejected"][0]["reason"] == "exhausted"


def test_a_guest_is_counted_by_the_mailbox(desk: Desk) -> None:
    desk.add(limit_per_customer=1)
    guest = desk.ask("TEN", user="", email="ada+one@example.com")[1]
    assert guest["rejected"] == []
    desk.claim("ord-1", customer=guest["customer"])
    again = desk.ask("TEN", user="", email="Ada@Example.com")[1]
    assert again["rejected"][0]["reason"] == "used-up"


def entered(desk: Desk, *codes: str, user: str = "ada", source: str = HOME) -> Any:
    return desk.ask(*codes, entered=codes, user=user, source=source)


def test_a_customer_who_guesses_gets_no_answers_for_the_rest_of_the_hour(desk: Desk) -> None:
    desk.add()
    for number in range(2):
        assert entered(desk, *(f"GUESS-{number}-{place}" for place in range(5)))[0] == 200
    status, problem = entered(desk, "TEN")
    assert (status, problem["type"]) == (429, "urn:mercato:problem:too-many-codes")
    assert desk.ask("TEN")[0] == 200  # what the checkout has already is no guess
    assert entered(desk, "TEN", user="bob")[0] == 200
    desk.wait(hours=1)
    assert entered(desk, "TEN")[0] == 200


def test_a_code_that_is_known_is_no_guess(desk: Desk) -> None:
    desk.add()
    for _ in range(12):
        assert entered(desk, "TEN")[0] == 200
    assert entered(desk, *(f"GUESS-{place}" for place in range(5)))[0] == 200


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The codes that were looked up."""
    found: list[str] = []
    standings = Coupons.standings

    def note(self: Coupons, codes: Sequence[str], customer: str) -> Any:
        found.extend(codes)
        return standings(self, codes, customer)

    monkeypatch.setattr(Coupons, "standings", note)
    return found


def test_of_a_thousand_guesses_of_one_network_fifty_are_looked_at(desk: Desk, looked_up: list[str]) -> None:
    """Each guess is that of another guest, whose cart is new."""
    desk.add()

    answers = [entered(desk, f"GUESS-{number}", user=f"guest:{number}") for number in range(1000)]

    statuses = [status for status, _ in answers]
    assert (statuses.count(200), statuses.count(429), len(looked_up)) == (50, 950, 50)
    assert entered(desk, "TEN", user="bob", source="192.0.2.2")[0] == 200
    assert entered(desk, "TEN", user="bob")[0] == 429
    assert desk.ask("TEN", user="carl")[0] == 200  # which is in the checkout already
    desk.wait(hours=1)
    assert entered(desk, "TEN", user="bob")[0] == 200


def test_of_a_thousand_guesses_for_one_cart_ten_are_looked_at(desk: Desk, looked_up: list[str]) -> None:
    """Each guess comes from another network."""
    sources = [f"198.51.{number // 250}.{number % 250}" for number in range(1000)]

    statuses = [entered(desk, f"GUESS-{number}", source=source)[0] for number, source in enumerate(sources)]

    assert (statuses.count(200), len(looked_up)) == (10, 10)


def test_a_customer_who_may_not_guess_any_more_takes_nothing_from_the_network(desk: Desk) -> None:
    desk.add()
    for number in range(100):
        entered(desk, f"GUESS-{number}")
    assert entered(desk, "TEN", user="bob")[0] == 200


def test_a_code_that_is_known_takes_nothing_from_the_network(desk: Desk) -> None:
    desk.add()
    for number in range(60):
        assert entered(desk, "TEN", user=f"guest:{number}")[0] == 200


@pytest.mark.parametrize(
    ("source", "is_same"), [("2001:db8::9", True), ("2001:db8:0:1::1", False), ("::ffff:192.0.2.1", False)]
)
def test_a_network_of_ipv6_is_counted_as_one(desk: Desk, source: str, is_same: bool) -> None:
    for number in range(50):
        entered(desk, f"GUESS-{number}", user=f"guest:{number}", source=f"2001:db8::{number + 1:x}")
    assert entered(desk, "GUESS", user="bob", source=source)[0] == (429 if is_same else 200)


@pytest.mark.parametrize(("minutes", "told"), [(0, "60 minutes"), (48, "12 minutes"), (59, "1 minute.")])
def test_who_guesses_is_told_when_to_come_again(desk: Desk, minutes: int, told: str) -> None:
    desk.wait(minutes=minutes)
    for number in range(2):
        entered(desk, *(f"GUESS-{number}-{place}" for place in range(5)))

    status, problem = entered(desk, "TEN")

    assert (status, told in problem["detail"]) == (429, True)
    assert desk.answered["headers"]["Retry-After"] == str(problem["retry_after"]) == str((60 - minutes) * 60)


@pytest.mark.parametrize("role", ["customer"])
def test_coupons_are_for_staff(desk: Desk, role: str) -> None:
    assert desk.call("GET", role=role)[0] == 403
    assert desk.call("POST", "/api/promotions/evaluations", {}, role=role)[0] == 403


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
@pytest.mark.parametrize("name", ["valid_from", "valid_until"])
def test_a_time_that_no_year_of_utc_has_is_refused(desk: Desk, name: str, moment: str) -> None:
    status, problem = desk.call("POST", body=TEN | {name: moment}, key="key-1")
    assert (status, problem["errors"][0]["field"]) == (422, name), problem
    assert desk.call("POST", body=TEN | {name: "9999-12-31T23:59:59Z"}, key="key-2")[0] == 201
