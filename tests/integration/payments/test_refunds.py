"""Refunds by an admin."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import IdempotencyKeyReused
from mercato.ids import derived_id
from mercato.money import Money
from payments import refunds, wiring
from payments.providers.port import ProviderDeclined, ProviderTimeout
from payments.providers.sandbox import Sandbox
from payments.refund import Refund

PAYMENT = derived_id("payment", "o-1")


def gbp(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


def test_refunds_add_up_to_what_was_captured_and_not_a_penny_more(till: Any) -> None:
    till.paid()
    status, made = till.refund(400, "k-1")
    assert status == 201
    assert (made["amount"], made["reason"], made["status"]) == (gbp(400), "damaged", "done")
    assert till.status() == "partially_refunded"
    status, problem = till.refund(601, "k-2")
    assert (status, problem["type"], problem["refundable"]) == (409, "urn:mercato:problem:refund-too-large", gbp(600))
    assert till.refund(600, "k-3")[0] == 201
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert till.refund(1, "k-4")[0] == 409
    assert [data["amount"] for kind, data in till.events() if kind == "payment.refunded"] == [gbp(400), gbp(600)]


def test_the_same_key_refunds_once_and_gets_the_same_answer(till: Any) -> None:
    till.paid()
    assert till.refund(400) == till.refund(400)
    assert till.money() == (1000, 400)
    assert till.heard().count("payment.refunded") == 1


@pytest.mark.parametrize("change", [{"amount": 401}, {"reason": "other"}])
def test_the_same_key_with_another_body_is_refused(till: Any, change: dict[str, Any]) -> None:
    till.paid()
    till.refund(400)
    status, problem = till.refund(**({"amount": 400} | change))
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")
    assert till.money() == (1000, 400)


def test_what_was_only_authorized_cannot_be_refunded(till: Any) -> None:
    till.authorize()
    assert till.refund(1)[0] == 409
    assert till.held() == "authorized"


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(3))
def test_a_refund_that_dies_anywhere_is_finished_by_its_retry(
    till: Any, faults: Any, at: int, after_effect: bool
) -> None:
    till.paid()
    faults.arm(at, after_effect=after_effect)
    assert till.refund(400)[0] == 503
    faults.arm(-1)
    assert till.refund(400)[0] == 201
    assert till.money() == (1000, 400)
    assert till.heard().count("payment.refunded") == 1


@pytest.mark.parametrize("at", range(3))
def test_two_refunds_at_once_share_what_there_is(till: Any, faults: Any, at: int) -> None:
    till.paid()
    others: list[int] = []
    faults.arm(at, meanwhile=lambda: others.append(till.refund(700, "k-2")[0]))
    status, _ = till.refund(700, "k-1")
    assert sorted([status, *others]) == [201, 409]
    assert till.money() == (1000, 700)


@pytest.mark.parametrize("at", range(3))
def test_the_same_refund_twice_at_once_is_made_once(till: Any, faults: Any, at: int) -> None:
    till.paid()
    others: list[int] = []
    faults.arm(at, meanwhile=lambda: others.append(till.refund(400)[0]))
    # Once ours has begun, the other one gets the response that it is in flight.
    assert [till.refund(400)[0], *others] == [201, 409 if at else 201]
    assert till.refund(400)[0] == 201
    assert till.money() == (1000, 400)
    assert till.heard().count("payment.refunded") == 1


def test_a_pending_refund_keeps_its_share_and_the_undo_finishes_it(till: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    till.paid()

    def lost(*_: Any) -> None:
        raise ProviderTimeout("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "refund", lost)
        assert till.refund(400)[0] == 503
    assert till.refund(700, "k-2")[0] == 409
    assert till.money() == (1000, 0)
    till.task("RefundPayment", reason="cancelled")
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert sorted(data["amount"]["amount"] for kind, data in till.events() if kind == "payment.refunded") == [400, 600]


def test_a_refund_that_the_provider_refuses_frees_its_share_and_stays_refused(
    till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.paid()

    def refused(*_: Any) -> None:
        raise ProviderDeclined("account_closed", "The account is closed.")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "refund", refused)
        assert till.refund(400)[0] == 409
    status, problem = till.refund(400)
    assert (status, problem["type"]) == (409, "urn:mercato:problem:refund-refused")
    assert till.refund(1000, "k-2")[0] == 201
    assert till.money() == (1000, 1000)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ({"amount": gbp(0), "reason": "x"}, 422),
        ({"amount": gbp(-5), "reason": "x"}, 422),
        ({"amount": {"amount": 1.5, "currency": "GBP"}, "reason": "x"}, 422),
        ({"amount": {"amount": 1, "currency": "EUR"}, "reason": "x"}, 422),
        ({"amount": {"amount": 1, "currency": "pounds"}, "reason": "x"}, 422),
        ({"amount": gbp(1), "reason": ""}, 422),
        ({"amount": gbp(1)}, 422),
        ({"amount": gbp(1), "reason": "x", "card": "y"}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(till: Any, body: Any, status: int) -> None:
    till.paid()
    assert till.call("POST", f"/payments/{PAYMENT}/refunds", body, key="k-1")[0] == status
    assert till.money() == (1000, 0)


def test_a_refund_needs_a_key_an_admin_and_a_payment(till: Any) -> None:
    till.paid()
    body = {"amount": gbp(1), "reason": "x"}
    assert till.call("POST", f"/payments/{PAYMENT}/refunds", body)[0] == 400
    assert till.call("POST", f"/payments/{PAYMENT}/refunds", body, role="customer", user="u-1", key="k")[0] == 403
    assert till.call("POST", f"/payments/{PAYMENT}/refunds", body, role=None, key="k")[0] == 401
    assert till.call("POST", "/payments/nowhere/refunds", body, key="k")[0] == 404
    assert till.money() == (1000, 0)


def test_refunds_by_hand_are_bounded_and_one_that_was_made_is_answered_alike(till: Any, monkeypatch: Any) -> None:
    till.paid()
    monkeypatch.setattr(refunds, "MAX_REFUNDS", 3)
    made = [till.refund(1, f"k-{number}") for number in range(3)]
    assert [status for status, _ in made] == [201] * 3
    status, problem = till.refund(1, "k-3")
    assert (status, problem["type"], problem["limit"]) == (409, "urn:mercato:problem:too-many-refunds", 3)
    assert [till.refund(1, f"k-{number}") for number in range(3)] == made


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("CancelledByCustomer", "cancelled-by-customer"),
        ("CaptureRefused", "capture-refused"),
        ("TransientError", "internal-error"),
        ("States.Timeout", "internal-error"),
        ("KeyError", "internal-error"),
        ("cancelled", "cancelled"),
        ("Damaged in transit", "Damaged in transit"),
    ],
)
def test_the_reason_of_a_refund_names_no_error_of_ours(till: Any, error: str, shown: str) -> None:
    till.paid()
    till.task("RefundPayment", reason=error)

    status, payment = till.call("GET", f"/payments/{PAYMENT}")

    assert (status, [refund["reason"] for refund in payment["refunds"]]) == (200, [shown])


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_a_payment_without_decimals_or_with_three_is_refunded_to_the_last_unit(till: Any, currency: str) -> None:
    till.currency = currency
    till.paid()
    for number, amount in enumerate((333, 333, 334)):
        assert till.refund(amount, key=f"k-{number}")[0] == 201
    assert till.money() == (1000, 1000)
    amounts = [data["amount"] for kind, data in till.events() if kind == "payment.refunded"]
    assert amounts == [{"amount": amount, "currency": currency} for amount in (333, 333, 334)]
    assert till.refund(1, key="k-9")[0] in (409, 422)


@pytest.mark.parametrize(("amount", "reason"), [(401, "damaged"), (400, "other")])
def test_a_refund_s_own_record_refuses_another_one_with_its_key(till: Any, amount: int, reason: str) -> None:
    """The answers of requests are kept for two days, and refunds for good."""
    till.paid()

    def refund(amount: int, reason: str) -> Refund:
        asked = Money(amount=amount, currency="GBP")
        return refunds.refund(PAYMENT, "key", asked, reason, wiring.ports(), utc_now())

    assert refund(400, "damaged").refund_id == refund(400, "damaged").refund_id
    with pytest.raises(IdempotencyKeyReused):
        refund(amount, reason)
    assert till.money() == (1000, 400)
