"""`mercato dlq`, against a fake shop."""

from __future__ import annotations

import json
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from infra.operator import dlq
from tests.unit.local.conftest import FakeOps

LETTER: dict[str, Any] = {
    "message_id": "message-1",
    "reason": "malformed",
    "detail": "order_id: [bold]Field required[/]",
    "event_type": "order.created",
    "event_id": "event-1",
    "subject": "order-1",
    "correlation_id": "request-0001",
    "receive_count": 8,
    "redrive_count": 2,
    "first_failed_at": None,
    "sent_at": "2026-11-22T12:00:00.000Z",
    "attributes": {},
    "body": "{}",
}
SAMPLE = {"size": 1, "is_whole": False, "oldest_at": "x", "oldest_age_seconds": 7300, "reasons": {"malformed": 1}}
RESULT: dict[str, Any] = {
    "queue": "mercato-orders-dlq",
    "examined": 3,
    "matched": 1,
    "redriven": 0,
    "left_behind": 0,
    "failure": None,
    "is_whole": True,
    "letters": [LETTER],
}


def run(*words: str) -> Result:
    return CliRunner().invoke(dlq.dlq, words)


def test_list_shows_each_queue_and_marks_a_sample(ops: FakeOps) -> None:
    queue = {"queue": "mercato-orders-dlq", "source": "mercato-orders", "messages": 70, "in_flight": 1}
    ops.answers["GET", "/dlq"] = 200, {"items": [queue | {"sample": SAMPLE}], "total": 70}
    result = run("list")
    assert result.exit_code == 0
    (line,) = [line for line in result.output.splitlines() if "mercato-orders-dlq" in line]
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert cells == ["mercato-orders-dlq", "mercato-orders", "70", "1", "2 h", "~ 1 × malformed"]


def test_show_tells_why_a_letter_is_there_and_what_it_went_through(ops: FakeOps) -> None:
    page = {"queue": "mercato-orders-dlq", "source": "s", "messages": 1, "sample": SAMPLE, "items": [LETTER]}
    ops.answers["GET", "/dlq/orders/messages"] = 200, page
    result = run("show", "orders", "--reason", "malformed")
    assert result.exit_code == 0
    for text in ("order.created", "message message-1", "correlation request-0001", "8 tries, 2 redrives", "[bold]"):
        assert text in result.output
    assert dict(ops.requests[0].url.params) == {"limit": "20", "reason": "malformed"}


def test_redrive_is_a_dry_run_unless_told_to_send(ops: FakeOps) -> None:
    ops.answers["POST", "/dlq/redrive"] = 200, {"dry_run": True, "matched": 1, "redriven": 0, "items": [RESULT]}
    result = run("redrive", "orders", "--type", "order.created", "--max", "5")
    assert result.exit_code == 0
    assert json.loads(ops.requests[0].content) == {
        "queue": "orders",
        "type": "order.created",
        "ids": [],
        "max": 5,
        "dry_run": True,
    }
    assert "mercato-orders-dlq: looked at 3, 1 would go back" in result.output
    assert "a dry run: nothing was sent" in result.output


def test_to_send_says_why_and_a_fault_ends_with_status_1(ops: FakeOps) -> None:
    failed = RESULT | {"redriven": 1, "left_behind": 1, "failure": "SQS is away", "is_whole": False}
    ops.answers["POST", "/dlq/redrive"] = 200, {"dry_run": False, "matched": 1, "redriven": 1, "items": [failed]}
    result = run("redrive", "orders", "--id", "a", "--id", "b", "--send", "--note", "mended")
    assert result.exit_code == 1
    sent = json.loads(ops.requests[0].content)
    assert (sent["ids"], sent["dry_run"], sent["note"]) == (["a", "b"], False, "mended")
    assert "looked at 3, 1 redriven; 1 sent but still here; stopped: SQS is away" in result.output


def test_what_was_sent_is_told_where_a_later_call_fails(ops: FakeOps, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"matched": 1, "items": [RESULT | {"redriven": 1, "is_whole": False}], "next_cursor": "more"}
    _answer_in_turn(ops, monkeypatch, (200, first), (503, {"detail": "The table does not answer."}))
    result = run("redrive", "orders", "--send", "--note", "the table is back")
    assert result.exit_code == 1
    assert "mercato-orders-dlq: looked at 3, 1 redriven" in result.output
    assert "run it again" in result.output
    assert result.output.endswith("Error: The table does not answer.\n")


def test_a_fault_of_an_earlier_call_ends_with_status_1(ops: FakeOps, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"items": [RESULT | {"failure": "SQS does not take it"}], "matched": 1, "next_cursor": "more"}
    last = {"items": [RESULT | {"examined": 0, "matched": 0, "letters": []}], "matched": 0, "next_cursor": None}
    _answer_in_turn(ops, monkeypatch, (200, first), (200, last))
    result = run("redrive", "orders", "--send", "--note", "the table is back")
    assert (result.exit_code, "stopped: SQS does not take it" in result.output) == (1, True)


def _answer_in_turn(ops: FakeOps, monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, Any]) -> None:
    left, handle = iter(answers), ops.handle

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/ops/dlq/redrive":
            ops.answers["POST", "/dlq/redrive"] = next(left)
        return handle(request)

    monkeypatch.setattr(ops, "handle", answer)


def test_nothing_is_asked_of_the_shop_without_a_note(ops: FakeOps) -> None:
    result = run("redrive", "orders", "--send")
    assert result.exit_code == 2
    assert "--note" in result.output
    assert ops.requests == []


def test_a_refusal_is_told_in_the_shops_own_words(ops: FakeOps) -> None:
    problem = {"type": "urn:mercato:problem:dead-letter-queue-not-found", "detail": "There is no dead-letter queue x."}
    ops.answers["GET", "/dlq/x/messages"] = 404, problem
    result = run("show", "x")
    assert (result.exit_code, result.output) == (1, "Error: There is no dead-letter queue x.\n")


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (5, "5 s"), (125, "2 min"), (7300, "2 h"), (200_000, "2 d")])
def test_an_age_is_told_in_its_largest_unit(seconds: int | None, text: str) -> None:
    assert dlq._age(seconds) == text


@pytest.mark.parametrize("command", ["list", "show", "redrive"])
def test_every_command_explains_itself(command: str) -> None:
    assert isinstance(dlq.dlq.commands[command], click.Command)
    assert len(dlq.dlq.commands[command].help or "") > 100
