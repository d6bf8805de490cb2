"""Operators see every circuit and set it for all sandboxes. Their actions are recorded."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.breaker import Breaker, CircuitOpen, Circuits, Policy
from mercato.breaker.store import DynamoStore
from mercato.store.dynamo import KeyRange, Table


@pytest.fixture
def circuits(desk: Any) -> Circuits:
    """The circuits of one function's sandbox."""
    return Circuits(DynamoStore("CircuitsTable"))


@pytest.fixture
def breaker(circuits: Circuits) -> Breaker:
    """A breaker that was used."""
    found = circuits.breaker("payment-provider", Policy(failures=1, refresh=0.000001))
    found.call(lambda: "ok")
    circuits.refresh_due()
    return found


def fail(breaker: Breaker) -> None:
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)


def set_to(desk: Any, action: str, name: str = "payment-provider", **body: Any) -> tuple[int, Any]:
    answer: tuple[int, Any] = desk.call("POST", f"/circuits/{name}", {"action": action, "reason": "drill"} | body)
    return answer


def test_every_circuit_is_listed_from_its_first_use_on(desk: Any, breaker: Breaker) -> None:
    status, page = desk.call("GET", "/circuits")
    assert (status, [item["name"] for item in page["items"]]) == (200, ["payment-provider"])
    (shown,) = page["items"]
    assert (shown["state"], shown["generation"], shown["opened_at"]) == ("closed", 0, None)
    assert shown["about"] == "opens at 1 failures in a row; tries again after 30 s; closes at 3 successes"


def test_an_open_circuit_shows_since_when_and_until_when(desk: Any, breaker: Breaker) -> None:
    fail(breaker)
    shown = desk.call("GET", "/circuits/payment-provider")[1]
    assert (shown["state"], shown["openings"], shown["audit"]) == ("open", 1, [])
    assert shown["opened_at"] < shown["retry_at"]


def test_a_forced_circuit_rejects_in_every_sandbox_at_its_next_refresh_until_it_is_let_go(
    desk: Any, breaker: Breaker, circuits: Circuits
) -> None:
    assert set_to(desk, "force_open")[1]["state"] == "forced_open"
    assert breaker.call(lambda: "not yet") == "not yet"
    circuits.refresh_due()
    with pytest.raises(CircuitOpen):
        breaker.call(lambda: "ok")
    assert set_to(desk, "auto")[1]["state"] == "closed"
    circuits.refresh_due()
    assert breaker.call(lambda: "ok") == "ok"


def test_force_close_closes_now_and_a_new_failure_opens_it_again(
    desk: Any, breaker: Breaker, circuits: Circuits
) -> None:
    fail(breaker)
    status, shown = set_to(desk, "force_close")
    assert (status, shown["state"], shown["openings"]) == (200, "closed", 0)
    circuits.refresh_due()
    fail(breaker)
    assert desk.call("GET", "/circuits/payment-provider")[1]["state"] == "open"


@pytest.mark.parametrize("action", ["disable", "metrics_only"])
def test_a_circuit_that_is_switched_off_lets_every_call_through(
    desk: Any, breaker: Breaker, circuits: Circuits, action: str
) -> None:
    set_to(desk, action)
    circuits.refresh_due()
    for _ in range(10):
        fail(breaker)
    assert breaker.call(lambda: "ok") == "ok"


def test_each_action_is_audited_with_who_why_and_the_request(desk: Any, breaker: Breaker) -> None:
    set_to(desk, "force_open", reason="provider's maintenance")
    shown = set_to(desk, "auto", reason="maintenance is over")[1]
    assert [(one["action"], one["reason"], one["operator"]) for one in shown["audit"]] == [
        ("auto", "maintenance is over", "boss"),
        ("force_open", "provider's maintenance", "boss"),
    ]
    assert {one["request_id"] for one in shown["audit"]} == {"req-operator-1"}


def test_the_world_hears_of_a_forced_opening_and_closing_once_each(desk: Any, breaker: Breaker) -> None:
    for action in ("force_open", "force_open", "auto", "auto", "disable"):
        set_to(desk, action)
    records = list(Table("CircuitsTable").query_all("OUTBOX#payment-provider"))
    assert [record["sk"].partition("#")[2] for record in records] == ["circuit.opened", "circuit.closed"]


def test_auto_on_a_circuit_that_runs_by_itself_changes_nothing(desk: Any, breaker: Breaker) -> None:
    fail(breaker)
    status, shown = set_to(desk, "auto")
    assert (status, shown["state"], shown["generation"], shown["audit"]) == (200, "open", 1, [])


def test_an_unknown_circuit_is_404_and_an_unknown_action_422(desk: Any, breaker: Breaker) -> None:
    assert set_to(desk, "force_open", name="nobody")[0] == 404
    assert desk.call("GET", "/circuits/nobody")[0] == 404
    assert set_to(desk, "explode")[0] == 422
    assert set_to(desk, "force_open", reason="")[0] == 422
    assert list(Table("CircuitsTable").query_all("CB#nobody")) == []


def test_only_an_admin_sees_and_sets_circuits(desk: Any, breaker: Breaker) -> None:
    assert desk.call("GET", "/circuits", role="customer")[0] == 403
    body = {"action": "force_open", "reason": "mischief"}
    assert desk.call("POST", "/circuits/payment-provider", body, role="customer")[0] == 403
    assert desk.call("GET", "/circuits/payment-provider")[1]["state"] == "closed"


@pytest.mark.parametrize("action", ["force_open", "disable", "metrics_only"])
def test_what_an_operator_set_has_no_end_until_an_operator_ends_it(desk: Any, breaker: Breaker, action: str) -> None:
    """An item with a ttl would be deleted 90 days later, and the circuit would close by itself."""
    table = Table("CircuitsTable")
    fail(breaker)
    assert (table.get("CB#payment-provider", "STATE") or {})["ttl"]
    assert set_to(desk, action)[0] == 200
    assert "ttl" not in (table.get("CB#payment-provider", "STATE") or {"ttl": "no item"})
    assert [
        record["sk"] for record in table.query_all("CB#payment-provider", KeyRange(prefix="AUDIT#")) if "ttl" in record
    ] == []
    assert set_to(desk, "auto")[0] == 200
    assert (table.get("CB#payment-provider", "STATE") or {})["ttl"], "one that runs by itself may be forgotten again"
