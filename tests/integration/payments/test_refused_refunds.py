"""Refunds that the provider refuses, and their retries after it has recovered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import boto3
import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.money import Money
from payments import reconciler, wiring
from payments.providers.port import ProviderDeclined, ProviderTimeout
from payments.providers.sandbox import Sandbox, charge_id_of
from payments.refund import RefundRefused, RefundStatus
from tests.integration.payments.test_returns import hear, refunds
from tests.integration.payments.till import PAYMENT, Till

REFUND = derived_id("o-1", "refund")


@dataclass
class Moody:
    """A provider that refuses each new key while it has no money. A key gets the same response permanently."""

    keys: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    is_well: bool = False
    meanwhile: Callable[[], object] | None = None


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Moody:
    mood, give_back = Moody(), Sandbox.refund

    def refund(self: Sandbox, charge_id: str, amount: Money, key: str) -> None:
        mood.keys.append(key)
        act, mood.meanwhile = mood.meanwhile, None
        if act:
            act()
        if key in mood.refused or not mood.is_well:
            mood.refused.add(key)
            raise ProviderDeclined("balance_insufficient", "There is not enough money on the account.")
        give_back(self, charge_id, amount, key)

    monkeypatch.setattr(Sandbox, "refund", refund)
    return mood


def run(minutes: int = 60) -> reconciler.Outcome:
    return reconciler.reconcile(wiring.ports(), utc_now() + timedelta(minutes=minutes), lambda: True)


def undo(till: Till) -> None:
    till.task("RefundPayment", reason="cancelled")


def undo_refused(till: Till, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(RefundRefused):
            undo(till)


def test_a_saga_that_retries_a_refused_refund_makes_a_new_attempt_with_a_key_of_its_own(
    till: Till, moody: Moody
) -> None:
    till.paid()
    undo_refused(till, times=2)
    moody.is_well = True
    undo(till)
    undo(till)
    assert moody.keys == [REFUND, f"{REFUND}:2", f"{REFUND}:3"]
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert refunds(till) == [(REFUND, 1000, "cancelled")]


def test_an_attempt_whose_answer_is_lost_is_asked_again_with_its_own_key(
    till: Till, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.paid()
    undo_refused(till)
    moody.is_well, give_back = True, Sandbox.refund

    def lose(self: Sandbox, charge_id: str, amount: Money, key: str) -> None:
        give_back(self, charge_id, amount, key)
        raise ProviderTimeout("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "refund", lose)
        with pytest.raises(TransientError):
            undo(till)
    undo(till)
    assert moody.keys == [REFUND, f"{REFUND}:2", f"{REFUND}:2"]
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))


def test_one_call_makes_one_attempt_also_where_it_finds_one_under_way(
    till: Till, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.paid()

    def away(*_: Any) -> None:
        raise ProviderTimeout("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "refund", away)
        with pytest.raises(TransientError):
            undo(till)
    undo_refused(till)
    assert moody.keys == [REFUND]


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(1, 4))
def test_a_new_attempt_that_dies_anywhere_gives_back_once(
    till: Till, moody: Moody, faults: Any, at: int, after_effect: bool
) -> None:
    """Its writes after the read: the claim, the provider's refund, the end."""
    till.paid()
    undo_refused(till)
    moody.is_well = True
    faults.arm(at, after_effect=after_effect)
    with pytest.raises(TransientError):
        undo(till)
    faults.arm(-1)
    undo(till)
    assert set(moody.keys) == {REFUND, f"{REFUND}:2"}
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert till.heard().count("payment.refunded") == 1


@pytest.mark.parametrize("at", range(1, 4))
def test_two_who_ask_again_at_once_give_back_once(till: Till, moody: Moody, faults: Any, at: int) -> None:
    till.paid()
    undo_refused(till)
    moody.is_well = True
    faults.arm(at, meanwhile=lambda: undo(till))
    undo(till)
    assert set(moody.keys) == {REFUND, f"{REFUND}:2"}
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert till.heard().count("payment.refunded") == 1


def test_a_late_answer_to_an_earlier_attempt_does_not_end_the_one_that_is_under_way(till: Till, moody: Moody) -> None:
    """While the first refusal is slow, another request gets the refusal, and its retry has no answer at attempt two."""
    till.paid()

    def no_answer() -> None:
        raise ProviderTimeout("no answer")

    def overtake() -> None:
        undo_refused(till)
        moody.meanwhile = no_answer
        with pytest.raises(TransientError):
            undo(till)

    moody.meanwhile = overtake
    with pytest.raises(TransientError, match="is at attempt 2"):
        undo(till)
    assert moody.keys == [REFUND, REFUND, f"{REFUND}:2"]
    under_way = wiring.ports().payments.refund(PAYMENT, REFUND)
    assert under_way
    assert (under_way.status, under_way.attempt) == (RefundStatus.PENDING, 2)

    moody.is_well = True
    undo(till)
    assert moody.keys[3:] == [f"{REFUND}:2"]
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))


