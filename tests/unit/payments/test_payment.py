"""The states of a payment, which never move backwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mercato.money import Money
from payments import domain
from payments import refund as refunding
from payments.domain import Announcement, Charge, ChargeStatus, Payment, Status
from payments.refund import Refund, RefundStatus

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN = Money(amount=1000, currency="GBP")


def payment(status: Status = Status.CREATED, **changes: Any) -> Payment:
    captured = 1000 if status in (Status.CAPTURED, Status.PARTIALLY_REFUNDED, Status.REFUNDED) else 0
    return replace(Payment("p-1", "o-1", "u-1", TEN, NOON, status=status, captured=captured), **changes)


def charge(status: ChargeStatus) -> Charge:
    return Charge("ch-1", "p-1", status, TEN, "card_declined", "Your bank declined the card.")


@pytest.mark.parametrize(
    ("before", "told", "after"),
    [
        (Status.CREATED, ChargeStatus.AUTHORIZED, Status.AUTHORIZED),
        (Status.CREATED, ChargeStatus.CAPTURED, Status.CAPTURED),
        (Status.CREATED, ChargeStatus.DECLINED, Status.DECLINED),
        (Status.CREATED, ChargeStatus.VOIDED, Status.FAILED),
        (Status.AUTHORIZED, ChargeStatus.CAPTURED, Status.CAPTURED),
        (Status.AUTHORIZED, ChargeStatus.VOIDED, Status.FAILED),
    ],
)
def test_the_providers_truth_moves_a_payment_on(before: Status, told: ChargeStatus, after: Status) -> None:
    found = domain.settle(payment(before), charge(told))
    assert (found.status, found.version) == (after, 2)


def test_an_authorization_that_expires_has_failed_and_one_that_we_let_go_of_is_void() -> None:
    expired = domain.settle(payment(Status.AUTHORIZED), charge(ChargeStatus.VOIDED))
    let_go = domain.settle(domain.close(payment(Status.AUTHORIZED)), charge(ChargeStatus.VOIDED))
    assert (expired.status, expired.reason) == (Status.FAILED, "capture_refused")
    assert (let_go.status, let_go.reason) == (Status.VOIDED, "")


OVER = [Status.CAPTURED, Status.PARTIALLY_REFUNDED, Status.REFUNDED, Status.DECLINED, Status.VOIDED, Status.FAILED]
BACKWARDS = [(status, told) for status in OVER for told in ChargeStatus] + [
    (Status.AUTHORIZED, ChargeStatus.AUTHORIZED),
    (Status.AUTHORIZED, ChargeStatus.DECLINED),
]


@pytest.mark.parametrize(("before", "told"), BACKWARDS)
def test_nothing_the_provider_says_moves_a_payment_backwards(before: Status, told: ChargeStatus) -> None:
    found = payment(before)
    assert domain.settle(found, charge(told)) is found


def test_a_payment_that_is_being_undone_is_not_authorized_any_more() -> None:
    closing = domain.close(payment())
    assert domain.settle(closing, charge(ChargeStatus.AUTHORIZED)) is closing
    assert domain.is_orphan(closing, charge(ChargeStatus.AUTHORIZED))


@pytest.mark.parametrize(
    ("before", "after", "announced"),
    [
        (Status.CREATED, Status.AUTHORIZED, Announcement.AUTHORIZED),
        (Status.AUTHORIZED, Status.CAPTURED, Announcement.COMPLETED),
        (Status.CREATED, Status.DECLINED, Announcement.FAILED),
        (Status.AUTHORIZED, Status.FAILED, Announcement.FAILED),
        (Status.AUTHORIZED, Status.VOIDED, None),
        (Status.CAPTURED, Status.PARTIALLY_REFUNDED, None),
        (Status.CAPTURED, Status.CAPTURED, None),
    ],
)
def test_what_is_announced_of_a_change(before: Status, after: Status, announced: Announcement | None) -> None:
    assert domain.announcement(payment(before), payment(after)) is announced


def test_money_taken_only_to_be_given_back_is_not_announced_as_paid() -> None:
    closing = domain.close(payment(Status.AUTHORIZED))
    assert domain.announcement(closing, domain.settle(closing, charge(ChargeStatus.CAPTURED))) is None


@pytest.mark.parametrize(
    ("before", "status", "reason"),
    [
        (payment(), Status.FAILED, "provider_unavailable"),
        (payment(Status.AUTHORIZED), Status.VOIDED, ""),
        (payment(Status.AUTHORIZED, trouble="capture_refused"), Status.FAILED, "capture_refused"),
        (payment(Status.AUTHORIZED, trouble="provider_unavailable"), Status.FAILED, "provider_unavailable"),
    ],
)
def test_a_void_says_whether_something_went_wrong(before: Payment, status: Status, reason: str) -> None:
    ended = domain.end_uncaptured(before)
    assert (ended.status, ended.reason) == (status, reason)


def test_a_refusal_outweighs_an_answer_that_did_not_come() -> None:
    refused = domain.note_trouble(payment(Status.AUTHORIZED), "capture_refused")
    assert domain.note_trouble(refused, "provider_unavailable") is refused


def test_refunds_take_their_share_until_nothing_is_left() -> None:
    claimed = refunding.claim(payment(Status.CAPTURED), Money(amount=600, currency="GBP"))
    with pytest.raises(refunding.RefundTooLarge) as refused:
        refunding.claim(claimed, Money(amount=401, currency="GBP"))
    assert refused.value.extra == {"refundable": {"amount": 400, "currency": "GBP"}}
    assert refunding.claim(claimed, Money(amount=400, currency="GBP")).claimed == 1000


def refund(amount: int) -> Refund:
    return Refund("r", "p-1", Money(amount=amount, currency="GBP"), "x", RefundStatus.DONE, "", NOON)


def test_a_refund_of_all_ends_the_payment_and_of_some_does_not() -> None:
    some = refunding.complete_refund(payment(Status.CAPTURED), refund(999))
    assert (some.status, some.refunded) == (Status.PARTIALLY_REFUNDED, 999)
    assert refunding.complete_refund(some, refund(1)).status is Status.REFUNDED


def test_what_was_given_back_past_us_counts_when_a_refund_ends_the_payment() -> None:
    found = payment(Status.CAPTURED, refunded_elsewhere=300)
    assert refunding.complete_refund(found, refund(699)).status is Status.PARTIALLY_REFUNDED
    assert refunding.complete_refund(found, refund(700)).status is Status.REFUNDED


@pytest.mark.parametrize("status", [Status.CREATED, Status.AUTHORIZED, Status.DECLINED, Status.VOIDED, Status.FAILED])
def test_what_was_never_captured_cannot_be_refunded(status: Status) -> None:
    with pytest.raises(refunding.NotRefundable):
        refunding.claim(payment(status), TEN)


def test_a_refund_is_in_the_currency_of_the_payment() -> None:
    with pytest.raises(refunding.WrongCurrency):
        refunding.claim(payment(Status.CAPTURED), Money(amount=1, currency="EUR"))


@pytest.mark.parametrize("status", [Status.CREATED, Status.ACTION_REQUIRED, Status.DECLINED])
def test_no_attempt_begins_once_the_payment_is_being_undone(status: Status) -> None:
    waits = payment(status, charge_id="ch-1", waits_for_buyer=True)
    begun = domain.begin_attempt(waits, 2, "ch-2")
    assert (begun.attempt, begun.charge_id, begun.earlier, begun.status) == (2, "ch-2", ("ch-1",), Status.CREATED)
    undone = domain.close(waits)
    assert domain.begin_attempt(undone, 2, "ch-2") is undone


@pytest.mark.parametrize("status", [Status.AUTHORIZED, Status.CAPTURED, Status.ACTION_REQUIRED])
def test_money_that_an_earlier_attempt_holds_late_is_let_go_and_that_of_the_current_one_is_kept(status: Status) -> None:
    second = payment(status, attempt=2, charge_id="ch-2", earlier=("ch-1",), waits_for_buyer=True)
    late = charge(ChargeStatus.AUTHORIZED)
    assert domain.is_orphan(second, late)
    assert not domain.is_orphan(second, replace(late, charge_id="ch-2"))
    assert not domain.is_orphan(second, replace(late, status=ChargeStatus.CAPTURED))


def test_a_question_of_the_bank_is_let_go_where_the_payment_is_being_undone_alone() -> None:
    waits = payment(Status.ACTION_REQUIRED, charge_id="ch-1", waits_for_buyer=True)
    assert not domain.is_orphan(waits, charge(ChargeStatus.ACTION_REQUIRED))
    assert domain.is_orphan(domain.close(waits), charge(ChargeStatus.ACTION_REQUIRED))


def test_the_first_account_that_claims_a_guests_payment_has_it() -> None:
    claimed = domain.claim(payment(customer_id="guest:1"), "u-1")
    assert (claimed.customer_id, claimed.version) == ("u-1", 2)
    assert domain.claim(claimed, "u-2") is claimed
