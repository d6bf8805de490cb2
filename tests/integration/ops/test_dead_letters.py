"""Listing dead letters: their number and reasons, without removing any."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from mercato import aws
from tests.integration.ops.conftest import Desk
from tests.integration.ops.queues import Queues
from tests.kit import aws_events


@pytest.fixture
def queues(desk: Desk) -> Queues:
    return Queues()


def test_queues_are_counted_the_fullest_first_and_grouped_by_reason_and_type(desk: Desk, queues: Queues) -> None:
    queues.open("carts", "orders")
    queues.open_dead_end("relay-dlq")
    queues.drop("orders", event="order.created", reason="malformed")
    queues.drop("orders", event="payment.failed", reason="malformed")
    queues.drop("orders", event="payment.failed", reason="order-not-found")

    status, page = desk.call("GET", "/dlq")

    assert (status, page["total"]) == (200, 3)
    shown = [(item["queue"], item["source"], item["messages"], item["in_flight"]) for item in page["items"]]
    assert shown == [
        ("mercato-orders-dlq", "mercato-orders", 3, 0),
        ("mercato-carts-dlq", "mercato-carts", 0, 0),
        ("mercato-relay-dlq", None, 0, 0),
    ]
    sample = page["items"][0]["sample"]
    assert sample.pop("oldest_at")
    assert 0 <= sample.pop("oldest_age_seconds") < 60
    assert sample == {
        "size": 3,
        "is_whole": True,
        "reasons": {"malformed": 2, "order-not-found": 1},
        "types": {"payment.failed": 2, "order.created": 1},
    }
    empty: dict[str, Any] = {
        "size": 0,
        "is_whole": True,
        "oldest_at": None,
        "oldest_age_seconds": None,
        "reasons": {},
        "types": {},
    }
    assert page["items"][1]["sample"] == empty


def test_the_queues_of_a_shop_whose_name_begins_with_this_ones_are_not_shown(desk: Desk, queues: Queues) -> None:
    boto3.client("servicediscovery", "us-east-1").create_http_namespace(Name="mercato-dev")
    queues.open("orders")
    queues.open_dead_end("mercato-dev-orders-dlq", prefix="")

    status, page = desk.call("GET", "/dlq")

    assert (status, [item["queue"] for item in page["items"]]) == (200, ["mercato-orders-dlq"])
    assert desk.call("GET", "/dlq/mercato-dev-orders-dlq")[0] == 404


@pytest.mark.parametrize(
    "refusal",
    [
        ClientError({"Error": {"Code": "RequestThrottled", "Message": "no"}}, "GetQueueAttributes"),
        EndpointConnectionError(endpoint_url="https://sqs.test"),
    ],
)
def test_queues_that_cannot_be_listed_now_are_asked_for_again_later(
    desk: Desk, queues: Queues, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def fail(**_: Any) -> None:
        raise refusal

    queues.open("orders")
    monkeypatch.setattr(aws.client("sqs"), "get_queue_attributes", fail)

    status, answer = desk.call("GET", "/dlq")

    assert (status, answer["type"]) == (503, "urn:mercato:problem:temporarily-unavailable")


def test_looking_takes_nothing_away(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    queues.drop("orders", event="order.created")
    for _ in range(3):
        assert desk.call("GET", "/dlq")[1]["items"][0]["sample"]["size"] == 1
        assert len(desk.call("GET", "/dlq/orders/messages")[1]["items"]) == 1
    assert queues.count("orders-dlq") == 1


def test_a_full_queue_is_sampled_and_says_so(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    for _ in range(55):
        queues.drop("orders", event="order.created")

    (queue,) = desk.call("GET", "/dlq")[1]["items"]

    assert queue["messages"] == 55
    assert (queue["sample"]["size"], queue["sample"]["is_whole"]) == (50, False)
    assert queues.count("orders-dlq") == 55


def test_what_another_holds_is_counted_and_the_sample_is_not_whole(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    queues.drop("orders", event="order.created")
    queues.hold("orders-dlq")

    (queue,) = desk.call("GET", "/dlq")[1]["items"]

    assert (queue["messages"], queue["in_flight"]) == (0, 1)
    assert (queue["sample"]["size"], queue["sample"]["is_whole"]) == (0, False)


def test_no_queues_are_no_dead_letters(desk: Desk) -> None:
    assert desk.call("GET", "/dlq") == (200, {"items": [], "total": 0})


@pytest.mark.parametrize("name", ["orders", "orders-dlq", "mercato-orders-dlq"])
def test_a_letter_says_why_it_is_here_what_it_is_and_what_it_went_through(
    desk: Desk, queues: Queues, name: str
) -> None:
    queues.open("orders")
    told = {"receive_count": "8", "redrive_count": "2", "first_failed_at": "2026-11-20T08:00:00.000Z", "detail": "away"}
    message_id = queues.drop("orders", event="order.created", reason="retries-exhausted", **told)

    status, page = desk.call("GET", f"/dlq/{name}/messages")

    assert (status, page["queue"], page["source"], page["messages"]) == (200, "mercato-orders-dlq", "mercato-orders", 1)
    (letter,) = page["items"]
    assert letter.pop("sent_at")
    assert letter == {
        "message_id": message_id,
        "reason": "retries-exhausted",
        "detail": "away",
        "event_type": "order.created",
        "event_id": "event-1",
        "subject": "subject-1",
        "correlation_id": "request-0001",
        "receive_count": 8,
        "redrive_count": 2,
        "first_failed_at": "2026-11-20T08:00:00.000Z",
        "attributes": told | {"reason": "retries-exhausted"},
        "body": None,
    }


def test_the_body_is_shown_only_to_who_asks_for_it(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    queues.drop("orders", event="order.created")
    (plain,) = desk.call("GET", "/dlq/orders/messages")[1]["items"]
    (full,) = desk.call("GET", "/dlq/orders/messages", with_body="true")[1]["items"]
    assert plain["body"] is None
    assert json.loads(full["body"])["detail"]["id"] == "event-1"


def test_letters_are_chosen_by_type_and_reason(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    wanted = queues.drop("orders", event="payment.failed", reason="malformed")
    queues.drop("orders", event="payment.failed", reason="other")
    queues.drop("orders", event="order.created", reason="malformed")

    page = desk.call("GET", "/dlq/orders/messages", type="payment.failed", reason="malformed")[1]

    assert [letter["message_id"] for letter in page["items"]] == [wanted]
    assert page["sample"]["size"] == 3


Drop = Callable[[Queues], Any]


@pytest.mark.parametrize(
    ("drop", "reason", "detail"),
    [
        (
            lambda queues: queues.put("orders-dlq", '{"detail": {}}', ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="no"),
            "undelivered",
            "NO_PERMISSIONS: no",
        ),
        (
            lambda queues: queues.put(
                "orders-dlq",
                json.dumps(aws_events.stream_failure("arn:stream", "s", "1", "2", 2)),
            ),
            "stream-given-up",
            "RetryAttemptsExhausted of arn:aws:lambda:us-east-1:123456789012:function:shop-relay",
        ),
        (lambda queues: queues.put("orders-dlq", "{}"), "retries-exhausted", "SQS moved it after its last"),
        (lambda queues: queues.put("orders-dlq", "not json"), "retries-exhausted", "SQS moved it"),
        (lambda queues: queues.put("orders-dlq", '[{"detail": 1}]'), "retries-exhausted", "SQS moved it"),
        (lambda queues: queues.put("orders-dlq", '{"detail": [1]}'), "retries-exhausted", "SQS moved it"),
        (lambda queues: queues.put("orders-dlq", "{}", reason="x", redrive_count="many"), "x", ""),
        (lambda queues: queues.put("orders-dlq", "{}", reason="x", first_failed_at="now"), "x", ""),
    ],
)
def test_any_message_can_be_read_whoever_put_it_there(
    desk: Desk, queues: Queues, drop: Drop, reason: str, detail: str
) -> None:
    queues.open("orders")
    drop(queues)
    (letter,) = desk.call("GET", "/dlq/orders/messages")[1]["items"]
    assert (letter["reason"], letter["detail"][: len(detail)]) == (reason, detail)
    assert (letter["event_id"], letter["redrive_count"], letter["first_failed_at"]) == (None, 0, None)


@pytest.mark.parametrize("name", ["nothing", "mercato-orders", "other-orders-dlq"])
def test_only_our_dead_letter_queues_can_be_looked_into(desk: Desk, queues: Queues, name: str) -> None:
    queues.open("orders")
    queues.open_dead_end("other-orders-dlq", prefix="")
    status, problem = desk.call("GET", f"/dlq/{name}/messages")
    assert (status, problem["type"]) == (404, "urn:mercato:problem:dead-letter-queue-not-found")
    assert "mercato-orders-dlq" in problem["detail"]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"kind": "x"}])
def test_a_bad_question_is_refused(desk: Desk, queues: Queues, query: dict[str, str]) -> None:
    queues.open("orders")
    assert desk.call("GET", "/dlq/orders/messages", **query)[0] == 422


def test_a_page_of_large_letters_is_bounded_by_bytes_and_its_cursor_shows_each_once(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    sent = {queues.put("orders-dlq", json.dumps({"detail": {"x": "ä" * 60_000 + "y" * 80_000}})) for _ in range(15)}
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while not pages or pages[-1]["next_cursor"]:
        status, page = desk.call("GET", "/dlq/orders/messages", limit="100", with_body="true", **cursor)
        assert status == 200
        assert len(json.dumps(page)) < 3_000_000
        pages.append(page)
        cursor = {"cursor": page["next_cursor"]}
    shown = [letter["message_id"] for page in pages for letter in page["items"]]
    assert sorted(shown) == sorted(sent)
    assert queues.count("orders-dlq") == 15


def test_a_cursor_goes_on_behind_the_limit_too(desk: Desk, queues: Queues) -> None:
    queues.open("orders")
    for _ in range(45):
        queues.drop("orders", event="order.created")
    first = desk.call("GET", "/dlq/orders/messages", limit="20")[1]
    second = desk.call("GET", "/dlq/orders/messages", limit="30", cursor=first["next_cursor"])[1]
    ids = {letter["message_id"] for page in (first, second) for letter in page["items"]}
    assert (len(ids), second["next_cursor"]) == (45, None)
    assert desk.call("GET", "/dlq/orders/messages", cursor="!")[0] == 422
