"""Authorize, capture, void and refund, as the saga calls them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.invocation.tasks import InvalidTaskInput
from mercato.store.dynamo import update
from payments.domain import CaptureRefused, PaymentDeclined, PaymentVoided
from payments.providers.sandbox import charge_id_of

PAYMENT = derived_id("payment", "o-1")
ABOUT = {
    "payment_id": PAYMENT,
    "order_id": "o-1",
    "customer_id": "u-1",
    "order_number": None,
    "language": None,
    "amount": {"amount": 1000, "currency": "GBP"},
}


def test_a_payment_is_authorized_and_captured(till: Any) -> None:
    assert till.authorize() == {"payment_id": PAYMENT}
    assert (till.status(), till.held()) == ("authorized", "authorized")
    assert till.capture() == {"payment_id": PAYMENT}
    assert (till.status(), till.held(), till.money()) == ("captured", "captured", (1000, 0))
    assert till.events() == [("payment.authorized", ABOUT), ("payment.completed", ABOUT)]


def test_all_events_of_a_payment_have_the_orders_number(till: Any) -> None:
    money = {"amount": 1000, "currency": "GBP"}
    saga_input = {"order_id": "o-1", "number": "K7QF2-M9X40", "payment_token": "tok_ok"}
    till.task("AuthorizePayment", customer_id="u-1", amount=money, payment_token="tok_ok", order=saga_input)
    till.capture()
    till.task("RefundPayment")
    assert [(kind, data["order_number"]) for kind, data in till.events()] == [
        ("payment.authorized", "K7QF2-M9X40"),
        ("payment.completed", "K7QF2-M9X40"),
        ("payment.refunded", "K7QF2-M9X40"),
    ]


def test_each_step_twice_is_once(till: Any) -> None:
    for _ in range(2):
        till.authorize()
    for _ in range(2):
        till.capture()
    assert till.authorize() == {"payment_id": PAYMENT}
    assert till.heard() == ["payment.authorized", "payment.completed"]
    assert till.money() == (1000, 0)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_anything", "unknown_token"),
    ],
)
def test_a_declined_card_says_why_each_time_and_is_announced_once(till: Any, token: str, reason: str) -> None:
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as declined:
            till.authorize(token)
        assert declined.value.extra["reason"] == reason
    till.task("VoidPayment")
    ((kind, data),) = till.events()
    assert (kind, data["reason"]) == ("payment.failed", reason)
    assert data["detail"] == str(declined.value)
    assert till.status() == "declined"


@pytest.mark.parametrize("token", ["tok_timeout_once", "tok_error_once"])
def test_an_authorize_without_an_answer_is_found_by_the_retry(till: Any, token: str) -> None:
    with pytest.raises(TransientError) as lost:
        till.authorize(token)
    assert type(lost.value) is TransientError
    assert (till.status(), till.events()) == ("created", [])
    assert till.authorize(token) == {"payment_id": PAYMENT}
    assert till.heard() == ["payment.authorized"]


def test_a_charge_whose_answer_was_lost_is_voided_not_forgotten(till: Any) -> None:
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    assert till.held() == "authorized"
    till.task("VoidPayment")
    assert (till.status(), till.held()) == ("failed", "voided")
    ((kind, data),) = till.events()
    assert (kind, data["reason"]) == ("payment.failed", "provider_unavailable")


def test_a_provider_that_never_answers_ends_in_one_failure(till: Any) -> None:
    for _ in range(3):
        with pytest.raises(TransientError):
            till.authorize("tok_unavailable")
    for name in ("VoidPayment", "VoidPayment", "RefundPayment"):
        till.task(name)
    assert till.heard() == ["payment.failed"]
    assert (till.status(), till.held()) == ("failed", "voided")
    with pytest.raises(PaymentVoided):
        till.authorize()
    assert till.held() == "voided"


def test_a_void_that_comes_first_makes_a_late_authorize_fail(till: Any) -> None:
    till.task("VoidPayment")
    for _ in range(2):
        with pytest.raises(PaymentVoided):
            till.authorize()
    assert (till.status(), till.held(), till.events()) == ("voided", None, [])
    assert till.call("GET", f"/payments/{PAYMENT}")[0] == 404


def test_a_void_without_any_error_announces_no_failure(till: Any) -> None:
    till.authorize()
    for _ in range(2):
        till.task("VoidPayment")
    assert (till.status(), till.held()) == ("voided", "voided")
    assert till.heard() == ["payment.authorized"]
    with pytest.raises(CaptureRefused):
        till.capture()
    with pytest.raises(PaymentVoided):
        till.authorize()
    assert till.held() == "voided"


def test_a_refused_capture_is_final_and_its_void_says_so(till: Any) -> None:
    till.authorize("tok_capture_declined")
    for _ in range(2):
        with pytest.raises(CaptureRefused):
            till.capture()
    till.task("RefundPayment", reason="capture-refused")
    assert (till.status(), till.held()) == ("failed", "voided")
    assert till.heard() == ["payment.authorized", "payment.failed"]
    assert till.events()[1][1]["reason"] == "capture_refused"


def test_a_capture_that_answers_503_works_when_tried_again(till: Any) -> None:
    till.authorize("tok_capture_error_once")
    with pytest.raises(TransientError):
        till.capture()
    till.capture()
    assert till.heard() == ["payment.authorized", "payment.completed"]


def test_a_capture_given_up_after_errors_is_voided_as_failed(till: Any) -> None:
    till.authorize("tok_capture_error_once")
    with pytest.raises(TransientError):
        till.capture()
    till.task("RefundPayment")
    assert (till.status(), till.held()) == ("failed", "voided")
    assert till.events()[1][1]["reason"] == "provider_unavailable"


@pytest.mark.parametrize("task", ["RefundPayment", "VoidPayment"])
def test_what_was_captured_is_given_back_once_whichever_undo_is_asked(till: Any, task: str) -> None:
    till.paid()
    for _ in range(2):
        till.task(task, reason="cancelled")
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    refunded = ABOUT | {"refund_id": derived_id("o-1", "refund"), "reason": "cancelled", "captured": ABOUT["amount"]}
    assert till.events()[2:] == [("payment.refunded", refunded)]
    with pytest.raises(CaptureRefused):
        till.capture()


def test_a_capture_we_never_heard_of_is_refunded_and_not_announced_as_paid(till: Any) -> None:
    till.authorize()
    charge = till.provider.find(charge_id_of(PAYMENT))
    till.provider.capture(charge.charge_id, derived_id("o-1", "capture"))
    till.task("RefundPayment", reason="cancelled")
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert till.heard() == ["payment.authorized", "payment.refunded"]


def test_an_undo_gives_back_what_earlier_refunds_have_left(till: Any) -> None:
    till.paid()
    assert till.refund(300)[0] == 201
    till.task("RefundPayment", reason="cancelled")
    assert till.money() == (1000, 1000)
    assert [data["amount"]["amount"] for kind, data in till.events() if kind == "payment.refunded"] == [300, 700]


def test_nothing_to_undo_is_nothing(till: Any) -> None:
    till.task("RefundPayment")
    assert (till.status(), till.events()) == ("voided", [])


def test_a_capture_without_a_payment_is_refused(till: Any) -> None:
    with pytest.raises(CaptureRefused):
        till.capture()
    assert till.status() is None


def test_free_orders_can_be_undone_too(till: Any) -> None:
    till.authorize(amount=0)
    till.capture()
    till.task("RefundPayment")
    assert till.status() == "refunded"


def test_another_order_is_another_payment(till: Any) -> None:
    with pytest.raises(PaymentDeclined):
        till.authorize("tok_declined")
    money = {"amount": 5, "currency": "GBP"}
    till.task("AuthorizePayment", order_id="o-2", customer_id="u-1", amount=money, payment_token="tok_ok")
    assert till.provider.find(charge_id_of(derived_id("payment", "o-2"))).amount.amount == 5


def test_the_token_is_neither_stored_nor_logged_nor_in_an_error(till: Any, caplog: pytest.LogCaptureFixture) -> None:
    for token in ("tok_secret_4242", "tok_timeout_once"):
        with pytest.raises((PaymentDeclined, TransientError)) as failed:
            till.task(
                "AuthorizePayment",
                order_id=f"o-{token[-4:]}",
                customer_id="u-1",
                amount={"amount": 5, "currency": "GBP"},
                payment_token=token,
            )
        assert token not in str(failed.value)
    with pytest.raises(InvalidTaskInput) as invalid:
        till.task("AuthorizePayment", payment_token="tok_secret_4242")
    assert "tok_" not in str(invalid.value)
    stored = boto3.client("dynamodb", "us-east-1").scan(TableName=till.table.name)["Items"]
    assert "tok_" not in json.dumps(stored)
    logged = str([vars(record) for record in caplog.records])  # with the fields of each line, which its text has not
    assert "AuthorizePayment" in logged
    assert "tok_" not in logged


def test_a_charge_that_was_captured_in_part_at_the_provider_is_no_payment_of_the_order(till: Any) -> None:
    till.authorize()
    till.provider.capture(charge_id_of(PAYMENT), "by-hand")
    till.table.write(
        update(
            f"SANDBOX#CHARGE#{charge_id_of(PAYMENT)}",
            "CHARGE",
            "SET amount = :some, #left = :some",
            names={"#left": "left"},
            values={":some": 400},
        )
    )
    for _ in range(2):
        with pytest.raises(CaptureRefused):
            till.capture()
    assert "payment.completed" not in till.heard()
    till.task("RefundPayment")
    assert (till.status(), till.money()) == ("refunded", (400, 400))
    [(_, refunded)] = [event for event in till.events() if event[0] == "payment.refunded"]
    part = {"amount": 400, "currency": "GBP"}
    assert (refunded["amount"], refunded["captured"]) == (part, part)
