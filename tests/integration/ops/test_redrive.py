"""Redriving dead letters: selected, limited and recorded. No message is deleted before it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mercato import aws
from mercato.errors import TransientError
from ops.dead_letters import api, reader
from ops.dead_letters import redrive as redriving
from ops.dead_letters.message import DeadLetter
from ops.wiring import ports
from tests.integration.ops.conftest import Desk
from tests.integration.ops.queues import Queues

NOTE = "the table is back"


@pytest.fixture
def queues(desk: Desk) -> Queues:
    found = Queues()
    found.open("orders", "carts")
    return found


def redrive(desk: Desk, **body: Any) -> tuple[int, Any]:
    return desk.call("POST", "/dlq/redrive", {"queue": "orders", "dry_run": False, "note": NOTE} | body)


def audit(desk: Desk, queue: str = "orders") -> list[dict[str, Any]]:
    status, page = desk.call("GET", f"/dlq/{queue}/redrives")
    assert status == 200
    return list(page["items"])


def test_a_redriven_letter_is_back_in_its_queue_with_its_history(desk: Desk, queues: Queues) -> None:
    failed = "2026-11-20T08:00:00.000Z"
    queues.drop("orders", event="order.created", redrive_count="1", first_failed_at=failed, detail="x")

    status, answer = redrive(desk)

    assert (status, answer["matched"], answer["redriven"]) == (200, 1, 1)
    ((event_id, attributes),) = queues.delivered("orders")
    assert event_id == "event-1"
    assert attributes.pop("redriven_at")
    assert attributes == {"redrive_count": "2", "first_failed_at": failed}
    assert queues.count("orders-dlq") == 0


def test_a_redrive_of_all_queues_waits_only_at_those_that_hold_something(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.drop("orders", event="order.created")
    take, waits = reader.take, dict[str, int | None]()

    def noting(url: str, wait: int | None = None) -> Iterator[list[reader.Held]]:
        waits[url.rpartition("/")[2]] = wait
        return take(url, wait)

    monkeypatch.setattr(reader, "take", noting)

    assert redrive(desk, queue=None, type="order.created")[1]["redriven"] == 1
    assert waits == {"mercato-carts-dlq": 0, "mercato-orders-dlq": None}


def test_a_dry_run_shows_what_would_go_and_touches_and_records_nothing(desk: Desk, queues: Queues) -> None:
    queues.drop("orders", event="order.created")

    status, answer = desk.call("POST", "/dlq/redrive", {"queue": "orders"})

    assert (status, answer["dry_run"], answer["matched"], answer["redriven"]) == (200, True, 1, 0)
    assert answer["items"][0]["letters"][0]["event_id"] == "event-1"
    assert (queues.count("orders-dlq"), queues.delivered("orders"), audit(desk)) == (1, [], [])


@pytest.mark.parametrize(
    ("chosen", "event_ids"),
    [
        ({"type": "payment.failed"}, {"event-2", "event-3"}),
        ({"reason": "malformed"}, {"event-1", "event-2"}),
        ({"type": "payment.failed", "reason": "malformed"}, {"event-2"}),
        ({"ids": ["event-3", "no-such"]}, {"event-3"}),
        ({"type": "nothing"}, set()),
    ],
)
def test_only_what_was_chosen_goes_and_the_rest_can_be_seen_at_once(
    desk: Desk, queues: Queues, chosen: dict[str, Any], event_ids: set[str]
) -> None:
    queues.drop("orders", event="order.created", reason="malformed")
    queues.drop("orders", event="payment.failed", reason="malformed")
    queues.drop("orders", event="payment.failed", reason="order-not-found")

    answer = redrive(desk, **chosen)[1]

    assert answer["items"][0]["examined"] == 3
    assert {event_id for event_id, _ in queues.delivered("orders")} == event_ids
    assert queues.count("orders-dlq") == 3 - len(event_ids)


def test_a_letter_is_chosen_by_its_message_id_too(desk: Desk, queues: Queues) -> None:
    queues.drop("orders", event="order.created")
    message_id = queues.drop("orders", event="order.created")
    redrive(desk, ids=[message_id])
    assert [event_id for event_id, _ in queues.delivered("orders")] == ["event-2"]


def test_no_more_go_than_the_cap_allows(desk: Desk, queues: Queues) -> None:
    for _ in range(25):
        queues.drop("orders", event="order.created")

    answer = redrive(desk, max=12)[1]

    assert (answer["redriven"], answer["items"][0]["is_whole"]) == (12, False)
    assert (queues.count("orders"), queues.count("orders-dlq")) == (12, 13)


def test_without_a_queue_all_are_searched_under_one_cap(desk: Desk, queues: Queues) -> None:
    queues.open_dead_end("relay-dlq")
    queues.put("relay-dlq", "{}", reason="malformed")
    for queue in ("orders", "orders", "carts", "carts"):
        queues.drop(queue, event="order.created")
    queues.drop("carts", event="product.discontinued")

    answer = desk.call("POST", "/dlq/redrive", {"type": "order.created", "max": 3, "dry_run": False, "note": NOTE})[1]

    assert answer["redriven"] == 3
    assert queues.count("orders") + queues.count("carts") == 3
    assert queues.count("orders-dlq") + queues.count("carts-dlq") == 2
    assert queues.count("relay-dlq") == 1


def test_the_audit_says_who_sent_what_and_why(desk: Desk, queues: Queues) -> None:
    queues.drop("orders", event="order.created")
    desk.call(
        "POST",
        "/dlq/redrive",
        {"queue": "orders", "type": "order.created", "dry_run": False, "note": NOTE, "max": 7},
        user="grace",
    )
    (record,) = audit(desk)
    assert record.pop("at")
    assert record == {
        "operator": "grace",
        "request_id": "req-operator-1",
        "note": NOTE,
        "event_type": "order.created",
        "reason": None,
        "ids": [],
        "max": 7,
        "outcome": "done",
        "redriven": 1,
        "left_behind": 0,
    }


def test_nothing_is_sent_that_cannot_be_recorded(desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    queues.drop("orders", event="order.created")

    def refuse(*_: object) -> str:
        raise TransientError("the table is away")

    monkeypatch.setattr(ports().redrive_audit, "open", refuse)
    assert redrive(desk)[0] == 503
    assert (queues.count("orders"), queues.count("orders-dlq")) == (0, 1)


class Killed(BaseException):
    """The process ends here."""


def test_killed_between_send_and_delete_the_letter_is_in_both_and_the_audit_says_started(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.drop("orders", event="order.created")

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(reader, "remove", die)
    monkeypatch.setattr(reader, "give_back", lambda *_: None)
    with pytest.raises(Killed):
        redrive(desk)
    assert [event_id for event_id, _ in queues.delivered("orders")] == ["event-1"]
    names = ["ApproximateNumberOfMessagesNotVisible"]
    held = queues.sqs.get_queue_attributes(QueueUrl=queues.url("orders-dlq"), AttributeNames=names)["Attributes"]
    assert held == {names[0]: "1"}, "it comes back by itself"
    assert [record["outcome"] for record in audit(desk)] == ["started"]


@pytest.mark.parametrize(
    ("operation", "redriven", "left_behind", "delivered"), [("send_message", 0, 0, 0), ("delete_message", 1, 1, 1)]
)
def test_a_fault_ends_the_redrive_and_no_letter_is_lost(
    desk: Desk,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    redriven: int,
    left_behind: int,
    delivered: int,
) -> None:
    for _ in range(3):
        queues.drop("orders", event="order.created")

    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "no"}}, operation)

    monkeypatch.setattr(aws.client("sqs"), operation, fail)
    status, answer = redrive(desk)
    monkeypatch.undo()

    (result,) = answer["items"]
    assert (status, result["redriven"], result["left_behind"], result["is_whole"]) == (
        200,
        redriven,
        left_behind,
        False,
    )
    assert "ServiceUnavailable" in result["failure"]
    assert (queues.count("orders"), queues.count("orders-dlq")) == (delivered, 3)


def test_a_letter_that_fails_again_at_once_is_sent_once_by_each_redrive(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.drop("orders", event="order.created")
    queues.drop("orders", event="payment.failed")
    sent: list[str] = []

    def fail_again(_: str, letter: DeadLetter, attributes: dict[str, str]) -> None:
        sent.append(str(letter.event_id))
        queues.put("orders-dlq", letter.body, reason="malformed", redrive_count=attributes["redrive_count"])

    monkeypatch.setattr(reader, "send", fail_again)
    for count in (1, 2):
        assert redrive(desk)[1]["redriven"] == 2
        letters = desk.call("GET", "/dlq/orders/messages")[1]["items"]
        assert [letter["redrive_count"] for letter in letters] == [count, count]
    assert sorted(sent) == ["event-1", "event-1", "event-2", "event-2"]


def test_when_the_time_is_short_the_rest_stays_for_the_next_redrive(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(15):
        queues.drop("orders", event="order.created")
    monkeypatch.setattr(reader, "is_time_left", lambda: False)
    first = redrive(desk)[1]["items"][0]
    assert (first["redriven"], first["is_whole"]) == (10, False)
    monkeypatch.setattr(reader, "is_time_left", lambda: True)
    second = redrive(desk)[1]["items"][0]
    assert (second["redriven"], second["is_whole"]) == (5, True)
    assert queues.count("orders") == 15


def test_letters_that_came_from_no_queue_cannot_be_redriven(desk: Desk, queues: Queues) -> None:
    queues.open_dead_end("relay-dlq")
    queues.put("relay-dlq", "{}")
    status, problem = redrive(desk, queue="relay")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:not-redrivable")
    assert queues.count("relay-dlq") == 1


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"dry_run": True}, 422, "nothing-selected"),
        ({"queue": "orders", "dry_run": False}, 422, "note-missing"),
        ({"queue": "orders", "dry_run": False, "note": ""}, 422, "invalid-request"),
        ({"queue": "orders", "max": 0}, 422, "invalid-request"),
        ({"queue": "orders", "max": 501}, 422, "invalid-request"),
        ({"queue": "orders", "ids": ["x"] * 101}, 422, "invalid-request"),
        ({"queue": "orders", "everything": True}, 422, "invalid-request"),
        ({"queue": "nothing"}, 404, "dead-letter-queue-not-found"),
    ],
)
def test_a_redrive_that_is_not_clear_is_refused(
    desk: Desk, queues: Queues, body: dict[str, Any], status: int, problem: str
) -> None:
    queues.drop("orders", event="order.created")
    found, answer = desk.call("POST", "/dlq/redrive", body)
    assert (found, answer["type"]) == (status, f"urn:mercato:problem:{problem}")
    assert (queues.count("orders"), queues.count("orders-dlq"), audit(desk)) == (0, 1, [])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/dlq"), ("GET", "/dlq/orders/messages"), ("GET", "/dlq/orders/redrives"), ("POST", "/dlq/redrive")],
)
def test_only_admins_may(desk: Desk, queues: Queues, method: str, path: str) -> None:
    body = {"queue": "orders", "dry_run": False, "note": NOTE} if method == "POST" else None
    queues.drop("orders", event="order.created")
    assert desk.call(method, path, body, user="cust-1", role="customer")[0] == 403
    assert desk.call(method, path, body, user="")[0] == 401
    assert (queues.count("orders"), queues.count("orders-dlq")) == (0, 1)


def walk(desk: Desk, **body: Any) -> list[dict[str, Any]]:
    """Repeats the call until there is no cursor."""
    answers = [redrive(desk, **body)[1]]
    while answers[-1]["next_cursor"]:
        answers.append(redrive(desk, cursor=answers[-1]["next_cursor"], **body)[1])
    return answers


def test_a_redrive_of_a_large_queue_takes_bounded_calls_sees_all_and_hides_nothing(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "_MOST_EXAMINED", 40)
    for number in range(200):
        queues.drop("orders", event="payment.failed" if number % 10 == 9 else "order.created")
    answers = walk(desk, type="payment.failed")
    examined = [item["examined"] for answer in answers for item in answer["items"]]
    assert max(examined) <= 40
    assert (sum(examined), sum(answer["redriven"] for answer in answers)) == (200, 20)
    assert len(answers) <= 6
    assert (queues.count("orders"), queues.count("orders-dlq")) == (20, 180)


def test_a_scan_hides_what_it_has_seen_until_its_last_call_gives_it_back(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "_MOST_EXAMINED", 50)
    for number in range(70):
        queues.drop("orders", event="payment.failed" if number >= 60 else "order.created")
    first = redrive(desk, type="payment.failed")[1]
    assert first["next_cursor"]
    assert queues.count("orders-dlq") == 20, "what was seen stays hidden until the scan is over"
    second = redrive(desk, type="payment.failed", cursor=first["next_cursor"])[1]
    assert (second["redriven"], second["next_cursor"]) == (10, None)
    assert queues.count("orders-dlq") == 60


def test_a_cursor_is_good_for_its_own_redrive_and_for_ten_minutes(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "_MOST_EXAMINED", 10)
    for _ in range(11):
        queues.drop("orders", event="order.created")
    cursor = redrive(desk, type="nothing")[1]["next_cursor"]
    assert redrive(desk, type="order.created", cursor=cursor)[0] == 400
    assert redrive(desk, type="nothing", cursor="bm9uZQ")[0] == 400
    later = datetime.now(UTC) + timedelta(minutes=11)
    monkeypatch.setattr(api, "utc_now", lambda: later)
    status, problem = redrive(desk, type="nothing", cursor=cursor)
    assert (status, problem["type"]) == (409, "urn:mercato:problem:scan-over")


def test_a_call_that_dies_sends_nothing_twice_and_the_next_scan_ends_the_work(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "_MOST_EXAMINED", 20)
    for number in range(50):
        queues.drop("orders", event="payment.failed" if number % 10 == 9 else "order.created")
    cursor = redrive(desk, type="payment.failed")[1]["next_cursor"]
    with monkeypatch.context() as death:

        def die(*_: object) -> None:
            raise Killed

        death.setattr(ports().scans, "keep", die)
        with pytest.raises(Killed):
            redrive(desk, type="payment.failed", cursor=cursor)
    while cursor:
        cursor = redrive(desk, type="payment.failed", cursor=cursor)[1]["next_cursor"]
    assert (queues.count("orders"), queues.count("orders-dlq")) == (5, 45)
