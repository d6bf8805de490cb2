"""The provider's circuit: an outage opens it for all customers, one customer's card does not open it."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.breaker import shared
from mercato.errors import TransientError
from mercato.ids import derived_id
from payments.providers.guarded import CIRCUIT, POLICY
from payments.providers.sandbox import charge_id_of


def authorize(till: Any, order: str, token: str) -> Any:
    money = {"amount": 1000, "currency": "GBP"}
    return till.task("AuthorizePayment", order_id=order, customer_id="u-1", amount=money, payment_token=token)


def fail(till: Any, order: str, token: str) -> str:
    with pytest.raises(TransientError) as failed:
        authorize(till, order, token)
    assert type(failed.value) is TransientError
    return str(failed.value).removeprefix("TransientError: ").partition(":")[0]


def status() -> str:
    return shared.breaker_for(CIRCUIT, POLICY).view.state.st


def test_one_card_that_never_answers_opens_the_circuit_for_nobody(till: Any) -> None:
    for number in range(12):
        assert fail(till, f"bad-{number}", "tok_unavailable") == "ProviderTimeout"
    assert authorize(till, "good", "tok_ok")["payment_id"]
    assert status() == "C"


def test_a_provider_that_answers_no_card_is_left_alone_after_five_failures(till: Any) -> None:
    for number in range(5):
        assert fail(till, f"bad-{number}", f"tok_unavailable:{number}") == "ProviderTimeout"
    assert status() == "O"
    assert fail(till, "good", "tok_ok") == "CircuitOpen"
    assert till.provider.find(charge_id_of(derived_id("payment", "good"))) is None


def test_an_order_that_meets_an_open_circuit_ends_as_with_a_provider_that_is_away(till: Any) -> None:
    for number in range(5):
        fail(till, f"bad-{number}", f"tok_unavailable:{number}")
    with pytest.raises(TransientError):
        till.authorize()
    till.task("VoidPayment")
    ((kind, data),) = till.events()
    assert (kind, data["reason"]) == ("payment.failed", "provider_unavailable")
    assert till.held() == "voided"


def test_an_open_circuit_does_not_hinder_what_undoes(till: Any) -> None:
    till.paid()
    for number in range(5):
        fail(till, f"bad-{number}", f"tok_unavailable:{number}")
    till.task("RefundPayment")
    assert till.money() == (1000, 1000)


def test_declines_are_answers_and_never_open_it(till: Any) -> None:
    for number in range(20):
        with pytest.raises(Exception, match="declined"):
            authorize(till, f"o-{number}", f"tok_declined:{number}")
    assert status() == "C"


def test_no_token_is_kept_in_the_circuit(till: Any) -> None:
    for number in range(5):
        fail(till, f"bad-{number}", f"tok_unavailable:{number}")
    item = till.table.__class__("CircuitsTable").get(f"CB#{CIRCUIT}", "STATE")
    assert item is not None
    assert "tok_" not in str(item)
