"""The process ends at every write, and other processes act concurrently."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.money import Money
from payments.domain import CaptureRefused, PaymentDeclined, PaymentVoided
from payments.providers.port import ProviderDeclined, ProviderTimeout
from payments.providers.sandbox import Sandbox

PAYMENT = derived_id("payment", "o-1")


def dies(faults: Any, at: int, after_effect: bool, act: Callable[[], object]) -> None:
    faults.arm(at, after_effect=after_effect)
    with pytest.raises(TransientError):
        act()
    faults.arm(-1)


EVERY_HALF = pytest.mark.parametrize("after_effect", [False, True])


@EVERY_HALF
@pytest.mark.parametrize("at", range(3))
def test_an_authorize_that_dies_anywhere_charges_once(till: Any, faults: Any, at: int, after_effect: bool) -> None:
    """Its writes: the intent, the provider's charge, the result with its event."""
    dies(faults, at, after_effect, till.authorize)
    till.authorize()
    assert (till.status(), till.held(), till.heard()) == ("authorized", "authorized", ["payment.authorized"])


@EVERY_HALF
@pytest.mark.parametrize("at", range(3))
def test_an_authorize_that_dies_anywhere_leaves_nothing_after_a_void(
    till: Any, faults: Any, at: int, after_effect: bool
) -> None:
    dies(faults, at, after_effect, till.authorize)
    till.task("VoidPayment")
    with pytest.raises(PaymentVoided):
        till.authorize()
    assert till.held() in (None, "voided")
    assert till.status() in ("voided", "failed")
    assert till.heard().count("payment.failed") == (1 if till.status() == "failed" else 0)


@EVERY_HALF
@pytest.mark.parametrize("at", range(3))
def test_a_decline_that_dies_anywhere_is_announced_once(till: Any, faults: Any, at: int, after_effect: bool) -> None:
    dies(faults, at, after_effect, lambda: till.authorize("tok_declined"))
    with pytest.raises(PaymentDeclined):
        till.authorize("tok_declined")
    till.task("VoidPayment")
    assert (till.status(), till.heard()) == ("declined", ["payment.failed"])


def test_a_decline_we_never_heard_of_is_still_a_decline_when_voided(till: Any, faults: Any) -> None:
    dies(faults, 2, False, lambda: till.authorize("tok_declined"))
    till.task("VoidPayment")
    assert till.events()[0][1]["reason"] == "card_declined"


@EVERY_HALF
@pytest.mark.parametrize("at", range(2))
def test_a_capture_that_dies_anywhere_takes_the_money_once(till: Any, faults: Any, at: int, after_effect: bool) -> None:
    till.authorize()
    dies(faults, at, after_effect, till.capture)
    till.capture()
    assert till.money() == (1000, 0)
    assert till.heard() == ["payment.authorized", "payment.completed"]


@EVERY_HALF
@pytest.mark.parametrize("at", range(2))
def test_a_capture_that_dies_anywhere_can_be_undone(till: Any, faults: Any, at: int, after_effect: bool) -> None:
    till.authorize()
    dies(faults, at, after_effect, till.capture)
    till.task("RefundPayment")
    was_taken = (at, after_effect) != (0, False)
    assert (till.status(), till.held()) == (("refunded", "captured") if was_taken else ("failed", "voided"))
    assert till.heard().count("payment.refunded") == (1 if was_taken else 0)
    assert till.money() == ((1000, 1000) if was_taken else (0, 0))


@pytest.mark.parametrize(
    ("at", "after_effect"), [(0, False), (1, False), (1, True), (2, False), (2, True), (3, False), (3, True)]
)
def test_a_void_that_dies_anywhere_is_finished_by_the_next(till: Any, faults: Any, at: int, after_effect: bool) -> None:
    """Its writes: whether there is a payment, the closing, the provider's void, the end."""
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    dies(faults, at, after_effect, lambda: till.task("VoidPayment"))
    till.task("VoidPayment")
    assert (till.status(), till.held(), till.heard()) == ("failed", "voided", ["payment.failed"])


@EVERY_HALF
@pytest.mark.parametrize("at", range(1, 5))
def test_a_refund_that_dies_anywhere_gives_back_once(till: Any, faults: Any, at: int, after_effect: bool) -> None:
    """Its writes after the read: the closing, the claim, the provider's refund, the end."""
    till.paid()
    dies(faults, at, after_effect, lambda: till.task("RefundPayment"))
    till.task("RefundPayment")
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert till.heard().count("payment.refunded") == 1


