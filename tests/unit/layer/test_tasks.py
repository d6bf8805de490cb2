import logging
from typing import Any

import pytest
from pydantic import BaseModel

from mercato.errors import Conflict, TransientError
from mercato.invocation.tasks import InvalidTaskInput, Tasks
from mercato.money import Money
from mercato.telemetry import correlation
from tests.kit import aws_events


class Charge(BaseModel):
    order_id: str
    amount: Money
    payment_token: str


class Charged(BaseModel):
    payment_id: str
    amount: Money
    seen: str


class PaymentDeclined(Conflict):
    pass


class PeerAway(TransientError):
    pass


tasks = Tasks("payments")


@tasks.task("Charge")
def charge(wanted: Charge) -> Charged:
    if wanted.payment_token == "declined":
        raise PaymentDeclined("Your card was declined.")
    if wanted.payment_token == "away":
        raise PeerAway("connection refused")
    if wanted.payment_token == "bug":
        raise ZeroDivisionError("oops")
    return Charged(payment_id="payment-1", amount=wanted.amount, seen=correlation.current().correlation_id)


@tasks.task("Forget")
def forget(wanted: Charge) -> None:
    assert wanted.order_id == "order-1"


def run(task: str = "Charge", card: str = "ok", **changes: Any) -> dict[str, Any]:
    task_input = {"order_id": "order-1", "amount": {"amount": 5, "currency": "GBP"}, "payment_token": card} | changes
    return tasks.handler(aws_events.task(task, task_input, correlation_id="request-0001"), None)


def test_a_task_answers_with_json_and_knows_the_correlation() -> None:
    assert run() == {
        "payment_id": "payment-1",
        "amount": {"amount": 5, "currency": "GBP"},
        "seen": "request-0001",
    }


def test_a_task_without_an_answer_answers_an_empty_object() -> None:
    assert run("Forget") == {}


def test_a_business_error_keeps_its_class_name_for_the_state_machine() -> None:
    with pytest.raises(PaymentDeclined) as caught:
        run(card="declined")
    assert type(caught.value).__name__ == "PaymentDeclined"


def test_every_transient_error_has_the_one_name_that_the_state_machine_retries() -> None:
    with pytest.raises(TransientError) as caught:
        run(card="away")
    assert type(caught.value) is TransientError
    assert str(caught.value) == "PeerAway: connection refused"


def test_a_bug_goes_through_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        run(card="bug")


def test_an_input_that_cannot_be_read_is_named_without_its_values() -> None:
    with pytest.raises(InvalidTaskInput) as caught:
        run(payment_token=["tok_secret"])
    assert "payment_token" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(KeyError):
        run("Nonsense")


def test_no_log_line_holds_the_input(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(PaymentDeclined):
        run(card="declined")
    (line,) = caplog.records
    assert line.__dict__["order_id"] == "order-1"
    assert "payment_token" not in str(line.__dict__)
