"""From Step Functions' history to the path of an execution, and its picture."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from mercato.errors import SagaEnd
from ops.sagas.diagram import draw
from ops.sagas.domain import Ending, ending_of
from ops.sagas.machine import Edge, EdgeKind, edges_of
from ops.sagas.steps import Failure, Outcome, Step, steps_of
from ops.sagas.views import MachineView
from tests.conftest import NOON
from tests.kit.template import ROOT

MACHINE: dict[str, Any] = {
    "StartAt": "Reserve",
    "States": {
        "Reserve": {"Type": "Task", "Next": "Done", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Release"}]},
        "Release": {"Type": "Task", "Next": "Which"},
        "Which": {"Type": "Choice", "Choices": [{"Next": "Release"}], "Default": "Gone"},
        "Done": {"Type": "Succeed"},
        "Gone": {"Type": "Fail"},
    },
}


def history(*events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Events one second apart. AWS derives the name of the details from the type."""
    found: list[dict[str, Any]] = []
    for number, (kind, details) in enumerate(events):
        name = "state" + kind[kind.index("State") + 5 :] if "State" in kind else kind[0].lower() + kind[1:]
        found.append({"type": kind, "timestamp": at(number), f"{name}EventDetails": details})
    return found


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def iso(second: int) -> str:
    return f"2026-11-22T12:00:{second:02}.000Z"


def test_a_step_counts_its_tries_and_keeps_each_error_without_its_stack_trace() -> None:
    cause = json.dumps({"errorType": "TransientError", "errorMessage": "the table is away", "stackTrace": ["x"]})
    events = history(
        ("ExecutionStarted", {}),
        ("TaskStateEntered", {"name": "Reserve"}),
        ("LambdaFunctionScheduled", {}),
        ("LambdaFunctionFailed", {"error": "TransientError", "cause": cause}),
        ("LambdaFunctionScheduled", {}),
        ("LambdaFunctionTimedOut", {"error": "States.Timeout"}),
        ("LambdaFunctionScheduled", {}),
        ("LambdaFunctionSucceeded", {}),
        ("TaskStateExited", {"name": "Reserve"}),
        ("SucceedStateEntered", {"name": "Done"}),
        ("SucceedStateExited", {"name": "Done"}),
        ("ExecutionSucceeded", {}),
    )
    failures = [Failure(iso(3), "TransientError", "the table is away"), Failure(iso(5), "States.Timeout", None)]
    assert steps_of(events) == [
        Step("Reserve", "Task", iso(1), iso(8), 3, 0, Outcome.DONE, failures),
        Step("Done", "Succeed", iso(9), iso(10), 0, 0, Outcome.DONE, []),
    ]


def test_a_step_that_an_error_led_out_of_is_told_from_one_that_was_done() -> None:
    events = history(
        ("TaskStateEntered", {"name": "Reserve"}),
        ("TaskScheduled", {}),
        ("TaskFailed", {"error": "OutOfStock", "cause": "no"}),
        ("TaskStateExited", {"name": "Reserve"}),
        ("FailStateEntered", {"name": "Gone"}),
        ("ExecutionFailed", {"error": "OutOfStock", "cause": "no"}),
    )
    caught, ended = steps_of(events)
    assert (caught.outcome, caught.failures) == (Outcome.CAUGHT, [Failure(iso(2), "OutOfStock", "no")])
    assert (ended.outcome, ended.left_at) == (Outcome.FAILED, iso(5))


@pytest.mark.parametrize("end", ["ExecutionAborted", "ExecutionTimedOut"])
def test_an_execution_that_was_ended_from_outside_stopped_in_a_step_and_a_redrive_goes_on_there(end: str) -> None:
    began = [("TaskStateEntered", {"name": "Reserve"}), ("LambdaFunctionScheduled", {})]
    (stopped,) = steps_of(history(*began, (end, {})))
    assert (stopped.outcome, stopped.left_at) == (Outcome.FAILED, iso(2))
    assert [failure.error for failure in stopped.failures] == [end.removeprefix("Execution")]
    (redriven,) = steps_of(history(*began, (end, {}), ("ExecutionRedriven", {}), ("LambdaFunctionScheduled", {})))
    assert (redriven.outcome, redriven.left_at, redriven.tries, redriven.redrives) == (Outcome.RUNNING, None, 2, 1)


