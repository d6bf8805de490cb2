"""The sandbox as a provider: the same key gets the same response."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.money import Money
from payments.domain import Charge, Intent
from payments.providers.port import ProviderDeclined, ProviderTimeout, ProviderUnavailable
from payments.providers.sandbox import charge_id_of

TEN = Money(amount=1000, currency="GBP")


def intent(reference: str) -> Intent:
    return Intent(charge_id_of(reference), reference, TEN)


def authorized(provider: Any) -> Charge:
    charge: Charge = provider.authorize(intent("ref-1"), "tok_ok", "key-a")
    return charge


def test_the_same_key_gets_the_same_answer_even_after_the_charge_moved_on(till: Any) -> None:
    first = authorized(till.provider)
    till.provider.capture(first.charge_id, "key-c")
    assert authorized(till.provider) == first
    assert till.provider.find(charge_id_of("ref-1")).status == "captured"


def test_the_same_key_for_something_else_is_refused(till: Any) -> None:
    authorized(till.provider)
    with pytest.raises(ProviderDeclined, match="key_reused"):
        till.provider.authorize(intent("ref-2"), "tok_ok", "key-a")
    assert till.provider.find(charge_id_of("ref-2")) is None


def test_one_reference_is_charged_once_whatever_the_key(till: Any) -> None:
    authorized(till.provider)
    with pytest.raises(ProviderDeclined):
        till.provider.authorize(intent("ref-1"), "tok_ok", "key-b")


def test_a_charge_is_captured_or_voided_but_not_both(till: Any) -> None:
    charge = authorized(till.provider)
    till.provider.void(charge.charge_id, "key-v")
    assert till.provider.void(charge.charge_id, "key-v").status == "voided"
    with pytest.raises(ProviderDeclined):
        till.provider.capture(charge.charge_id, "key-c")
    assert till.provider.find(charge_id_of("ref-1")).status == "voided"


def test_refunds_never_exceed_the_charge(till: Any) -> None:
    charge = authorized(till.provider)
    with pytest.raises(ProviderDeclined):
        till.provider.refund(charge.charge_id, TEN, "key-early")
    till.provider.capture(charge.charge_id, "key-c")
    for _ in range(2):
        till.provider.refund(charge.charge_id, Money(amount=700, currency="GBP"), "key-r")
    with pytest.raises(ProviderDeclined):
        till.provider.refund(charge.charge_id, Money(amount=301, currency="GBP"), "key-s")
    with pytest.raises(ProviderDeclined, match="wrong_currency"):
        till.provider.refund(charge.charge_id, Money(amount=1, currency="EUR"), "key-t")
    till.provider.refund(charge.charge_id, Money(amount=300, currency="GBP"), "key-u")


def test_a_lost_answer_has_taken_effect_and_an_error_has_not(till: Any) -> None:
    with pytest.raises(ProviderTimeout):
        till.provider.authorize(intent("ref-1"), "tok_timeout_once", "key-a")
    assert till.provider.find(charge_id_of("ref-1")).status == "authorized"
    with pytest.raises(ProviderUnavailable):
        till.provider.authorize(intent("ref-2"), "tok_error_once", "key-b")
    assert till.provider.find(charge_id_of("ref-2")) is None
    assert till.provider.authorize(intent("ref-2"), "tok_error_once", "key-b").status == "authorized"


def test_an_unavailable_provider_never_charges(till: Any) -> None:
    for _ in range(3):
        with pytest.raises(ProviderTimeout):
            till.provider.authorize(intent("ref-1"), "tok_unavailable", "key-a")
    assert till.provider.find(charge_id_of("ref-1")) is None


def test_an_unknown_charge_is_refused(till: Any) -> None:
    with pytest.raises(ProviderDeclined, match="unknown_charge"):
        till.provider.capture("ch_nowhere", "key-c")
