"""The tree of a request, from invented log lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from infra.operator.trace import printing
from infra.operator.trace.lines import Line, function_of, lines_of, query_lines, read_line
from infra.operator.trace.tree import Kind, Node, trees_of
from infra.trouble import Trouble

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def line(ms: int, function: str, message: str, span: str, parent: str = "", **fields: Any) -> Line:
    ids = {"correlation_id": "request-0001", "trace_id": TRACE, "span_id": span}
    ids |= {"parent_id": parent} if parent else {}
    service = {"service": function.lower(), "level": "INFO", "message": message}
    return Line(NOON + timedelta(milliseconds=ms), function, ids | service | fields)


STORY = [
    line(40, "Products", "request", "b", "call-1", method="POST", path="/api/products/lookup", status=200),
    line(50, "Orders", "peer called", "a", peer="products", method="POST", path="/l", call_id="call-1", status=200),
    line(60, "Orders", "request", "a", "from-outside", method="POST", path="/api/orders", status=202, elapsed_ms=60),
    line(90, "Relay", "event published", "a", event_id="e1", event_type="order.created", subject="o1"),
    line(120, "Carts", "event consumed", "c", "a", causation_id="e1", event_type="order.created", elapsed_ms=5),
    line(130, "Orders", "event consumed", "d", "a", causation_id="e1", event_type="order.created", elapsed_ms=5),
    line(200, "Payments", "saga step refused", "s", "d", task="AuthorizePayment", reason="declined", elapsed_ms=20),
    line(230, "Relay", "event published", "s", event_id="e2", event_type="payment.failed", subject="p1"),
    line(260, "Notifications", "e-mail sent", "n", "s", causation_id="e2", kind="payment_failed", user_id="u1"),
    line(270, "Notifications", "event consumed", "n", "s", causation_id="e2", event_type="payment.failed"),
]


def outline(node: Node) -> Any:
    return (f"{node.kind} {node.what}", [outline(child) for child in node.children])


def test_a_story_is_one_tree_from_the_request_to_the_last_mail() -> None:
    (root,) = trees_of(STORY)

    assert outline(root) == (
        "request POST /api/orders",
        [
            ("call products: POST /l", [("request POST /api/products/lookup", [])]),
            (
                "event order.created o1",
                [
                    ("consumer carts consumes order.created", []),
                    (
                        "consumer orders consumes order.created",
                        [
                            (
                                "step AuthorizePayment",
                                [
                                    (
                                        "event payment.failed p1",
                                        [
                                            (
                                                "consumer notifications consumes payment.failed",
                                                [("e-mail payment_failed to user u1", [])],
                                            )
                                        ],
                                    )
                                ],
                            )
                        ],
                    ),
                ],
            ),
        ],
    )


def test_each_part_says_when_it_began_how_long_it_took_and_how_it_ended() -> None:
    (root,) = trees_of(STORY)
    parts = {node.what: node for node in root.walk()}

    assert (root.at, root.duration_ms, root.result, root.ok) == (NOON, 60, "202", True)
    step = parts["AuthorizePayment"]
    assert (step.at, step.ok) == (NOON + timedelta(milliseconds=180), False)
    assert step.result == "saga step refused: declined"
    assert root.ids == {"trace_id": TRACE, "parent_id": "from-outside", "span_id": "a"}


def test_the_order_of_the_lines_does_not_matter() -> None:
    assert [outline(root) for root in trees_of(STORY[::-1])] == [outline(root) for root in trees_of(STORY)]


def test_each_attempt_on_an_event_stands_below_it() -> None:
    again = line(500, "Carts", "event consumed", "c2", "a", causation_id="e1", event_type="order.created")
    failed = line(
        110, "Carts", "event will be retried", "c1", "a", causation_id="e1", event_type="order.created", reason="away"
    )
    (root,) = trees_of([*STORY[2:4], failed, again])

    (event,) = root.children
    assert [(child.ok, child.result) for child in event.children] == [
        (False, "event will be retried: away"),
        (True, ""),
    ]


def test_a_peer_that_does_not_answer_is_a_call_that_is_not_well() -> None:
    down = line(
        50, "Orders", "peer called", "a", peer="products", method="GET", path="/x", call_id="k", reason="refused"
    )
    (root,) = trees_of([down, line(60, "Orders", "request", "a", method="POST", path="/api/orders", status=503)])

    (call,) = root.children
    assert (call.ok, call.result) == (False, "refused")
    assert not root.ok


def test_what_has_lost_its_parent_is_told_all_the_same() -> None:
    roots = trees_of(
        [line(10, "Carts", "event consumed", "x", "unknown", causation_id="gone", event_type="order.created")]
    )

    assert [outline(root) for root in roots] == [("consumer carts consumes order.created", [])]


def test_other_lines_are_notes_of_the_work_they_belong_to() -> None:
    warning = line(55, "Orders", "no instance is healthy, using all", "a", peer="products")
    (root,) = trees_of([warning, STORY[2]])

    assert root.notes == ["info: no instance is healthy, using all · products"]


def test_an_event_that_was_published_twice_is_told_once_at_its_first_time() -> None:
    twice = line(400, "Relay", "event published", "a", event_id="e1", event_type="order.created", subject="o1")
    (root,) = trees_of([STORY[2], STORY[3], twice])

    assert [(child.what, child.at) for child in root.children] == [
        ("order.created o1", NOON + timedelta(milliseconds=90))
    ]


def test_the_told_tree_names_everything_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    printing.show(Console(width=200), "request-0001", trees_of(STORY))

    told = capsys.readouterr().out
    wanted = ["POST /api/orders", "products: POST", "order.created", "AuthorizePayment", "payment_failed to user u1"]
    places = [told.index(text) for text in wanted]
    assert places == sorted(places)
    assert "6 hops, 2 requests, 1 saga steps, 2 events, 1 e-mails, 1 failed; 0.270 s from first to last" in told


def test_the_json_holds_every_id() -> None:
    (root,) = trees_of(STORY)

    found = root.as_dict()
    assert found["span_id"] == "a"
    assert [child["kind"] for child in found["children"]] == [Kind.CALL, Kind.EVENT]
    assert found["children"][0]["children"][0]["parent_id"] == "call-1"
    assert found["children"][1]["event_id"] == "e1"


@pytest.mark.parametrize("text", ["START RequestId: 1", "[]", "{}", '"x"', '{"timestamp": 1}', '{"timestamp": "noon"}'])
def test_what_is_not_a_line_of_ours_is_passed_over(text: str) -> None:
    assert read_line(text, "OrdersApi") is None


def test_a_function_has_its_name_without_the_stack_s() -> None:
    assert function_of("/aws/lambda/mercato-prod-orders-api", "mercato-prod") == "orders-api"


class Pages:
    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = pages

    def paginate(self, **_: Any) -> tuple[dict[str, Any], ...]:
        return self.pages


class Logs:
    """Two log groups. The pattern matches the id anywhere in a line, as CloudWatch does."""

    def get_paginator(self, operation: str) -> Pages:
        if operation == "describe_log_groups":
            return Pages(*({"logGroups": [{"logGroupName": f"/aws/lambda/shop-{name}"}]} for name in ("A", "B")))
        told = '{"timestamp": "2026-11-22T12:00:00.000+00:00", "correlation_id": "%s", "reason": "request-0001"}'
        return Pages({"events": [{"message": told % "request-0001"}]}, {"events": [{"message": told % "request-0002"}]})


def test_only_the_lines_of_this_request_are_taken_from_every_group_and_page() -> None:
    found = lines_of(Logs(), "shop", "request-0001")

    assert [(one.function, one.text("correlation_id")) for one in found] == [
        ("A", "request-0001"),
        ("B", "request-0001"),
    ]


SINCE, UNTIL = datetime(2026, 11, 22, 11, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def insights(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Stubber]]:
    """CloudWatch Logs with the test's responses, checked against AWS's model. All of them must be requested."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    logs = boto3.session.Session().client("logs", "eu-west-1")
    with Stubber(logs) as stub:
        yield logs, stub
        stub.assert_no_pending_responses()


