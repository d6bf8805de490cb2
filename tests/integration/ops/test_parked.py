"""The consumer of the parked queue, and the list of parked sagas."""

from __future__ import annotations

import itertools
import json

import pytest

from mercato.errors import TransientError
from mercato.events.dead_letters import MAX_RECEIVES
from ops.sagas import parked
from ops.sagas.store import SagaStore
from ops.wiring import ports
from tests.integration.ops.conftest import Desk, message
from tests.integration.ops.queues import Queues


def test_a_parked_saga_is_listed_with_what_an_operator_needs_and_without_its_token(desk: Desk) -> None:
    assert desk.park(message()) == []
    status, page = desk.call("GET", "/sagas", status="parked")
    assert status == 200
    assert page == {
        "items": [
            {
                "order_id": "ord-1",
                "kind": "order",
                "saga": "ord-1",
                "step": "ReleaseInventory",
                "error": "TransientError",
                "cause": '{"errorMessage": "the table is away"}',
                "failed_step": "AuthorizePayment",
                "reason": "PaymentDeclined",
                "parked_at": "2026-11-22T12:00:00.123Z",
                "correlation_id": "req-12345678",
                "execution_arn": "arn:aws:states:us-east-1:123456789012:execution:mercato-order:ord-1",
            }
        ],
        "next_cursor": None,
    }
    assert "token-1" not in json.dumps(page)


def test_the_longest_waiting_is_first_and_pages_follow(desk: Desk) -> None:
    desk.park(*[message(f"ord-{n}", parked_at=f"2026-11-22T12:00:0{9 - n}.000Z") for n in range(3)])
    status, first = desk.call("GET", "/sagas", limit="2")
    assert [item["order_id"] for item in first["items"]] == ["ord-2", "ord-1"]
    status, second = desk.call("GET", "/sagas", limit="2", cursor=first["next_cursor"])
    assert (status, [item["order_id"] for item in second["items"]]) == (200, ["ord-0"])


def test_a_message_that_comes_twice_is_one_parked_saga(desk: Desk) -> None:
    desk.park(message(), message())
    assert desk.park(message()) == []
    assert desk.listed() == ["ord-1"]


def test_a_message_that_comes_again_after_the_resumption_parks_nothing(desk: Desk) -> None:
    desk.park(message())
    desk.resume()
    assert desk.park(message()) == []
    assert desk.listed() == []


def test_a_saga_that_parks_again_is_listed_again_with_its_new_token(desk: Desk) -> None:
    desk.park(message())
    desk.resume()
    desk.park(message(task_token="token-2", parked_at="2026-11-22T12:05:00.000Z", step="CancelOrder"))
    assert desk.listed() == ["ord-1"]
    assert desk.resume("skip", step="CancelOrder")[0] == 200
    assert [token for token, _ in desk.machine.sent] == ["token-1", "token-2"]


def test_an_older_message_does_not_replace_a_newer_one(desk: Desk) -> None:
    desk.park(message(task_token="token-2", parked_at="2026-11-22T12:05:00.000Z"))
    desk.park(message())
    desk.resume()
    assert desk.machine.sent[0][0] == "token-2"


@pytest.mark.parametrize("body", ["{", "[]", '{"order_id": "x"}', json.dumps(message(parked_at="yesterday"))])
def test_a_message_that_cannot_be_read_is_a_dead_letter_and_the_others_are_kept(desk: Desk, body: str) -> None:
    Queues().open("parked")
    assert desk.park(body, message()) == []
    assert desk.listed() == ["ord-1"]
    (letter,) = desk.call("GET", "/dlq/parked/messages", with_body="true")[1]["items"]
    assert letter["reason"] == "malformed"
    assert letter["body"] == body.replace("token-1", "…"), "who has the token can resume the saga unseen"
    assert "token-1" not in letter["detail"]


def test_a_message_that_cannot_be_stored_now_comes_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise TransientError("the table is away")

    Queues().open("parked")
    monkeypatch.setattr(ports().sagas, "park", refuse)
    assert desk.park(message()) == ["m-0"]
    assert desk.call("GET", "/dlq/parked/messages")[1]["items"] == []


