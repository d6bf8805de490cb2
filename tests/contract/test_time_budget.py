"""The saga's worst-case duration, computed from the state machine, is the documented one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from infra.local.deploy import with_fixed_waits
from inventory.reservation import RESERVED_FOR
from orders.domain import TO_KEEP
from promotions.claim import CLAIMED_FOR
from tests.kit.template import ROOT

MACHINE = json.loads((ROOT / "functions/orders/order_saga.asl.json").read_text())
STATES: dict[str, dict[str, Any]] = MACHINE["States"]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
THROTTLED = "Lambda.TooManyRequestsException"
# The errors of Lambda itself that AWS recommends to retry ("Handle transient Lambda service exceptions").
OF_LAMBDA = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
}


# The states that wait for a person. What follows an answer is a new count.
WAITING = ("AwaitOperator", "AwaitBuyer")
# The tasks of an order that waits for its buyer, beside the steps of all orders.
OF_BUYERS = ("AttemptPayment", "AskBuyer")


def pauses(retry: dict[str, Any]) -> int:
    """The longest sum of all waits. Full jitter only shortens them."""
    waits = (retry["IntervalSeconds"] * retry["BackoffRate"] ** number for number in range(retry["MaxAttempts"]))
    return sum(min(wait, retry["MaxDelaySeconds"]) for wait in waits)


def shape(name: str) -> tuple[int, int, int, int]:
    """A task's attempts, the seconds of one, its pauses, and the pauses after throttled calls, which are refused at
    once.
    """
    state = STATES[name]
    by_throttling = {THROTTLED in retry["ErrorEquals"]: retry for retry in state["Retry"]}
    assert by_throttling.keys() == {True, False}, f"{name} is retried for throttling and for what is transient"
    assert len(state["Retry"]) == 2, name
    transient = by_throttling[False]
    return 1 + transient["MaxAttempts"], state["TimeoutSeconds"], pauses(transient), pauses(by_throttling[True])


def worst(name: str) -> int:
    """Seconds in one state. Only calls of functions take time before a person is asked."""
    if STATES[name]["Type"] != "Task" or name in WAITING:
        assert STATES[name]["Type"] != "Wait", f"{name} would wait before anybody is asked"
        return 0
    tries, seconds, between, throttled = shape(name)
    return tries * seconds + between + throttled


def following(name: str) -> Iterator[str]:
    """The possible next states. A wait for a person ends the path."""
    state = STATES[name]
    if name in WAITING:
        return
    for branch in [state, *state.get("Choices", []), *state.get("Catch", [])]:
        if "Next" in branch:
            yield branch["Next"]
    if "Default" in state:
        yield state["Default"]


def longest(start: str, end: str) -> int | None:
    """The longest path from one state to another, in seconds, or None without a path."""
    if start == end:
        return 0
    ways = [rest for after in following(start) if (rest := longest(after, end)) is not None]
    return worst(start) + max(ways) if ways else None


def budget(start: str, end: str) -> int:
    found = longest(start, end)
    assert found is not None, f"no way leads from {start} to {end}"
    return found


def steps() -> list[str]:
    """The tasks on the path of a successful order with coupons, which waits for nobody."""
    found, name = [], FIRST_STEP
    while name != "OrderPaid":
        state = STATES[name]
        if state["Type"] == "Choice":
            with_coupons = [one["Next"] for one in state["Choices"] if one["Variable"] == "$.coupons"]
            for wanted in with_coupons:
                assert state["Default"] == STATES[wanted]["Next"], f"{wanted} is left out by an order without coupons"
            name = with_coupons[0] if with_coupons else state["Default"]
        else:
            found.append(name)
            name = state["Next"]
    return found


def undos() -> list[str]:
    """The other tasks that may run before an operator is asked."""
    reached, left = set[str](), [MACHINE["StartAt"]]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += following(name)
    tasks = {name for name in reached if STATES[name]["Type"] == "Task"}
    return sorted(tasks - set(steps()) - set(WAITING) - set(OF_BUYERS))


FIRST_STEP, FIRST_UNDO = "ClaimCoupon", "StopShipment"
(STEP,) = {shape(name) for name in (*steps(), *OF_BUYERS)}
(UNDO,) = {shape(name) for name in undos()}
STEPS = sum(worst(name) for name in steps())
UNDOING = budget(FIRST_UNDO, "OrderFailed")
PARKING = budget(FIRST_UNDO, "AwaitOperator")
WHOLE = max(budget(MACHINE["StartAt"], end) for end in ("OrderPaid", "OrderFailed", "AwaitOperator"))
KEPT = budget("ReserveInventory", "HasClaim")
CLAIM_KEPT = budget(FIRST_STEP, "ConfirmOrder")


def minutes(seconds: int) -> int:
    return math.ceil(seconds / 60)


def describe(shape: tuple[int, int, int, int]) -> str:
    tries, seconds, between, throttled = shape
    return f"{tries} tries of {seconds} s, {between} s of pauses, {throttled} s more where Lambda throttles"


def test_the_tasks_that_may_be_run_before_an_operator_is_asked_are_the_known_ones() -> None:
    assert steps() == [
        "ClaimCoupon",
        "ReserveInventory",
        "AuthorizePayment",
        "KeepReservation",
        "KeepCoupon",
        "ConfirmOrder",
        "CapturePayment",
    ]
    assert undos() == [
        "CancelOrder",
        "MarkNeedsAttention",
        "RefundPayment",
        "ReleaseCoupon",
        "ReleaseInventory",
        "StopShipment",
        "VoidPayment",
    ]
    assert WHOLE == STEPS + PARKING


def test_the_document_gives_the_budget_of_the_state_machine() -> None:
    table = ARCHITECTURE.partition("### The time budget")[2].partition("|---|---|\n")[2].partition("\n\n")[0]
    cells = [line.strip("|").split("|") for line in table.splitlines()]
    told = [(what.strip(), how_long.strip()) for what, how_long in cells]
    assert told == [
        (f"a step: {describe(STEP)}", f"{worst(FIRST_STEP)} s"),
        (f"an undo: {describe(UNDO)}", f"{worst(FIRST_UNDO)} s"),
        ("from ReserveInventory until KeepReservation has kept the stock", f"{minutes(KEPT)} min"),
        ("from ClaimCoupon until KeepCoupon has made the claim final", f"{minutes(CLAIM_KEPT)} min"),
        ("all steps, until the order is paid", f"{minutes(STEPS)} min"),
        ("all undos, until the order is cancelled", f"{minutes(UNDOING)} min"),
        ("all undos, the last of them stuck, and MarkNeedsAttention, until it is parked", f"{minutes(PARKING)} min"),
        ("an order from its first step until it is settled or parked", f"{minutes(WHOLE)} min"),
    ]


def test_what_an_operator_skips_of_the_payment_is_written_off_in_the_time_of_an_undo() -> None:
    assert shape("WriteOffRefund") == UNDO
    runbook = " ".join((ROOT / "docs/runbook.md").read_text().split())
    assert (
        f"counted from the skip: usually under a second, {minutes(worst('WriteOffRefund'))} minutes at most" in runbook
    )


def test_the_machines_own_comment_gives_it_too() -> None:
    said = (
        f"Time budget: a step takes at most {worst(FIRST_STEP)} s ({describe(STEP)}), an undo {worst(FIRST_UNDO)} s "
        f"({describe(UNDO)}); so all steps take {minutes(STEPS)} min at most, undoing them {minutes(UNDOING)} min, and "
        f"undoing that gets stuck {minutes(PARKING)} min until it is parked, MarkNeedsAttention included: an order is "
        f"settled or parked within {minutes(WHOLE)} min, and usually within a second."
    )
    assert said in MACHINE["Comment"]
    assert f"KeepReservation, at the latest {minutes(KEPT)} min after ReserveInventory began" in MACHINE["Comment"]


def test_a_slow_saga_keeps_its_claim_before_it_expires_and_a_reservation_never_outlives_it() -> None:
    assert timedelta(seconds=CLAIM_KEPT) < CLAIMED_FOR
    until_kept = 3 * worst(FIRST_STEP)  # ClaimCoupon and ReserveInventory before the reservation, KeepCoupon after it
    assert RESERVED_FOR + timedelta(seconds=until_kept) <= CLAIMED_FOR
    assert f"expires after {CLAIMED_FOR // timedelta(minutes=1)} min unless KeepCoupon" in MACHINE["Comment"]


def test_a_slow_saga_keeps_its_reservation_before_it_expires() -> None:
    assert timedelta(seconds=KEPT) < RESERVED_FOR
    assert f"expires after {RESERVED_FOR // timedelta(minutes=1)} min unless" in MACHINE["Comment"]
    record = ROOT / "docs/decisions/0030-expiry-and-parcel-meet-the-saga-in-one-record.md"
    assert f"budget of the steps is {minutes(STEPS)} minutes" in " ".join(record.read_text().split())


def test_the_wait_for_a_buyer_leaves_time_to_pay_and_to_keep_the_reservation() -> None:
    again = budget("AttemptPayment", "HasClaim")
    assert again == worst("AttemptPayment") + worst("KeepReservation")
    assert timedelta(seconds=again) <= TO_KEEP
    assert budget("ReserveInventory", "AwaitBuyer") < (RESERVED_FOR - TO_KEEP).total_seconds()
    left = TO_KEEP // timedelta(minutes=1)
    assert f"wait for its buyer until {left} min before its reservation expires" in MACHINE["Comment"]
    assert f"until {left} minutes before its reservation expires" in " ".join(ARCHITECTURE.split())
    assert "TimeoutSeconds" not in STATES["AwaitBuyer"]
    assert STATES["AwaitBuyer"]["TimeoutSecondsPath"] == "$.wait.seconds"


def test_the_local_clouds_fixed_wait_is_the_longest_one() -> None:
    machine = json.loads(with_fixed_waits(json.dumps(MACHINE)))["States"]
    assert machine["AwaitBuyer"]["TimeoutSeconds"] == (RESERVED_FOR - TO_KEEP).total_seconds()


def test_the_document_says_what_a_parked_queue_that_takes_no_message_costs_beside_it() -> None:
    (retry,) = STATES["AwaitOperator"]["Retry"]
    (away,) = (catch["Next"] for catch in STATES["AwaitOperator"]["Catch"] if "States.ALL" in catch["ErrorEquals"])
    assert STATES[away]["Seconds"] == 3600
    said = f"is tried for {minutes(pauses(retry))} minutes and then again every hour"
    assert said in " ".join(ARCHITECTURE.split())


def test_every_step_is_tried_again_after_each_error_of_lambda_itself() -> None:
    tasks = [name for name, state in STATES.items() if state["Type"] == "Task" and name != "AwaitOperator"]
    assert len(tasks) == 18
    for name in tasks:
        retried = {error for retry in STATES[name]["Retry"] for error in retry["ErrorEquals"]}
        assert retried >= OF_LAMBDA, name


def test_no_partition_of_aws_is_written_out() -> None:
    assert "arn:aws:" not in json.dumps(MACHINE)
