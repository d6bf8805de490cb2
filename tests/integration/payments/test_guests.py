"""The payment of a guest's order, which an account claims."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from payments import consumers
from payments.providers.sandbox import charge_id_of
from tests.integration.payments.conftest import Faults
from tests.integration.payments.till import PAYMENT, Till
from tests.kit import aws_events
from tests.kit.given import published

GUEST, ASKS = "guest:1", "tok_confirm_ok"


@pytest.fixture
def till(till: Till) -> Till:
    till.customer = GUEST
    return till


def claim(till: Till, user: str = "u-1") -> None:
    event = published("order.claimed", "o-1", {"order_id": "o-1", "customer_id": user}, id=f"claimed-{user}")
    batch = aws_events.records(aws_events.bus_record(event, "mercato-payments"))
    assert consumers.handler(batch, None)["batchItemFailures"] == []


def seen(till: Till, user: str) -> int:
    return till.call("GET", f"/payments/{PAYMENT}", role="customer", user=user)[0]


def authorize(till: Till) -> None:
    till.authorize()


def capture(till: Till) -> None:
    till.capture()


def refund(till: Till) -> None:
    assert till.refund(100)[0] == 201


STEPS = (authorize, capture, refund)


@pytest.mark.parametrize("at", range(len(STEPS) + 1))
def test_the_account_has_the_payment_whenever_it_claims(till: Till, at: int) -> None:
    steps: list[Callable[[Till], None]] = [*STEPS]
    steps.insert(at, claim)
    for step in steps:
        step(till)
    claim(till)
    claim(till, "u-2")  # the first claim holds
    assert [seen(till, user) for user in ("u-1", "u-2", GUEST)] == [200, 404, 404]
    assert till.money() == (1000, 100)
    told = [data["customer_id"] for _, data in till.events()]
    assert told == [GUEST] * at + ["u-1"] * (len(STEPS) - at)


def test_of_two_claims_before_the_payment_the_first_holds(till: Till) -> None:
    claim(till)
    claim(till, "u-2")
    till.authorize()
    assert [seen(till, user) for user in ("u-1", "u-2", GUEST)] == [200, 404, 404]


@pytest.mark.parametrize("call", range(9))
@pytest.mark.parametrize("step", STEPS)
def test_a_claim_in_the_middle_of_a_step_moves_the_payment_and_no_money(
    till: Till, faults: Faults, call: int, step: Callable[[Till], None]
) -> None:
    for before in itertools.takewhile(lambda one: one is not step, STEPS):
        before(till)
    faults.arm(call, meanwhile=lambda: claim(till))
    step(till)
    for after in STEPS[STEPS.index(step) + 1 :]:
        after(till)
    if till.call("GET", f"/payments/{PAYMENT}")[1]["customer_id"] == GUEST:
        claim(till)  # the step had fewer calls
    assert (seen(till, "u-1"), till.money()) == (200, (1000, 100))
    assert till.refund(900, key="k-2")[0] == 201


def test_a_claim_of_an_order_that_is_never_paid_changes_nothing(till: Till) -> None:
    claim(till)
    till.task("VoidPayment")
    assert (till.status(), seen(till, "u-1")) == ("voided", 404)


def answer(till: Till, path: str, user: str = "") -> int:
    body = {"outcome": "confirmed"}
    address = f"/payments/{path}/{charge_id_of(PAYMENT)}"
    return till.call("POST", address, body, role="customer" if user else None, user=user)[0]


def test_a_guest_answers_the_sandboxs_bank_and_after_the_claim_the_account_does(till: Till) -> None:
    till.attempt(ASKS)
    assert answer(till, "sandbox/challenges", "u-1") == 404
    claim(till)
    assert answer(till, "guests/sandbox/challenges") == 404
    assert till.status() == "action_required"
    assert answer(till, "sandbox/challenges", "u-1") == 204
    assert till.status() == "authorized"


def test_the_question_of_a_guests_bank_is_answered_without_an_account(till: Till) -> None:
    till.attempt(ASKS)
    assert answer(till, "guests/sandbox/challenges") == 204
    assert (till.status(), till.heard().count("payment.answered")) == ("authorized", 1)