def test_what_was_given_back_meanwhile_is_not_in_the_new_attempt(till: Till, moody: Moody) -> None:
    till.paid()
    undo_refused(till)
    moody.is_well = True
    assert till.refund(300)[0] == 201
    undo(till)
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert sorted(amount for _, amount, _ in refunds(till)) == [300, 700]


def test_the_reconciler_leaves_a_refused_refund_to_the_operator_and_keeps_it_in_sight(till: Till, moody: Moody) -> None:
    """The provider has answered, so the alarm for unreconciled payments must not count it."""
    till.paid()
    undo_refused(till)
    for _ in range(3):
        assert vars(run()) == {"asked": 1, "repaired": 0, "left": 0, "mismatches": 1}
    assert moody.keys == [REFUND]
    told = [found.kind for found in reconciler.mismatches(wiring.ports().payments, utc_now() + timedelta(hours=1))]
    assert told == ["undo-unfinished"]
    moody.is_well = True
    assert run().left == 0
    assert till.money() == (1000, 0)
    undo(till)
    assert till.money() == (1000, 1000)


def test_the_same_idempotency_key_hears_the_refusal_again_and_a_new_one_asks_again(till: Till, moody: Moody) -> None:
    till.paid()
    first = till.refund(400, "k-1")
    moody.is_well = True
    assert (first[0], first[1]["type"]) == (409, "urn:mercato:problem:refund-refused")
    assert till.refund(400, "k-1")[1]["type"] == "urn:mercato:problem:refund-refused"
    assert till.money() == (1000, 0)
    assert till.refund(400, "k-2")[0] == 201
    assert till.money() == (1000, 400)
    assert len(moody.keys) == 2


def test_an_operator_sees_what_was_refused(till: Till, moody: Moody) -> None:
    till.paid()
    undo_refused(till)
    _, shown = till.call("GET", f"/payments/{PAYMENT}")
    assert [(refund["refund_id"], refund["status"]) for refund in shown["refunds"]] == [(REFUND, "refused")]


@pytest.fixture
def dlq(cloud: None) -> Any:
    queue = boto3.resource("sqs", "us-east-1").create_queue(QueueName="shop-payments-dlq")
    return lambda: [
        message.message_attributes["reason"]["StringValue"]
        for message in queue.receive_messages(MessageAttributeNames=["All"])
    ]


def test_a_return_that_was_refused_is_paid_when_its_dead_letter_is_redriven(till: Till, moody: Moody, dlq: Any) -> None:
    till.paid()
    assert hear(400) == []
    assert dlq() == ["refund-refused"]
    moody.is_well = True
    assert [hear(400), hear(400)] == [[], []]
    assert moody.keys == ["ref-1", "ref-1:2"]
    assert refunds(till) == [("ref-1", 400, "You returned goods.")]
    assert till.money() == (1000, 400)


def test_a_redriven_return_does_not_give_again_what_somebody_gave_back_at_the_provider(
    till: Till, moody: Moody, dlq: Any
) -> None:
    till.paid()
    assert hear(1000) == []
    moody.is_well = True
    till.provider.refund(charge_id_of(PAYMENT), Money(amount=700, currency="GBP"), "by hand")
    assert hear(1000) == []
    charge = till.provider.find(charge_id_of(PAYMENT))
    assert charge
    assert charge.refunded == 1000
    assert refunds(till) == [("ref-1", 300, "You returned goods.")]


def test_the_sandbox_says_to_a_key_what_it_said_before(till: Till) -> None:
    till.authorize("tok_refund_declined")
    till.capture()
    undo_refused(till)
    key = {"pk": f"SANDBOX#CHARGE#{charge_id_of(PAYMENT)}", "sk": "CHARGE"}
    boto3.resource("dynamodb", "us-east-1").Table(till.table.name).update_item(
        Key=key, UpdateExpression="SET fault = :none", ExpressionAttributeValues={":none": ""}
    )
    with pytest.raises(ProviderDeclined):
        till.provider.refund(charge_id_of(PAYMENT), Money(amount=1000, currency="GBP"), REFUND)
    undo(till)
    assert till.money() == (1000, 1000)
