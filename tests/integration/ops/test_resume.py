"""A parked saga is resumed once, by one operator, with a record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops import api
from tests.integration.ops.conftest import Desk, message


@pytest.mark.parametrize("action", ["retry", "skip"])
def test_resuming_sends_the_token_back_and_says_who_did_it(desk: Desk, action: str) -> None:
    desk.park(message())
    status, answer = desk.resume(action)
    assert status == 200
    assert answer.pop("at")
    assert answer == {
        "order_id": "ord-1",
        "saga": "ord-1",
        "step": "ReleaseInventory",
        "action": action,
        "reason": "table is back",
        "operator": "boss",
        "request_id": "req-operator-1",
    }
    assert desk.machine.sent == [("token-1", {"action": action})]
    assert desk.listed() == []


def test_resuming_leaves_an_audit_record(desk: Desk) -> None:
    desk.park(message())
    desk.resume("skip", user="grace")
    (record,) = desk.audit()
    kept = ("operator", "action", "reason", "request_id", "step")
    assert [record[name] for name in kept] == ["grace", "skip", "table is back", "req-operator-1", "ReleaseInventory"]


def test_a_second_resumption_is_refused_and_leaves_no_record(desk: Desk) -> None:
    desk.park(message())
    desk.resume()
    status, problem = desk.resume("skip")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:saga-not-parked")
    assert desk.machine.sent == [("token-1", {"action": "retry"})]
    assert len(desk.audit()) == 1


def test_of_two_operators_at_once_one_gets_through(desk: Desk) -> None:
    desk.park(message())
    other: list[tuple[int, Any]] = []

    def meanwhile() -> None:
        desk.machine.before_answer = None
        other.append(desk.resume("skip", user="grace"))

    desk.machine.before_answer = meanwhile
    assert desk.resume("retry")[0] == 200
    assert other[0][0] == 409
    assert desk.machine.sent == [("token-1", {"action": "retry"})]
    assert [record["operator"] for record in desk.audit()] == ["boss"]


def test_a_resumption_that_died_on_its_way_can_be_taken_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.park(message())

    def die() -> None:
        raise SystemExit

    desk.machine.before_answer = die
    with pytest.raises(SystemExit):
        desk.resume()
    desk.machine.before_answer = None
    assert desk.listed() == ["ord-1"]
    assert desk.resume()[0] == 409
    later = datetime.now(UTC) + timedelta(seconds=61)
    monkeypatch.setattr(api, "utc_now", lambda: later)
    assert desk.resume()[0] == 200
    assert desk.machine.sent == [("token-1", {"action": "retry"})]


@pytest.mark.parametrize("fault", ["ThrottlingException", "InternalServerError", "no answer"])
def test_a_resumption_that_could_not_be_sent_can_be_tried_again_at_once(desk: Desk, fault: str) -> None:
    desk.park(message())
    desk.machine.fail_with = fault
    status, problem = desk.resume()
    assert (status, problem["type"]) == (503, "urn:mercato:problem:temporarily-unavailable")
    assert desk.listed() == ["ord-1"]
    desk.machine.fail_with = ""
    assert desk.resume()[0] == 200
    assert desk.machine.sent == [("token-1", {"action": "retry"})]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "KmsAccessDeniedException"])
def test_a_resumption_that_no_retry_cures_is_told_and_logged_as_our_fault(
    desk: Desk, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    desk.park(message())
    desk.machine.fail_with = code
    status, problem = desk.resume()
    assert (status, problem["type"]) == (500, "urn:mercato:problem:internal-error")
    assert problem["request_id"] == "req-operator-1"
    assert f"the saga was not resumed: An error occurred ({code})" in caplog.text
    assert desk.listed() == ["ord-1"]
    desk.machine.fail_with = ""
    assert desk.resume()[0] == 200
    assert desk.machine.sent == [("token-1", {"action": "retry"})]


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_saga_that_waits_no_more_leaves_the_list(desk: Desk, code: str) -> None:
    desk.park(message())
    desk.machine.fail_with = code
    status, problem = desk.resume()
    assert (status, problem["type"]) == (409, "urn:mercato:problem:saga-not-parked")
    assert desk.listed() == []


def test_a_saga_that_parks_again_while_it_is_resumed_stays_listed(desk: Desk) -> None:
    desk.park(message())
    again = message(task_token="token-2", parked_at="2026-11-22T12:05:00.000Z")

    def meanwhile() -> None:
        assert desk.park(again) == []

    desk.machine.before_answer = meanwhile
    assert desk.resume()[0] == 200
    assert desk.listed() == ["ord-1"]


def test_a_saga_that_is_not_parked_cannot_be_resumed(desk: Desk) -> None:
    assert desk.resume(order_id="nothing")[0] == 409
    assert desk.machine.sent == []
    assert desk.audit("nothing") == []


def test_a_skip_said_again_does_not_skip_the_step_that_has_parked_since(desk: Desk) -> None:
    """The first skip takes effect and its response is lost. The saga continues and parks in the next undo."""
    desk.park(message(step="RefundPayment"))
    desk.resume("skip", step="RefundPayment")
    desk.park(message(step="ReleaseInventory", task_token="token-2", parked_at="2026-11-22T12:05:00.000Z"))
    status, problem = desk.resume("skip", step="RefundPayment")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:another-step-parked")
    assert "is parked in ReleaseInventory, not in RefundPayment" in problem["detail"]
    assert desk.machine.sent == [("token-1", {"action": "skip"})]
    assert [record["step"] for record in desk.audit()] == ["RefundPayment"]
    assert desk.listed() == ["ord-1"]


def test_a_skip_names_what_it_skips(desk: Desk) -> None:
    desk.park(message())
    status, problem = desk.resume("skip", step=None)
    assert (status, problem["type"]) == (422, "urn:mercato:problem:step-missing")
    assert (desk.machine.sent, desk.audit(), desk.listed()) == ([], [], ["ord-1"])


def test_a_retry_may_name_the_step_and_is_refused_where_another_one_is_parked(desk: Desk) -> None:
    desk.park(message())
    assert desk.resume("retry", step="CancelOrder")[0] == 409
    assert desk.machine.sent == []
    assert desk.resume("retry", step=None)[0] == 200
    assert desk.machine.sent == [("token-1", {"action": "retry"})]


def test_a_saga_that_was_resumed_is_not_parked_in_any_step(desk: Desk) -> None:
    desk.park(message())
    desk.resume()
    status, problem = desk.resume("skip", step="CancelOrder")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:saga-not-parked")


@pytest.mark.parametrize(
    "body",
    [
        {"action": "skip", "reason": "because", "step": ""},
        {"action": "retry", "reason": "because", "step": 7},
        {"action": "explode", "reason": "because"},
        {"action": "retry"},
        {"action": "retry", "reason": ""},
        {"action": "retry", "reason": "because", "token": "x"},
    ],
)
def test_a_bad_resumption_is_refused(desk: Desk, body: dict[str, str]) -> None:
    desk.park(message())
    assert desk.call("POST", "/sagas/ord-1/resume", body)[0] == 422
    assert desk.machine.sent == []
    assert desk.listed() == ["ord-1"]
