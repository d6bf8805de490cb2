"""A payment that waits for its buyer: a proof for the bank, another card, and never two holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.store.dynamo import update
from payments import reconciler, usecases, wiring
from payments.domain import ChargeStatus, PaymentDeclined, PaymentVoided, reference_of
from payments.providers.sandbox import charge_id_of
from payments.providers.webhooks import ChargeChanged
from tests.integration.payments.conftest import Faults
from tests.integration.payments.till import PAYMENT, Till

ASKS, ASKS_AND_DECLINES, ASKS_FOR_EVER = "tok_confirm_ok", "tok_confirm_declined", "tok_confirm_never"
EVERY_HALF = pytest.mark.parametrize("after_effect", [False, True])


def hear(number: int = 1, event_id: str = "evt-1") -> None:
    told = ChargeChanged(event_id, payment_id=reference_of(PAYMENT, number))
    usecases.observe(told, wiring.ports(), utc_now())


def reconcile() -> None:
    reconciler.reconcile(wiring.ports(), utc_now() + timedelta(hours=1), lambda: True)


def test_a_card_that_needs_no_proof_is_authorized_at_the_first_attempt(till: Till) -> None:
    made = till.attempt()
    assert (made["status"], made["attempt"], made["action"]) == ("authorized", 1, {})
    assert till.attempt() == made
    assert (till.holds(), till.heard()) == (["authorized"], ["payment.authorized"])


def test_a_bank_that_asks_for_the_buyer_holds_nothing_and_says_where_to_go(till: Till) -> None:
    made = till.attempt(ASKS)
    assert (made["status"], made["reason"]) == ("action_required", "authentication_required")
    assert made["action"] == {"url": f"/bank/{charge_id_of(PAYMENT)}", "client_secret": ""}
    assert till.attempt(ASKS) == made
    assert (till.status(), till.holds(), till.heard()) == ("action_required", ["action_required"], [])


@pytest.mark.parametrize("hears", [lambda till: till.attempt(ASKS), lambda _: hear(), lambda _: reconcile()])
def test_a_confirmed_payment_is_authorized_whoever_hears_of_it_first(
    till: Till, hears: Callable[[Till], object]
) -> None:
    version = till.attempt(ASKS)["version"]
    till.confirm()
    for _ in range(2):
        hears(till)
    made = till.attempt(ASKS)
    assert (made["status"], made["reason"], till.holds()) == ("authorized", "", ["authorized"])
    assert made["version"] > version
    assert till.heard() == ["payment.answered", "payment.authorized"]
    till.capture()
    assert till.money() == (1000, 0)


@pytest.mark.parametrize(("token", "is_confirmed"), [(ASKS, False), (ASKS_AND_DECLINES, True)])
def test_a_payment_that_the_bank_declines_after_the_question_may_be_tried_with_another_card(
    till: Till, token: str, is_confirmed: bool
) -> None:
    till.attempt(token)
    till.confirm(is_confirmed=is_confirmed)
    made = till.attempt(token)
    assert (made["status"], made["reason"]) == ("declined", "authentication_required")
    assert till.heard() == ["payment.answered"]
    assert till.attempt(number=2)["status"] == "authorized"
    assert till.holds() == ["declined", "authorized"]


def test_a_declined_card_is_no_failure_until_the_payment_is_given_up(till: Till) -> None:
    for _ in range(2):
        made = till.attempt("tok_declined")
        assert (made["status"], made["detail"]) == ("declined", "Your bank declined the card.")
    assert till.heard() == []
    for _ in range(2):
        till.task("VoidPayment")
    assert (till.status(), till.heard()) == ("declined", ["payment.failed"])
    with pytest.raises(PaymentDeclined):
        till.attempt("tok_ok", 2)
    assert till.holds() == ["declined"]


def test_another_card_voids_what_waits_and_a_late_answer_to_the_bank_comes_too_late(till: Till) -> None:
    till.attempt(ASKS)
    assert till.attempt(number=2)["status"] == "authorized"
    till.confirm()
    hear()
    reconcile()
    assert till.holds() == ["voided", "authorized"]
    till.capture()
    assert (till.status(), till.holds()) == ("captured", ["voided", "captured"])


def test_another_card_after_the_first_was_authorized_is_not_needed(till: Till) -> None:
    till.attempt(ASKS)
    till.confirm()
    hear()
    made = till.attempt(number=2)
    assert (made["status"], made["attempt"], till.holds()) == ("authorized", 1, ["authorized"])


def test_a_hold_nobody_has_heard_of_is_let_go_of_before_another_card_is_asked(till: Till) -> None:
    till.attempt(ASKS)
    till.confirm()
    assert till.attempt(number=2)["attempt"] == 2
    assert till.holds() == ["voided", "authorized"]


def test_a_hold_that_the_bank_does_not_let_go_of_is_taken_instead_of_another(till: Till, faults: Faults) -> None:
    faults.arm(1, after_effect=True)
    with pytest.raises(TransientError):
        till.attempt("tok_void_declined")
    faults.arm(-1)
    assert (till.status(), till.holds()) == ("created", ["authorized"])
    made = till.attempt(number=2)
    assert (made["status"], till.holds()) == ("authorized", ["authorized"])
    till.capture()
    till.task("RefundPayment")
    assert till.status() == "refunded"


def test_a_call_for_an_attempt_before_the_current_one_touches_nothing(till: Till) -> None:
    till.attempt("tok_declined")
    till.attempt(ASKS, 2)
    assert till.attempt("tok_ok", 1)["status"] == "action_required"
    assert till.holds() == ["declined", "action_required"]


def test_several_cards_one_after_the_other_hold_once(till: Till) -> None:
    for number, token in enumerate(("tok_declined", ASKS, ASKS_FOR_EVER, "tok_anything"), 1):
        till.attempt(token, number)
    assert till.attempt(number=5)["status"] == "authorized"
    assert till.holds() == ["declined", "voided", "voided", "declined", "authorized"]
    assert till.heard() == ["payment.authorized"]


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_what_waits_for_its_buyer_is_voided_by_an_undo(till: Till, is_confirmed: bool) -> None:
    till.attempt(ASKS)
    till.attempt(ASKS, 2)
    if is_confirmed:
        till.confirm(2)
    for _ in range(2):
        till.task("VoidPayment")
    assert (till.status(), till.holds()) == ("voided", ["voided", "voided"])
    with pytest.raises(PaymentVoided):
        till.attempt(number=3)
    assert till.holds() == ["voided", "voided"]


def test_the_order_of_a_payment_that_waits_is_cancelled_and_the_reconciler_lets_go(till: Till) -> None:
    till.attempt(ASKS)
    usecases.record_order_status("o-1", "cancelled", wiring.ports(), utc_now())
    till.confirm()
    reconcile()
    assert till.holds() == ["voided"]


@EVERY_HALF
@pytest.mark.parametrize("token", ["tok_ok", ASKS, "tok_declined"])
@pytest.mark.parametrize("at", range(1, 4))
def test_a_second_attempt_that_dies_anywhere_holds_once(
    till: Till, faults: Faults, at: int, token: str, after_effect: bool
) -> None:
    """Its writes after the look for a payment: its beginning, the void of the first, the charge."""
    till.attempt(ASKS)
    till.confirm()
    faults.arm(at, after_effect=after_effect)
    with pytest.raises(TransientError):
        till.attempt(token, 2)
    faults.arm(-1)
    made = till.attempt(token, 2)
    status = {"tok_ok": "authorized", ASKS: "action_required", "tok_declined": "declined"}[token]
    assert (made["status"], till.holds()) == (status, ["voided", status])


@EVERY_HALF
@pytest.mark.parametrize("at", range(1, 5))
def test_a_second_attempt_that_dies_anywhere_leaves_nothing_after_an_undo(
    till: Till, faults: Faults, at: int, after_effect: bool
) -> None:
    till.attempt(ASKS)
    till.confirm()
    faults.arm(at, after_effect=after_effect)
    with pytest.raises(TransientError):
        till.attempt(number=2)
    faults.arm(-1)
    till.task("VoidPayment")
    with pytest.raises(PaymentVoided):
        till.attempt(number=2)
    assert set(till.holds()) == {"voided"}


def confirm_and_hear(till: Till) -> None:
    till.confirm()
    hear()


def confirm_and_reconcile(till: Till) -> None:
    till.confirm()
    reconcile()


OTHERS: dict[str, Callable[[Till], object]] = {
    "the first attempt again": lambda till: till.attempt(ASKS),
    "the bank's answer": confirm_and_hear,
    "the second attempt, twice": lambda till: till.attempt(number=2),
    "the reconciler": confirm_and_reconcile,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("at", range(6))
def test_anything_in_the_middle_of_a_second_attempt_and_one_hold_is_left(
    till: Till, faults: Faults, at: int, other: Callable[[Till], object]
) -> None:
    till.attempt(ASKS)

    def act() -> None:
        try:
            other(till)
        except TransientError:
            return

    faults.arm(at, meanwhile=act)
    till.attempt(number=2)
    assert till.holds().count("authorized") == 1
    assert till.attempt(number=2)["status"] == "authorized"
    till.capture()
    assert sorted(till.holds()) in (["captured"], ["captured", "voided"])


@pytest.mark.parametrize("at", range(6))
def test_an_undo_in_the_middle_of_a_second_attempt_wins(till: Till, faults: Faults, at: int) -> None:
    till.attempt(ASKS)
    till.confirm()
    faults.arm(at, meanwhile=lambda: till.task("VoidPayment"))
    try:
        till.attempt(number=2)
    except (PaymentVoided, TransientError):
        pass
    else:
        assert till.status() == "authorized"  # the undo had not begun
        till.task("VoidPayment")
    with pytest.raises(PaymentVoided):
        till.attempt(number=2)
    assert set(till.holds()) == {"voided"}


def answer(till: Till, outcome: str, user: str = "u-1") -> int:
    path = f"/payments/sandbox/challenges/{charge_id_of(PAYMENT)}"
    return till.call("POST", path, {"outcome": outcome}, role="customer", user=user)[0]


@pytest.mark.parametrize(("outcome", "status"), [("confirmed", "authorized"), ("refused", "declined")])
def test_the_buyer_answers_the_sandboxs_bank_once(till: Till, outcome: str, status: str) -> None:
    till.attempt(ASKS)
    assert [answer(till, outcome), answer(till, "refused"), answer(till, "confirmed")] == [204, 204, 204]
    assert (till.status(), till.holds()) == (status, [status])
    assert till.heard().count("payment.answered") == 1


def test_only_the_buyer_answers_the_bank(till: Till) -> None:
    till.attempt(ASKS)
    assert answer(till, "confirmed", user="another") == 404
    assert till.holds() == ["action_required"]


def test_a_shop_with_another_provider_has_no_bank_of_its_own(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.attempt(ASKS)
    monkeypatch.setenv("PAYMENT_PROVIDER", "stripe")
    monkeypatch.setenv("STRIPE_KEY_ID", "key")
    wiring.ports.cache_clear()
    assert answer(till, "confirmed") == 404


def test_a_card_that_was_declined_and_holds_money_late_is_let_go_of_beside_the_one_that_pays(till: Till) -> None:
    till.attempt("tok_declined")
    assert till.attempt(number=2)["status"] == "authorized"
    late = update(
        f"SANDBOX#CHARGE#{charge_id_of(PAYMENT)}",
        "CHARGE",
        "SET #status = :held",
        names={"#status": "status"},
        values={":held": ChargeStatus.AUTHORIZED},
    )
    till.table.write(late)
    hear(1)
    assert till.holds() == ["voided", "authorized"]
    till.capture()
    assert till.money() == (1000, 0)
