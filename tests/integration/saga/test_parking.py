"""How the state machine parks an undo that fails, with doubles for the functions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.saga.conftest import Double
from tests.integration.saga.steps import UNDONE, script, up_to
from tests.kit.state_machine import ORDER, World, failing

STUCK = [
    ("ConfirmOrder", "VoidPayment"),
    ("CapturePayment", "StopShipment"),
    ("CapturePayment", "RefundPayment"),
    ("ReserveInventory", "ReleaseInventory"),
    ("ReserveInventory", "CancelOrder"),
]


@pytest.mark.parametrize(("step", "undo"), STUCK)
def test_a_stuck_undo_is_parked_and_retry_does_it_again(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], step: str, undo: str
) -> None:
    script(doubles, step, failing("KeyError"))
    script(doubles, undo, failing("ValueError", "broken"))
    execution = world.start(saga_input)
    parked = world.parked()
    before = UNDONE[step][: UNDONE[step].index(undo) + 1]
    assert world.calls == [*up_to(step), *before, "MarkNeedsAttention"]
    world.resume(parked, "retry")
    ended = world.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "KeyError")
    assert world.calls == [*up_to(step), *before, "MarkNeedsAttention", *UNDONE[step][UNDONE[step].index(undo) :]]


@pytest.mark.parametrize(("step", "undo"), STUCK)
def test_a_stuck_undo_that_is_skipped_goes_on_with_the_next_and_payments_hears_of_it(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], step: str, undo: str
) -> None:
    script(doubles, step, failing("KeyError"))
    script(doubles, undo, failing("ValueError", "broken"))
    execution = world.start(saga_input)
    world.resume(world.parked(), "skip")
    assert world.finish(execution)["error"] == "KeyError"
    assert world.calls == [
        *up_to(step),
        *UNDONE[step][: UNDONE[step].index(undo) + 1],
        "MarkNeedsAttention",
        *(["WriteOffRefund"] if undo in ("VoidPayment", "RefundPayment") else []),
        *UNDONE[step][UNDONE[step].index(undo) + 1 :],
    ]


@pytest.mark.parametrize(("step", "undo"), [("ConfirmOrder", "VoidPayment"), ("CapturePayment", "RefundPayment")])
@pytest.mark.parametrize("answer", ["retry", "skip"])
def test_a_write_off_that_fails_parks_again_with_the_step_that_was_skipped(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], step: str, undo: str, answer: str
) -> None:
    script(doubles, step, failing("KeyError"))
    script(doubles, undo, failing("ValueError", "broken"))
    script(doubles, "WriteOffRefund", *[failing("TransientError", "away")] * 7)
    execution = world.start(saga_input)
    world.resume(world.parked(), "skip")
    again = world.parked()
    assert (again["step"], again["error"]["Error"], again["reason"]) == (undo, "TransientError", "KeyError")
    assert world.calls.count("WriteOffRefund") == 7
    assert world.inputs("MarkNeedsAttention")[1] == {"order_id": ORDER, "step": undo, "error": again["error"]}
    world.resume(again, answer)
    assert world.finish(execution)["error"] == "KeyError"
    tried = undo if answer == "retry" else "WriteOffRefund"
    assert world.calls[-4:] == ["MarkNeedsAttention", tried, "ReleaseInventory", "CancelOrder"]
    assert world.inputs("WriteOffRefund")[0] == {"order_id": ORDER, "reason": "KeyError"}


def test_the_parked_message_tells_the_operator_all(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "ReserveInventory", failing("OutOfStock"))
    script(doubles, "ReleaseInventory", failing("ValueError", "broken"))
    execution = world.start(saga_input)
    parked = world.parked()
    assert parked["order_id"] == ORDER
    assert (parked["step"], parked["failed_step"], parked["reason"]) == (
        "ReleaseInventory",
        "ReserveInventory",
        "OutOfStock",
    )
    assert parked["error"]["Error"] == "ValueError"
    assert json.loads(parked["error"]["Cause"])["errorMessage"] == "broken"
    assert parked["execution_arn"] == execution
    assert parked["correlation_id"] == "req-12345678"
    assert parked["task_token"]
    assert parked["parked_at"]
    assert "payment_token" not in parked
    assert world.inputs("MarkNeedsAttention") == [
        {"order_id": ORDER, "step": "ReleaseInventory", "error": parked["error"]}
    ]
    world.resume(parked, "skip")
    world.finish(execution)


def test_an_undo_that_fails_again_after_a_retry_parks_again_with_a_new_token(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "ReserveInventory", failing("OutOfStock"))
    script(doubles, "ReleaseInventory", failing("ValueError", "first"), failing("ValueError", "second"))
    execution = world.start(saga_input)
    first = world.parked()
    world.resume(first, "retry")
    second = world.parked()
    assert second["task_token"] != first["task_token"]
    assert json.loads(second["error"]["Cause"])["errorMessage"] == "second"
    world.resume(second, "retry")
    assert world.finish(execution)["error"] == "OutOfStock"
    assert world.calls.count("ReleaseInventory") == 3
    assert world.calls.count("CancelOrder") == 1


def test_two_stuck_undos_park_one_after_the_other(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "CapturePayment", failing("CaptureRefused"))
    script(doubles, "RefundPayment", failing("ValueError"))
    script(doubles, "ReleaseInventory", failing("KeyError"))
    execution = world.start(saga_input)
    first = world.parked()
    world.resume(first, "skip")
    second = world.parked()
    assert (first["step"], second["step"]) == ("RefundPayment", "ReleaseInventory")
    assert second["error"]["Error"] == "KeyError"
    world.resume(second, "retry")
    assert world.finish(execution)["error"] == "CaptureRefused"


def test_parking_does_not_depend_on_marking_the_order(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "ReserveInventory", failing("OutOfStock"))
    script(doubles, "ReleaseInventory", failing("ValueError"))
    script(doubles, "MarkNeedsAttention", failing("KeyError"))
    execution = world.start(saga_input)
    world.resume(world.parked(), "retry")
    assert world.finish(execution)["error"] == "OutOfStock"


@pytest.mark.parametrize("answer", ["explode", ""])
def test_an_answer_that_is_neither_retry_nor_skip_parks_again(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], answer: str
) -> None:
    script(doubles, "ReserveInventory", failing("OutOfStock"))
    script(doubles, "ReleaseInventory", failing("ValueError"))
    execution = world.start(saga_input)
    world.resume(world.parked(), answer)
    world.resume(world.parked(), "skip")
    assert world.finish(execution)["error"] == "OutOfStock"
    assert world.calls.count("ReleaseInventory") == 1
