"""Attempts with Stripe: the buyer confirms with Stripe's script, or brings another card."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.ids import derived_id
from payments import usecases, wiring
from payments.providers.webhooks import ChargeChanged
from tests.integration.payments.localstripe import Trouble
from tests.integration.payments.stripe_till import VISA, StripeTill

DECLINED = "pm_card_chargeCustomerFail"


def card_that_asks(till: StripeTill) -> str:
    card = {"number": "4000002500003155", "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    fields = {f"card[{name}]": value for name, value in card.items()}
    return str(till.wire.post("/v1/payment_methods", type="card", **fields)["id"])


def answer(till: StripeTill, intent: dict[str, Any], *, success: bool = True) -> None:
    """What Stripe.js does with the client secret."""
    fields = {"client_secret": intent["client_secret"], "success": str(success).lower()}
    till.wire.post(f"/v1/payment_intents/{intent['id']}/_authenticate", **fields)


def hear(intent: dict[str, Any]) -> None:
    usecases.observe(ChargeChanged("evt_1", charge_id=intent["id"]), wiring.ports(), utc_now())


def test_the_buyer_confirms_with_the_client_secret_and_the_money_is_held(stripe_till: StripeTill) -> None:
    token = card_that_asks(stripe_till)
    made = stripe_till.attempt(token)
    intent = stripe_till.charge()
    assert made["status"] == "action_required"
    assert made["action"] == {"url": "", "client_secret": intent["client_secret"]}
    answer(stripe_till, intent)
    assert stripe_till.attempt(token)["status"] == "authorized"
    stripe_till.capture()
    assert (stripe_till.money(), stripe_till.everything()) == ((1000, 0), ["succeeded"])


def test_a_webhook_says_that_the_buyer_has_confirmed(stripe_till: StripeTill) -> None:
    stripe_till.attempt(card_that_asks(stripe_till))
    answer(stripe_till, stripe_till.charge())
    hear(stripe_till.charge())
    assert (stripe_till.status(), stripe_till.held()) == ("authorized", "requires_capture")
    assert stripe_till.heard() == ["payment.answered", "payment.authorized"]


def test_a_buyer_who_fails_at_the_bank_uses_another_card(stripe_till: StripeTill) -> None:
    token = card_that_asks(stripe_till)
    stripe_till.attempt(token)
    answer(stripe_till, stripe_till.charge(), success=False)
    made = stripe_till.attempt(token)
    assert (made["status"], made["reason"]) == ("declined", "payment_intent_authentication_failure")
    assert stripe_till.attempt(VISA, 2)["status"] == "authorized"
    assert sorted(stripe_till.everything()) == ["canceled", "requires_capture"]


def test_each_attempt_has_its_own_keys(stripe_till: StripeTill) -> None:
    stripe_till.attempt(DECLINED)
    stripe_till.attempt(VISA, 2)
    stripe_till.attempt(VISA, 2)
    keys = [key for method, path, key in stripe_till.wire.calls if method == "POST" and "cancel" not in path]
    first, second = (
        [derived_id("o-1", step) for step in ("prepare", "authorize")],
        [derived_id("o-1", step, "2") for step in ("prepare", "authorize")],
    )
    assert keys == [*first, *second]
    assert stripe_till.charge()["metadata"]["payment_id"].endswith(":2")


@pytest.mark.parametrize(
    ("path", "trouble"),
    [
        (path, trouble)
        for path in ("/cancel", "/payment_intents", "/confirm")
        for trouble in (Trouble.LOST, Trouble.AWAY, Trouble.BROKEN)
        if (path, trouble) != ("/payment_intents", Trouble.BROKEN)  # Stripe repeats that answer, so the attempt fails
    ],
)
def test_another_card_after_any_trouble_of_its_calls_is_one_hold(
    stripe_till: StripeTill, path: str, trouble: Trouble
) -> None:
    stripe_till.attempt(card_that_asks(stripe_till))
    answer(stripe_till, stripe_till.charge())
    stripe_till.wire.fail(path, trouble)
    with suppress(TransientError):
        stripe_till.attempt(VISA, 2)
    assert stripe_till.attempt(VISA, 2)["status"] == "authorized"
    assert stripe_till.everything().count("requires_capture") == 1


def test_an_answer_to_the_bank_after_another_card_was_taken_finds_nothing_to_confirm(stripe_till: StripeTill) -> None:
    stripe_till.attempt(card_that_asks(stripe_till))
    first = stripe_till.charge()
    stripe_till.attempt(VISA, 2)
    answer(stripe_till, first)
    hear(first)
    assert sorted(stripe_till.everything()) == ["canceled", "requires_capture"]
    stripe_till.capture()
    assert stripe_till.money() == (1000, 0)
