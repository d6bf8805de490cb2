"""The process ends at every write with Stripe as the provider. Webhook and reconciler run in the middle of each
command.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.ids import derived_id
from payments import reconciler, usecases, wiring
from payments.domain import PaymentVoided
from payments.providers.webhooks import ChargeChanged
from payments.refund import RefundRefused
from tests.integration.payments.localstripe import Trouble
from tests.integration.payments.stripe_till import PAYMENT, VISA, StripeTill, paid

EVERY_HALF = pytest.mark.parametrize("after_effect", [False, True])


def dies(faults: Any, at: int, after_effect: bool, act: Callable[[], object]) -> None:
    faults.arm(at, after_effect=after_effect)
    with pytest.raises(TransientError):
        act()
    faults.arm(-1)


def hear_webhook() -> None:
    usecases.observe(ChargeChanged("evt_1", payment_id=PAYMENT), wiring.ports(), utc_now())


def run_reconciler() -> None:
    reconciler.reconcile(wiring.ports(), utc_now() + timedelta(hours=1), lambda: True)


OTHERS = pytest.mark.parametrize("other", [hear_webhook, run_reconciler])


@EVERY_HALF
@pytest.mark.parametrize("at", range(3))
def test_an_authorize_that_dies_anywhere_holds_the_money_once(
    stripe_till: StripeTill, faults: Any, at: int, after_effect: bool
) -> None:
    """Its writes: the record, the intent's id, the result with its event."""
    dies(faults, at, after_effect, lambda: stripe_till.authorize(VISA))
    stripe_till.authorize(VISA)
    assert (stripe_till.status(), stripe_till.everything()) == ("authorized", ["requires_capture"])
    assert stripe_till.heard() == ["payment.authorized"]


@EVERY_HALF
@pytest.mark.parametrize("at", range(3))
def test_an_authorize_that_dies_anywhere_leaves_nothing_held_after_a_void(
    stripe_till: StripeTill, faults: Any, at: int, after_effect: bool
) -> None:
    dies(faults, at, after_effect, lambda: stripe_till.authorize(VISA))
    stripe_till.task("VoidPayment")
    with pytest.raises(PaymentVoided):
        stripe_till.authorize(VISA)
    assert set(stripe_till.everything()) <= {"canceled", "requires_confirmation"}


@EVERY_HALF
def test_a_capture_that_dies_takes_the_money_once(stripe_till: StripeTill, faults: Any, after_effect: bool) -> None:
    stripe_till.authorize(VISA)
    dies(faults, 0, after_effect, stripe_till.capture)
    stripe_till.capture()
    assert stripe_till.money() == (1000, 0)
    assert stripe_till.heard() == ["payment.authorized", "payment.completed"]


@EVERY_HALF
@pytest.mark.parametrize("at", range(1, 3))
def test_a_void_that_dies_anywhere_is_finished_by_the_next(
    stripe_till: StripeTill, faults: Any, at: int, after_effect: bool
) -> None:
    """Its writes after the read: the closing, the end."""
    stripe_till.authorize(VISA)
    dies(faults, at, after_effect, lambda: stripe_till.task("VoidPayment"))
    stripe_till.task("VoidPayment")
    assert (stripe_till.status(), stripe_till.everything()) == ("voided", ["canceled"])


@EVERY_HALF
@pytest.mark.parametrize("at", range(2))
def test_a_refund_that_dies_anywhere_gives_back_once(
    stripe_till: StripeTill, faults: Any, at: int, after_effect: bool
) -> None:
    """Its writes: the claim, the end."""
    paid(stripe_till)
    faults.arm(at, after_effect=after_effect)
    assert stripe_till.refund(300)[0] == 503
    faults.arm(-1)
    assert stripe_till.refund(300)[0] == 201
    assert (stripe_till.money(), stripe_till.given_back()) == ((1000, 300), [300])
    assert stripe_till.heard().count("payment.refunded") == 1


@OTHERS
@pytest.mark.parametrize("at", range(3))
def test_another_in_the_middle_of_an_authorize(
    stripe_till: StripeTill, faults: Any, at: int, other: Callable[[], None]
) -> None:
    faults.arm(at, meanwhile=other)
    stripe_till.authorize(VISA)
    assert (stripe_till.status(), stripe_till.everything()) == ("authorized", ["requires_capture"])
    assert stripe_till.heard() == ["payment.authorized"]


@OTHERS
def test_another_in_the_middle_of_a_capture(stripe_till: StripeTill, faults: Any, other: Callable[[], None]) -> None:
    stripe_till.authorize(VISA)
    faults.arm(0, meanwhile=other)
    stripe_till.capture()
    assert (stripe_till.money(), stripe_till.heard()) == ((1000, 0), ["payment.authorized", "payment.completed"])


@OTHERS
@pytest.mark.parametrize("at", range(3))
def test_another_in_the_middle_of_a_void(
    stripe_till: StripeTill, faults: Any, at: int, other: Callable[[], None]
) -> None:
    stripe_till.authorize(VISA)
    faults.arm(at, meanwhile=other)
    stripe_till.task("VoidPayment")
    assert (stripe_till.status(), stripe_till.everything()) == ("voided", ["canceled"])


@OTHERS
@pytest.mark.parametrize("at", range(2))
def test_another_in_the_middle_of_a_refund(
    stripe_till: StripeTill, faults: Any, at: int, other: Callable[[], None]
) -> None:
    paid(stripe_till)
    faults.arm(at, meanwhile=other)
    assert stripe_till.refund(300)[0] == 201
    assert (stripe_till.money(), stripe_till.given_back()) == ((1000, 300), [300])
    item = stripe_till.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
    assert item is not None
    assert item["astray"] == 0


def test_a_refund_that_stripe_refuses_is_made_once_by_the_next_attempt_with_a_key_of_its_own(
    stripe_till: StripeTill,
) -> None:
    """For example with too little balance: Stripe repeats the refusal to the same key for a day."""
    paid(stripe_till)
    stripe_till.wire.fail("/refunds", Trouble.REFUSED)
    with pytest.raises(RefundRefused):
        stripe_till.task("RefundPayment")
    assert stripe_till.given_back() == []
    stripe_till.task("RefundPayment")
    stripe_till.task("RefundPayment")
    first = derived_id("o-1", "refund")
    keys = [key for method, path, key in stripe_till.wire.calls if (method, path) == ("POST", "/v1/refunds")]
    assert keys == [first, f"{first}:2"]
    assert (stripe_till.given_back(), stripe_till.money(), stripe_till.status()) == ([1000], (1000, 1000), "refunded")
