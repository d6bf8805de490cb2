"""Whether a payment agrees with its order and with the provider."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mercato.money import Money
from payments import agreement
from payments.agreement import CANCELLED, CONFIRMED
from payments.domain import Charge, ChargeStatus, Payment, Status
from tests.conftest import NOON

TEN = Money(amount=1000, currency="GBP")


def payment(status: Status, order: str = "", **changes: Any) -> Payment:
    captured = 1000 if status in (Status.CAPTURED, Status.PARTIALLY_REFUNDED, Status.REFUNDED) else 0
    made = Payment("p-1", "o-1", "u-1", TEN, NOON, status=status, order_status=order, captured=captured)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("found", "lacking"),
    [
        (payment(Status.CREATED), "never-answered"),
        (payment(Status.AUTHORIZED), "money-held"),
        (payment(Status.AUTHORIZED, CANCELLED), "money-held"),
        (payment(Status.AUTHORIZED, CONFIRMED, closing=True), "money-held"),
        (payment(Status.AUTHORIZED, CONFIRMED), "order-not-paid"),
        (payment(Status.CAPTURED), "payment-without-order"),
        (payment(Status.CAPTURED, CONFIRMED), ""),
        (payment(Status.CAPTURED, CANCELLED), "payment-of-cancelled-order"),
        (payment(Status.CAPTURED, CONFIRMED, closing=True), "undo-unfinished"),
        (payment(Status.CAPTURED, CONFIRMED, claimed=300), "refund-unfinished"),
        (payment(Status.CAPTURED, CONFIRMED, refunded_elsewhere=1), "refunded-elsewhere"),
        (payment(Status.PARTIALLY_REFUNDED, CONFIRMED, claimed=300, refunded=300), ""),
        (payment(Status.REFUNDED, CONFIRMED, claimed=1000, refunded=1000), ""),
        (payment(Status.REFUNDED, CONFIRMED, claimed=1000, refunded=1000, closing=True), "order-without-payment"),
        (payment(Status.REFUNDED, CANCELLED, claimed=1000, refunded=1000, closing=True), ""),
        (payment(Status.DECLINED), ""),
        (payment(Status.VOIDED, CANCELLED, closing=True), ""),
        (payment(Status.FAILED, CONFIRMED), "order-without-payment"),
        (payment(Status.VOIDED, CONFIRMED), "order-without-payment"),
    ],
)
def test_what_a_payment_lacks(found: Payment, lacking: str) -> None:
    assert agreement.mismatch(found) == lacking
    assert agreement.is_settled(found) is (lacking == "")


def test_the_end_of_an_order_is_not_taken_back() -> None:
    cancelled = agreement.with_order_status(payment(Status.VOIDED, CONFIRMED), CANCELLED)
    assert (cancelled.order_status, cancelled.version) == (CANCELLED, 2)
    assert agreement.with_order_status(cancelled, CONFIRMED) is cancelled
    assert agreement.with_order_status(cancelled, CANCELLED) is cancelled


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (payment(Status.CAPTURED, CONFIRMED), 0),
        (payment(Status.CAPTURED, CONFIRMED), 200),
        (payment(Status.PARTIALLY_REFUNDED, CONFIRMED, claimed=300, refunded=300), 100),
    ],
)
def test_money_that_went_back_past_us_is_counted_until_it_agrees(found: Payment, told: int) -> None:
    charge = Charge("ch-1", "p-1", ChargeStatus.CAPTURED, TEN, refunded=told)
    compared = agreement.compare(found, charge)
    assert compared.refunded_elsewhere == told - found.refunded
    agreeing = agreement.compare(compared, replace(charge, refunded=found.refunded))
    assert agreeing.refunded_elsewhere == 0


def test_while_a_refund_is_under_way_nothing_is_compared() -> None:
    refunding = payment(Status.CAPTURED, CONFIRMED, claimed=300)
    assert agreement.compare(refunding, Charge("ch-1", "p-1", ChargeStatus.CAPTURED, TEN, refunded=300)) is refunding


@pytest.mark.parametrize(
    ("found", "must"),
    [
        (payment(Status.AUTHORIZED, CANCELLED), True),
        (payment(Status.CREATED, CANCELLED), True),
        (payment(Status.CAPTURED, CONFIRMED, closing=True), True),
        (payment(Status.CAPTURED, CANCELLED), False),
        (payment(Status.AUTHORIZED, CONFIRMED), False),
        (payment(Status.REFUNDED, CANCELLED, closing=True), False),
    ],
)
def test_an_undo_is_finished_and_held_money_let_go_but_taken_money_is_not_given_back_unasked(
    found: Payment, must: bool
) -> None:
    assert agreement.must_be_undone(found) is must