def asks(stub: Stubber, groups: int, *answers: dict[str, Any]) -> None:
    names = [f"/aws/lambda/shop-f{number}" for number in range(groups)]
    stub.add_response("describe_log_groups", {"logGroups": [{"logGroupName": name} for name in names]})
    for start in range(0, groups, 50):
        wanted = {
            "logGroupNames": names[start : start + 50],
            "startTime": int(SINCE.timestamp()),
            "endTime": int(UNTIL.timestamp()) + 1,
            "queryString": "fields @message, @log | filter @message like /request\\-0001/ "
            '| filter correlation_id = "request-0001" | sort @timestamp asc | limit 10000',
        }
        stub.add_response("start_query", {"queryId": "q-1"}, wanted)
        for answer in answers:
            stub.add_response("get_query_results", answer)


def row(message: str) -> list[dict[str, str]]:
    return [
        {"field": "@message", "value": message},
        {"field": "@log", "value": "123456789012:/aws/lambda/shop-orders-api"},
    ]


def test_on_aws_a_query_reads_all_groups_and_is_waited_for(insights: tuple[Any, Stubber]) -> None:
    logs, stub = insights
    told = '{"timestamp": "2026-11-22T11:30:00.000+00:00", "correlation_id": "request-0001", "message": "request"}'
    running = {"status": "Running", "results": []}
    other = told.replace('"request-0001"', '"another"').replace('"request"', '"after request-0001"')
    asks(stub, 60, running, {"status": "Complete", "results": [row(told), row(other), row("START RequestId: 1")]})
    slept: list[float] = []

    found = query_lines(logs, "shop", "request-0001", SINCE, UNTIL, slept.append)

    assert [(one.function, one.message) for one in found] == [("orders-api", "request")] * 2  # one of each query
    assert len(slept) == 2


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout", "Unknown"])
def test_a_query_that_fails_is_told(insights: tuple[Any, Stubber], status: str) -> None:
    logs, stub = insights
    asks(stub, 1, {"status": status, "results": []})
    with pytest.raises(Trouble, match=f"answers {status}"):
        query_lines(logs, "shop", "request-0001", SINCE, UNTIL)


def test_a_story_that_is_not_whole_is_not_shown(insights: tuple[Any, Stubber]) -> None:
    logs, stub = insights
    asks(stub, 1, {"status": "Complete", "results": [row("x")] * 10_000})
    with pytest.raises(Trouble, match="more than 10,000 lines"):
        query_lines(logs, "shop", "request-0001", SINCE, UNTIL)