def test_the_picture_has_every_edge_and_numbers_those_that_were_taken() -> None:
    steps = [
        Step("Reserve", "Task", iso(0), iso(1), 1, 0, Outcome.CAUGHT, [Failure(iso(1), "OutOfStock", None)]),
        Step("Release", "Task", iso(1), iso(2), 1, 0, Outcome.DONE),
        Step("Which", "Choice", iso(2), iso(2), 0, 0, Outcome.DONE),
        Step("Release", "Task", iso(2), None, 1),
    ]
    lines = [line.strip() for line in draw(MACHINE, steps).splitlines()]
    assert lines[0] == "stateDiagram-v2"
    assert [line for line in lines if "-->" in line] == [
        "[*] --> Reserve: 1",
        "Reserve --> Done",
        "Reserve --> Release: 2",
        "Release --> Which: 3",
        "Which --> Release: 4",
        "Which --> Gone",
        "Done --> [*]",
        "Gone --> [*]",
    ]
    assert [line for line in lines if line.startswith("class ")] == [
        "class Reserve failed",
        "class Release current",
        "class Which taken",
        "class Done untaken",
        "class Gone untaken",
    ]
    assert {line.split()[1] for line in lines if line.startswith("classDef")} == {
        "taken",
        "failed",
        "current",
        "untaken",
    }


def test_the_order_saga_can_be_drawn_with_all_its_states() -> None:
    definition = json.loads((ROOT / "functions/orders/order_saga.asl.json").read_text())
    drawn = draw(definition, [])
    assert all(f"  class {name} untaken\n" in drawn for name in definition["States"])
    assert "  CapturePayment --> CapturePaymentFailed\n" in drawn


@pytest.mark.parametrize("end", SagaEnd)
def test_each_end_of_the_business_is_told_from_a_failure(end: SagaEnd) -> None:
    assert ending_of("failed", end.value) not in (None, Ending.FAILED, Ending.COMPLETED)
    assert ending_of("aborted", end.value) is Ending.FAILED


def test_an_end_that_is_none_of_the_business_is_a_failure() -> None:
    assert ending_of("failed", "TransientError") is Ending.FAILED
    assert ending_of("failed", SagaEnd.RESERVATION_EXPIRED.value) is Ending.EXPIRED


def test_the_machine_is_told_as_data_with_why_each_edge_is_taken() -> None:
    assert edges_of(MACHINE) == [
        Edge("[*]", "Reserve", EdgeKind.NEXT),
        Edge("Reserve", "Done", EdgeKind.NEXT),
        Edge("Reserve", "Release", EdgeKind.CATCH, ("States.ALL",)),
        Edge("Release", "Which", EdgeKind.NEXT),
        Edge("Which", "Release", EdgeKind.CHOICE),
        Edge("Which", "Gone", EdgeKind.DEFAULT),
        Edge("Done", "[*]", EdgeKind.END),
        Edge("Gone", "[*]", EdgeKind.END),
    ]
    steps = [Step("Reserve", "Task", iso(0), iso(1), 1), Step("Release", "Task", iso(1), None, 1)]
    told = MachineView.of(MACHINE, steps)
    assert [(edge.source, edge.target, edge.steps) for edge in told.edges if edge.steps] == [
        ("[*]", "Reserve", [1]),
        ("Reserve", "Release", [2]),
    ]
    assert [step.duration_ms for step in steps] == [1000, None]


def test_the_order_saga_is_told_whole_by_its_own_definition() -> None:
    definition = json.loads((ROOT / "functions/orders/order_saga.asl.json").read_text())
    told = MachineView.of(definition, [])
    assert {state.name for state in told.states} == definition["States"].keys()
    assert {state.name: state.tries for state in told.states}["ReserveInventory"] == 11
    joined = {edge.source for edge in told.edges} | {edge.target for edge in told.edges}
    assert joined == {"[*]", *definition["States"]}, "no state is apart"
    assert {edge.target for edge in told.edges if edge.source == "AuthorizePayment" and edge.errors} == {
        "PaymentWasDeclined",
        "AuthorizePaymentFailed",
    }
