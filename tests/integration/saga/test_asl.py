"""The state machine's steps and their undo, with doubles for the functions."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.integration.saga.conftest import Double
from tests.integration.saga.steps import FORWARD, TRANSIENT, UNDONE, script, up_to
from tests.kit.state_machine import ORDER, World, failing


def test_a_good_order_takes_four_steps_and_undoes_nothing(world: World, saga_input: dict[str, Any]) -> None:
    assert world.run(saga_input)["status"] == "SUCCEEDED"
    assert world.calls == FORWARD


def test_every_task_gets_its_contract_and_the_correlation(world: World, saga_input: dict[str, Any]) -> None:
    world.run(saga_input)
    assert [payload["input"] for payload in world.payloads] == [
        {"order_id": ORDER, "lines": saga_input["lines"]},
        {
            "order_id": ORDER,
            "customer_id": "cust-1",
            "amount": saga_input["total"],
            "payment_token": "tok_ok",
            "order": saga_input | {"reservation": {}},
        },
        {"order_id": ORDER},
        {"order_id": ORDER, "payment_id": "pay-1"},
        {"order_id": ORDER},
    ]
    assert {payload["correlation_id"] for payload in world.payloads} == {"req-12345678"}
    assert {payload["traceparent"] for payload in world.payloads} == {saga_input["traceparent"]}


@pytest.mark.parametrize(
    ("step", "error", "undone"),
    [
        ("ReserveInventory", "OutOfStock", ["ReleaseInventory", "CancelOrder"]),
        ("ReserveInventory", "UnknownProduct", ["ReleaseInventory", "CancelOrder"]),
        ("AuthorizePayment", "PaymentDeclined", ["ReleaseInventory", "CancelOrder"]),
        ("KeepReservation", "ReservationExpired", UNDONE["KeepReservation"]),
        ("ConfirmOrder", "OrderNotConfirmable", UNDONE["ConfirmOrder"]),
        ("CapturePayment", "CaptureRefused", UNDONE["CapturePayment"]),
    ],
)
def test_a_business_error_is_not_retried_and_is_undone_in_reverse(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], step: str, error: str, undone: list[str]
) -> None:
    script(doubles, step, failing(error, "said no"))
    ended = world.run(saga_input)
    assert world.calls == up_to(step) + undone
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert json.loads(ended["cause"])["errorMessage"] == "said no"


@pytest.mark.parametrize("step", FORWARD)
def test_an_unknown_error_in_any_step_is_undone_too(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], step: str
) -> None:
    script(doubles, step, failing("KeyError"))
    ended = world.run(saga_input)
    assert world.calls == up_to(step) + UNDONE[step]
    assert (ended["status"], ended["error"]) == ("FAILED", "KeyError")


@pytest.mark.parametrize("error", TRANSIENT)
def test_a_transient_error_is_cured_by_trying_again(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], error: str
) -> None:
    script(doubles, "AuthorizePayment", failing(error), failing(error), {"payment_id": "pay-1"})
    assert world.run(saga_input)["status"] == "SUCCEEDED"
    assert world.calls == ["ReserveInventory", *["AuthorizePayment"] * 3, *FORWARD[2:]]


def test_a_task_that_never_answers_is_timed_out_and_tried_again(world: World, saga_input: dict[str, Any]) -> None:
    stuck, answer = threading.Event(), world.handlers["OrdersSaga"]

    def hang_once(payload: dict[str, Any]) -> Any:
        if world.calls.count("ConfirmOrder") == 1:
            world.times_out.set()
            stuck.wait()
        return answer(payload)

    world.handlers["OrdersSaga"] = hang_once
    try:
        assert world.run(saga_input)["status"] == "SUCCEEDED"
    finally:
        stuck.set()
    assert world.calls == [*up_to("ConfirmOrder"), "ConfirmOrder", "CapturePayment"]


@pytest.mark.parametrize("step", FORWARD)
def test_a_step_that_stays_away_is_tried_four_times_and_then_undone(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], step: str
) -> None:
    script(doubles, step, *[failing("TransientError", "away")] * 10)
    ended = world.run(saga_input)
    assert world.calls == up_to(step) + [step] * 3 + UNDONE[step]
    assert (ended["status"], ended["error"]) == ("FAILED", "TransientError")


def test_throttling_by_lambda_is_tried_eleven_times(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "ReserveInventory", *[failing("Lambda.TooManyRequestsException")] * 10)
    assert world.run(saga_input)["status"] == "SUCCEEDED"
    assert world.calls == ["ReserveInventory"] * 11 + FORWARD[1:]


def test_goods_that_have_left_were_paid_for_and_nothing_is_undone(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "CapturePayment", failing("Runtime.Unknown"))
    script(doubles, "StopShipment", failing("AlreadyDispatched"))
    assert world.run(saga_input)["status"] == "SUCCEEDED"
    assert world.calls == [*FORWARD, "StopShipment"]


def test_undoing_hears_of_the_step_and_the_error(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any]
) -> None:
    script(doubles, "CapturePayment", failing("CaptureRefused", "expired"))
    world.run(saga_input)
    assert world.inputs("StopShipment") == [{"order_id": ORDER, "customer_id": "cust-1"}]
    assert world.inputs("RefundPayment") == [{"order_id": ORDER, "reason": "CaptureRefused"}]
    assert world.inputs("ReleaseInventory") == [{"order_id": ORDER, "reason": "CaptureRefused"}]
    (cancel,) = world.inputs("CancelOrder")
    assert (cancel["order_id"], cancel["step"], cancel["error"]["Error"]) == (ORDER, "CapturePayment", "CaptureRefused")
    assert json.loads(cancel["error"]["Cause"])["errorMessage"] == "expired"


@pytest.mark.parametrize("undo", ["VoidPayment", "ReleaseInventory", "CancelOrder"])
def test_an_undo_is_tried_seven_times_before_it_gives_up(
    world: World, doubles: dict[str, Double], saga_input: dict[str, Any], undo: str
) -> None:
    script(doubles, "ConfirmOrder", failing("KeyError"))
    script(doubles, undo, *[failing("TransientError")] * 6)
    assert world.run(saga_input)["error"] == "KeyError"
    assert "MarkNeedsAttention" not in world.calls
    assert world.calls.count(undo) == 7


def cancelled(order_id: str = ORDER) -> dict[str, Any]:
    """Starts it as the orders service does for a customer who cancels."""
    about = {
        "order_id": order_id,
        "customer_id": "cust-1",
        "correlation_id": "req-12345678",
        "traceparent": "00-0-0-01",
        "tracestate": "",
        "causation_id": "",
    }
    return about | {"failed_step": "Cancellation", "error": {"Error": "CancelledByCustomer", "Cause": ""}}


def test_a_cancellation_undoes_everything_and_does_nothing_else(world: World) -> None:
    ended = world.run(cancelled())
    assert (ended["status"], ended["error"]) == ("FAILED", "CancelledByCustomer")
    assert world.calls == UNDONE["CapturePayment"]
    assert world.inputs("RefundPayment") == [{"order_id": ORDER, "reason": "CancelledByCustomer"}]
    (cancel,) = world.inputs("CancelOrder")
    assert (cancel["step"], cancel["error"]["Error"]) == ("Cancellation", "CancelledByCustomer")


def test_a_cancellation_that_finds_the_parcel_gone_leaves_the_order_as_it_is(
    world: World, doubles: dict[str, Double]
) -> None:
    script(doubles, "StopShipment", failing("AlreadyDispatched"))
    assert world.run(cancelled())["status"] == "SUCCEEDED"
    assert world.calls == ["StopShipment"]


def test_a_cancellation_that_gets_stuck_is_parked(world: World, doubles: dict[str, Double]) -> None:
    script(doubles, "RefundPayment", failing("ValueError"))
    execution = world.start(cancelled())
    parked = world.parked()
    assert (parked["step"], parked["failed_step"], parked["reason"]) == (
        "RefundPayment",
        "Cancellation",
        "CancelledByCustomer",
    )
    world.resume(parked, "retry")
    assert world.finish(execution)["error"] == "CancelledByCustomer"
