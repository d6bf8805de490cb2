"""The saga of an order with coupons: a claim first, final before the order is confirmed, freed by every undo."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.saga.conftest import Double
from tests.kit.state_machine import ORDER, World, failing

STEPS = [
    "ClaimCoupon",
    "ReserveInventory",
    "AuthorizePayment",
    "KeepReservation",
    "KeepCoupon",
    "ConfirmOrder",
    "CapturePayment",
]
COUPONS = {"codes": ["TEN"], "customer": "account:cust-1"}
FREED = ["ReleaseInventory", "ReleaseCoupon", "CancelOrder"]
UNDONE = {
    "ClaimCoupon": ["ReleaseCoupon", "CancelOrder"],
    "ReserveInventory": FREED,
    "AuthorizePayment": ["VoidPayment", *FREED],
    "KeepReservation": ["VoidPayment", *FREED],
    "KeepCoupon": ["VoidPayment", *FREED],
    "ConfirmOrder": ["VoidPayment", *FREED],
    "CapturePayment": ["StopShipment", "RefundPayment", *FREED],
}


@pytest.fixture
def with_coupons(saga_input: dict[str, Any]) -> dict[str, Any]:
    return saga_input | {"coupons": COUPONS}


def script(doubles: dict[str, Double], task: str, *outcomes: Any) -> None:
    """No two functions have a task of one name."""
    for double in doubles.values():
        double.script(task, *outcomes)


def test_an_order_with_coupons_claims_them_first_and_keeps_them_before_it_is_confirmed(
    world: World, with_coupons: dict[str, Any]
) -> None:
    assert world.run(with_coupons)["status"] == "SUCCEEDED"
    assert world.calls == STEPS
    assert world.inputs("ClaimCoupon") == [{"order_id": ORDER, "coupons": COUPONS}]
    assert world.inputs("KeepCoupon") == [{"order_id": ORDER}]


@pytest.mark.parametrize("step", STEPS)
def test_each_undo_of_an_order_with_coupons_frees_them(
    world: World, doubles: dict[str, Double], with_coupons: dict[str, Any], step: str
) -> None:
    script(doubles, step, failing("KeyError"))
    ended = world.run(with_coupons)
    assert world.calls == STEPS[: STEPS.index(step) + 1] + UNDONE[step]
    assert (ended["status"], ended["error"]) == ("FAILED", "KeyError")
    assert world.inputs("ReleaseCoupon") == [{"order_id": ORDER, "reason": "KeyError"}]


@pytest.mark.parametrize(
    ("step", "error"),
    [("ClaimCoupon", "CouponExhausted"), ("ClaimCoupon", "CouponUsedUp"), ("KeepCoupon", "ClaimExpired")],
)
def test_a_coupon_that_cannot_be_had_ends_the_order_without_another_try(
    world: World, doubles: dict[str, Double], with_coupons: dict[str, Any], step: str, error: str
) -> None:
    script(doubles, step, failing(error, "used up"))
    assert world.run(with_coupons)["error"] == error
    assert world.calls == STEPS[: STEPS.index(step) + 1] + UNDONE[step]


def test_a_cancellation_frees_the_coupons_too(world: World, with_coupons: dict[str, Any]) -> None:
    cancelled = {"failed_step": "Cancellation", "error": {"Error": "CancelledByCustomer", "Cause": ""}}
    world.run(with_coupons | cancelled)
    assert world.calls == ["StopShipment", "RefundPayment", *FREED]


@pytest.mark.parametrize("answer", ["retry", "skip"])
@pytest.mark.parametrize("stuck", ["ReleaseInventory", "ReleaseCoupon"])
def test_a_release_that_is_stuck_is_parked_and_goes_on_as_the_operator_answers(
    world: World, doubles: dict[str, Double], with_coupons: dict[str, Any], stuck: str, answer: str
) -> None:
    script(doubles, "ReserveInventory", failing("OutOfStock"))
    script(doubles, stuck, failing("ValueError", "broken"))
    execution = world.start(with_coupons)
    parked = world.parked()
    assert parked["step"] == stuck
    world.resume(parked, answer)
    assert world.finish(execution)["error"] == "OutOfStock"
    rest = FREED[FREED.index(stuck) + (answer == "skip") :]
    assert world.calls == [*STEPS[:2], *FREED[: FREED.index(stuck) + 1], "MarkNeedsAttention", *rest]
