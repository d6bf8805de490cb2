"""`mercato saga`, against a fake shop."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from infra.operator.saga import saga
from ops.sagas.domain import Ending, Kind
from tests.unit.local.conftest import FakeOps

FAILURE = {"at": "2026-11-22T12:00:01.500Z", "error": "TransientError", "detail": "the [bold]table[/] is away"}
SAGA: dict[str, Any] = {
    "order_id": "order-1",
    "kind": "order",
    "saga": "order-1",
    "ending": None,
    "execution_arn": "arn",
    "status": "running",
    "started_at": "2026-11-22T12:00:00.000Z",
    "stopped_at": None,
    "error": None,
    "detail": None,
    "parked_step": "RefundPayment",
    "can_redrive": False,
    "redrive_count": 0,
    "steps": [
        {
            "state": "RefundPayment",
            "kind": "Task",
            "entered_at": "2026-11-22T12:00:00.000Z",
            "left_at": "2026-11-22T12:00:02.000Z",
            "tries": 2,
            "redrives": 0,
            "outcome": "caught",
            "failures": [FAILURE],
        },
        {
            "state": "AwaitOperator",
            "kind": "Task",
            "entered_at": "2026-11-22T12:00:02.000Z",
            "left_at": None,
            "tries": 1,
            "redrives": 0,
            "outcome": "running",
            "failures": [],
        },
    ],
    "is_whole": True,
    "diagram": "stateDiagram-v2\n",
    "resumptions": [
        {
            "order_id": "order-1",
            "step": "RefundPayment",
            "action": "retry",
            "reason": "provider is back",
            "operator": "boss",
            "request_id": "r-1",
            "at": "2026-11-22T12:00:03.000Z",
        }
    ],
}
PARKED = {
    "order_id": "order-1",
    "kind": "order",
    "saga": "order-1",
    "step": "RefundPayment",
    "error": "TransientError",
    "cause": "",
    "failed_step": "CapturePayment",
    "reason": "CaptureRefused",
    "parked_at": "2026-11-22T12:00:02.000Z",
    "correlation_id": "r-1",
    "execution_arn": "arn",
}


def run(*words: str) -> Result:
    return CliRunner().invoke(saga, words)


def test_show_draws_each_step_with_its_times_tries_and_errors(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA
    result = run("show", "order-1")
    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.output.splitlines()] == [
        "order order-1  running",
        f"✘  1 RefundPayment      +0.000     2.000 s  {'━' * 32}  2 tries",
        "│    +1.500 TransientError: the [bold]table[/] is away",
        f"◌  2 AwaitOperator      +2.000         …    {' ' * 31}━",
        "2026-11-22T12:00:03.000Z  retry RefundPayment by boss: provider is back",
        'mercato saga resume order-1 --retry --reason "…"',
        'mercato saga resume order-1 --skip RefundPayment --reason "…"',
    ]


def test_show_says_where_to_look_for_a_saga_that_waits_and_is_not_listed(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA | {"parked_step": None}
    told = run("show", "order-1").output
    assert "mercato dlq show parked" in told
    assert "mercato saga resume" not in told
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA | {"parked_step": None, "steps": SAGA["steps"][:1]}
    assert "mercato dlq show parked" not in run("show", "order-1").output


def test_show_gives_the_picture_or_all_of_it(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA
    assert run("show", "order-1", "--mermaid").output == "```mermaid\nstateDiagram-v2\n```\n"
    assert json.loads(run("show", "order-1", "--json").output) == [SAGA]


@pytest.mark.parametrize("asked", ["order-1", "order-1.cancellation"])
def test_a_cancellation_is_shown_beside_the_order_or_alone(ops: FakeOps, asked: str) -> None:
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA
    ops.answers["GET", "/sagas/order-1.cancellation"] = (
        200,
        SAGA
        | {
            "saga": "order-1.cancellation",
            "kind": "cancellation",
        },
    )
    told = [line for line in run("show", asked).output.splitlines() if line.endswith("  running")]
    assert told == ["order order-1  running", "cancellation order-1.cancellation  running"][asked != "order-1" :]


def test_an_order_that_was_cancelled_before_it_began_has_its_cancellation_alone(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-1.cancellation"] = 200, SAGA
    assert run("show", "order-1").exit_code == 0


def test_a_workflow_that_failed_itself_says_what_to_do(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA | {"status": "aborted", "can_redrive": True}
    assert "mercato saga redrive order-1 --reason" in run("show", "order-1").output


def test_a_saga_that_undid_its_order_says_that_this_is_its_end(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-1"] = 200, SAGA | {"status": "failed"}
    assert "the order was undone" in run("show", "order-1").output


def test_an_order_without_a_saga_is_told_in_the_shops_words(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas/order-9"] = 404, {"detail": "There is no saga for this order."}
    ops.answers["GET", "/sagas/order-9.cancellation"] = ops.answers["GET", "/sagas/order-9"]
    result = run("show", "order-9")
    assert (result.exit_code, result.output) == (1, "Error: There is no saga for this order.\n")


def test_a_fault_of_the_shops_is_told_with_the_id_to_look_it_up_by(ops: FakeOps) -> None:
    ops.answers["POST", "/sagas/order-1/resume"] = 500, {"detail": "We have logged it.", "request_id": "req-12345678"}
    result = run("resume", "order-1", "--retry", "--reason", "provider is back")
    assert (result.exit_code, result.output) == (1, "Error: We have logged it. Request id: req-12345678\n")


def test_list_shows_what_is_parked_and_why(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas"] = 200, {"items": [PARKED], "next_cursor": None}
    assert run("list", "--parked").output.splitlines() == [
        "order    stuck in       since                     error           undone because",
        "order-1  RefundPayment  2026-11-22T12:00:02.000Z  TransientError  CapturePayment: CaptureRefused",
        'mercato saga resume order-1 --retry --reason "…"',
        'mercato saga resume order-1 --skip RefundPayment --reason "…"',
    ]
    assert dict(ops.requests[-1].url.params)["status"] == "parked"


@pytest.mark.parametrize(("words", "status"), [((), "all"), (("--status", "failed"), "failed")])
def test_list_shows_executions_by_their_state(ops: FakeOps, words: tuple[str, ...], status: str) -> None:
    ops.answers["GET", "/sagas"] = 200, {"items": [SAGA], "next_cursor": "more"}
    result = run("list", *words)
    assert dict(ops.requests[-1].url.params)["status"] == status
    assert "order-1  running" in result.output
    assert "there are more" in result.output


@pytest.mark.parametrize(
    ("limit", "answer"),
    [
        ("150", "none of the 150 sagas that were read; there are more: raise --limit"),
        ("250", "order-1  running  order  –       2026-11-22T12:00:00.000Z  –"),
    ],
)
def test_list_reads_on_where_no_saga_of_a_page_is_like_that(ops: FakeOps, limit: str, answer: str) -> None:
    ops.answers["GET", "/sagas"] = 200, {"items": [], "next_cursor": "second"}
    ops.answers["GET", "/sagas?cursor=second"] = 200, {"items": [], "next_cursor": "third"}
    ops.answers["GET", "/sagas?cursor=third"] = 200, {"items": [SAGA], "next_cursor": None}
    result = run("list", "--status", "failed", "--ending", "failed", "--limit", limit)
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, answer)
    assert sum(int(request.url.params["limit"]) for request in ops.requests) == int(limit)


def test_list_without_any_saga_says_so(ops: FakeOps) -> None:
    ops.answers["GET", "/sagas"] = 200, {"items": [], "next_cursor": None}
    assert run("list", "--ending", "failed").output == "no saga\n"
    assert run("list", "--parked").output == "no saga is parked\n"


@pytest.mark.parametrize(
    ("words", "sent"),
    [(("--retry",), {"action": "retry"}), (("--skip", "RefundPayment"), {"action": "skip", "step": "RefundPayment"})],
)
def test_resume_sends_the_action_the_step_and_the_reason(
    ops: FakeOps, words: tuple[str, ...], sent: dict[str, str]
) -> None:
    ops.answers["POST", "/sagas/order-1/resume"] = 200, SAGA["resumptions"][0] | {"action": sent["action"]}
    result = run("resume", "order-1", *words, "--reason", "provider is back")
    assert result.exit_code == 0
    assert json.loads(ops.requests[-1].content) == sent | {"reason": "provider is back"}
    assert result.output.startswith(f"{sent['action']} RefundPayment of order order-1: sent.")


def test_what_is_parked_elsewhere_by_now_is_told_and_nothing_is_done(ops: FakeOps) -> None:
    said = "This saga is parked in ReleaseInventory, not in RefundPayment: look again before resuming it."
    ops.answers["POST", "/sagas/order-1/resume"] = 409, {"detail": said}
    result = run("resume", "order-1", "--skip", "RefundPayment", "--reason", "refunded by hand")
    assert (result.exit_code, result.output) == (1, f"Error: {said}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "order-1", "--retry"),
        ("resume", "order-1", "--reason", "why"),
        ("resume", "order-1", "--skip", "--reason", "why"),
        ("resume", "order-1", "--retry", "--skip", "RefundPayment", "--reason", "why"),
        ("redrive", "order-1"),
        ("list", "--parked", "--status", "failed"),
        ("list", "--parked", "--ending", "failed"),
    ],
)
def test_what_is_not_said_is_not_guessed(ops: FakeOps, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
    assert ops.requests == []


def test_redrive_sends_the_reason(ops: FakeOps) -> None:
    ops.answers["POST", "/sagas/order-1/redrive"] = 200, SAGA["resumptions"][0] | {"action": "redrive"}
    result = run("redrive", "order-1", "--reason", "stopped by mistake")
    assert json.loads(ops.requests[-1].content) == {"reason": "stopped by mistake"}
    assert result.output.startswith("redriven from RefundPayment: order order-1.")


@pytest.mark.parametrize(("option", "values"), [("--kind", Kind), ("--ending", Ending)])
def test_the_list_can_be_asked_for_each_kind_and_ending(option: str, values: type[StrEnum]) -> None:
    [parameter] = [found for found in saga.commands["list"].params if option in found.opts]
    assert isinstance(parameter.type, click.Choice)
    assert set(parameter.type.choices) == set(values)