def test_a_parking_that_never_could_be_stored_is_a_dead_letter_that_names_its_saga_and_can_be_brought_home(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = Queues()
    queues.open("parked")
    arn = "arn:aws:states:us-east-1:123456789012:execution:mercato-order:ord-1.cancellation"
    with monkeypatch.context() as outage:
        outage.setattr(parked, "ports", unreachable)
        assert desk.park(message(execution_arn=arn), receives=MAX_RECEIVES) == []
    assert desk.listed() == []
    (queue,) = desk.call("GET", "/dlq")[1]["items"]
    assert (queue["queue"], queue["source"], queue["messages"]) == ("mercato-parked-dlq", "mercato-parked", 1)
    (letter,) = desk.call("GET", "/dlq/parked/messages")[1]["items"]
    assert (letter["subject"], letter["reason"]) == ("ord-1.cancellation", "retries-exhausted")
    assert letter["correlation_id"] == "req-12345678"

    order = {"queue": "parked", "dry_run": False, "note": "the table is back"}
    assert desk.call("POST", "/dlq/redrive", order)[1]["redriven"] == 1
    assert queues.count("parked-dlq") == 0
    (back,) = queues.sqs.receive_message(QueueUrl=queues.url("parked"))["Messages"]
    assert desk.park(back["Body"]) == []
    assert desk.listed() == ["ord-1.cancellation"]
    assert desk.resume(order_id="ord-1.cancellation")[0] == 200
    assert desk.machine.sent == [("token-1", {"action": "retry"})]


def test_a_parking_that_the_queue_itself_gave_up_on_names_its_saga_too(desk: Desk) -> None:
    """The message has no reason attribute, because the function ended without writing one."""
    queues = Queues()
    queues.open("parked")
    queues.put("parked-dlq", json.dumps(message()))
    (letter,) = desk.call("GET", "/dlq/parked/messages")[1]["items"]
    assert (letter["subject"], letter["correlation_id"]) == ("ord-1", "req-12345678")
    assert "SQS moved it after its last delivery" in letter["detail"]


def unreachable() -> SagaStore:
    raise TransientError("the table is away")


@pytest.mark.parametrize(
    ("query", "status"), [({"status": "lost"}, 422), ({"limit": "0"}, 422), ({"cursor": "!"}, 422)]
)
def test_a_bad_list_query_is_refused(desk: Desk, query: dict[str, str], status: int) -> None:
    assert desk.call("GET", "/sagas", **query)[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sagas"),
        ("GET", "/sagas/x"),
        ("POST", "/sagas/x/resume"),
        ("POST", "/sagas/x/redrive"),
        ("GET", "/dlq"),
        ("GET", "/services"),
    ],
)
def test_only_admins_get_in(desk: Desk, method: str, path: str) -> None:
    body = {"action": "retry", "reason": "because"} if method == "POST" else None
    assert desk.call(method, path, body, user="cust-1", role="customer")[0] == 403
    assert desk.call(method, path, body, user="")[0] == 401


def test_a_parked_cancellation_stands_beside_the_parked_saga_of_its_order(desk: Desk) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:execution:mercato-order:ord-1.cancellation"
    later = {"parked_at": "2026-11-22T12:01:00.000Z", "task_token": "token-2", "execution_arn": arn}
    desk.park(message(), message(**later))
    assert desk.listed() == ["ord-1", "ord-1.cancellation"]
    status, _ = desk.call("POST", "/sagas/ord-1.cancellation/resume", {"action": "retry", "reason": "mended"})
    assert (status, desk.listed()) == (200, ["ord-1"])
    assert [token for token, _ in desk.machine.sent] == ["token-2"]


@pytest.mark.parametrize("live", ["token-1", "token-2"])
@pytest.mark.parametrize(
    "order", [list(p) for p in itertools.permutations(["token-1", "token-2", "token-1", "token-2"])]
)
def test_of_two_messages_for_one_parking_the_live_token_is_found_in_whatever_order_they_come(
    desk: Desk, live: str, order: tuple[str, ...]
) -> None:
    """The response to the first message was lost, so Step Functions sent another with a new token. Both are delivered
    twice.
    """
    desk.machine.dead = {"token-1", "token-2"} - {live}
    for token in order:
        assert desk.park(message(task_token=token)) == []
        assert desk.listed() == ["ord-1"]
    assert desk.resume()[0] == 200
    assert desk.machine.sent == [(live, {"action": "retry"})]
    for token in order:
        assert desk.park(message(task_token=token)) == []
    assert desk.listed() == [], "what comes late, after the resumption, parks nothing"


def test_a_live_token_that_comes_after_the_dead_one_was_tried_is_listed_and_resumed(desk: Desk) -> None:
    desk.machine.dead = {"token-1"}
    desk.park(message())
    assert desk.resume()[0] == 409
    assert desk.listed() == []
    assert desk.park(message()) == []
    assert desk.listed() == [], "a dead token that comes again stays dropped"
    desk.park(message(task_token="token-2"))
    assert desk.listed() == ["ord-1"]
    assert desk.resume()[0] == 200
    assert desk.machine.sent == [("token-2", {"action": "retry"})]


def test_a_live_token_that_comes_while_the_dead_one_is_tried_is_used_at_once(desk: Desk) -> None:
    desk.machine.dead = {"token-1"}
    desk.park(message())

    def meanwhile() -> None:
        desk.machine.before_answer = None
        desk.park(message(task_token="token-2"))

    desk.machine.before_answer = meanwhile
    assert desk.resume()[0] == 200
    assert (desk.machine.sent, desk.listed()) == ([("token-2", {"action": "retry"})], [])