@pytest.mark.parametrize("at", range(3))
def test_a_void_in_the_middle_of_an_authorize_wins(till: Any, faults: Any, at: int) -> None:
    faults.arm(at, meanwhile=lambda: till.task("VoidPayment"))
    with pytest.raises(PaymentVoided):
        till.authorize()
    assert till.held() in (None, "voided")
    assert till.status() in ("voided", "failed")
    assert "payment.authorized" not in till.heard()


def test_an_authorize_that_dies_with_an_orphan_is_healed_by_its_retry(
    till: Any, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The void ends before it stops the charge. The charge is made after it, and its process ends before voiding it."""

    def void_and_die() -> None:
        with contextlib.suppress(TransientError):
            till.task("VoidPayment")

    faults.arm(1, meanwhile=void_and_die)

    def died(*_: Any) -> None:
        raise TransientError("died")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "void", died)
        with pytest.raises(TransientError):
            till.authorize()
    assert till.held() == "authorized"
    with pytest.raises(PaymentVoided):
        till.authorize()
    assert till.held() == "voided"


@pytest.mark.parametrize("at", range(3))
def test_two_authorizes_at_once_charge_once(till: Any, faults: Any, at: int) -> None:
    faults.arm(at, meanwhile=till.authorize)
    till.authorize()
    assert (till.status(), till.held(), till.heard()) == ("authorized", "authorized", ["payment.authorized"])


@pytest.mark.parametrize("at", range(2))
def test_two_captures_at_once_take_the_money_once(till: Any, faults: Any, at: int) -> None:
    till.authorize()
    faults.arm(at, meanwhile=till.capture)
    till.capture()
    assert till.money() == (1000, 0)
    assert till.heard() == ["payment.authorized", "payment.completed"]


@pytest.mark.parametrize("at", range(4))
def test_a_capture_in_the_middle_of_a_void_is_refunded_or_refused(till: Any, faults: Any, at: int) -> None:
    till.authorize()
    refused = []

    def capture() -> None:
        try:
            till.capture()
        except CaptureRefused:
            refused.append(True)

    faults.arm(at, meanwhile=capture)
    till.task("VoidPayment")
    captured, refunded = till.money()
    assert captured == refunded
    assert till.held() == ("voided" if refused else "captured")
    assert till.status() == ("voided" if refused else "refunded")


def test_a_capture_whose_payment_was_undone_a_moment_ago_is_refused(till: Any, faults: Any) -> None:
    """The capture has read an authorized payment. The undo is done before the capture calls the provider."""
    till.authorize()
    faults.arm(0, meanwhile=lambda: till.task("VoidPayment"))
    with pytest.raises(CaptureRefused):
        till.capture()
    assert (till.status(), till.held(), till.heard()) == ("voided", "voided", ["payment.authorized"])


@pytest.mark.parametrize("at", range(1, 5))
def test_two_undos_at_once_give_back_once(till: Any, faults: Any, at: int) -> None:
    till.paid()
    faults.arm(at, meanwhile=lambda: till.task("RefundPayment"))
    till.task("RefundPayment")
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert till.heard().count("payment.refunded") == 1


@pytest.mark.parametrize("at", range(6))
def test_an_admins_refund_in_the_middle_of_an_undo_and_all_is_given_back_once(till: Any, faults: Any, at: int) -> None:
    """The undo's writes: the closing, the claim of the rest, the provider's refund, the end."""
    till.paid()
    others: list[int] = []
    faults.arm(at, meanwhile=lambda: others.append(till.refund(300)[0]))
    till.task("RefundPayment")
    assert (till.money(), till.status()) == ((1000, 1000), "refunded")
    refunded = [data["amount"]["amount"] for kind, data in till.events() if kind == "payment.refunded"]
    assert (sum(refunded), others in ([], [201], [409])) == (1000, True)


@pytest.mark.parametrize("at", range(6))
def test_an_admins_refund_that_is_refused_after_all_is_in_the_rest_of_an_undo(
    till: Any, faults: Any, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    till.paid()
    answers: list[Exception] = [ProviderTimeout("no answer"), ProviderDeclined("no", "No.")]
    real = Sandbox.refund

    def refund(self: Sandbox, charge_id: str, amount: Money, key: str) -> None:
        if amount.amount == 300:
            raise answers.pop(0) if len(answers) > 1 else answers[0]
        real(self, charge_id, amount, key)

    monkeypatch.setattr(Sandbox, "refund", refund)
    faults.arm(at, meanwhile=lambda: till.refund(300))
    till.task("RefundPayment")
    assert (till.money(), till.status()) == ((1000, 1000), "refunded")
    refunded = [data["amount"]["amount"] for kind, data in till.events() if kind == "payment.refunded"]
    assert refunded == [1000]
