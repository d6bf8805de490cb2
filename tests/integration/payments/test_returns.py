"""What payments does when goods are returned."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from payments import consumers
from payments.providers.port import ProviderDeclined, ProviderTimeout
from payments.providers.sandbox import Sandbox
from tests.kit import aws_events
from tests.kit.given import published


def hear(amount: int, refund_id: str = "ref-1", **more: str) -> list[Any]:
    money = {"amount": amount, "currency": "GBP"}
    data = {"order_id": "o-1", "refund_id": refund_id, "amount": money} | more
    event = published("order.return_received", "o-1", data, id=f"e-{refund_id}")
    batch = aws_events.records(aws_events.bus_record(event, "shop-payments"))
    failures: list[Any] = consumers.handler(batch, None)["batchItemFailures"]
    return failures


def refunds(till: Any) -> list[tuple[str, int, str]]:
    return [
        (data["refund_id"], data["amount"]["amount"], data["reason"])
        for kind, data in till.events()
        if kind == "payment.refunded"
    ]


@pytest.fixture
def dlq(cloud: None) -> Any:
    queue = boto3.resource("sqs", "us-east-1").create_queue(QueueName="shop-payments-dlq")
    return lambda: [
        message.message_attributes["reason"]["StringValue"]
        for message in queue.receive_messages(MessageAttributeNames=["All"])
    ]


@pytest.mark.parametrize("reason", ["undelivered", "lost"])
def test_a_parcel_that_was_not_delivered_is_refunded_once_and_the_customer_reads_why(till: Any, reason: str) -> None:
    till.paid()
    assert [hear(1000, reason=reason), hear(1000, reason=reason)] == [[], []]
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert refunds(till) == [("ref-1", 1000, "Your parcel could not be delivered.")]


def test_a_return_is_refunded_once_with_its_own_key(till: Any) -> None:
    till.paid()
    assert [hear(400), hear(400)] == [[], []]
    assert (till.status(), till.money()) == ("partially_refunded", (1000, 400))
    assert refunds(till) == [("ref-1", 400, "You returned goods.")]


def test_a_return_that_an_older_release_accepted_is_refunded_and_its_receipt_is_the_same_refund(till: Any) -> None:
    till.paid()
    data = {"order_id": "o-1", "refund_id": "ref-1", "amount": {"amount": 400, "currency": "GBP"}}
    event = published("order.return_accepted", "o-1", data, id="e-old")
    batch = aws_events.records(aws_events.bus_record(event, "shop-payments"))
    assert consumers.handler(batch, None)["batchItemFailures"] == hear(400) == []
    assert refunds(till) == [("ref-1", 400, "You returned goods.")]


def test_several_returns_add_up(till: Any) -> None:
    till.paid()
    assert [hear(400, "ref-1"), hear(600, "ref-2")] == [[], []]
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))


def test_never_more_than_was_captured_goes_back(till: Any) -> None:
    """An admin's refund came first: the rest is refunded, and a second delivery refunds nothing."""
    till.paid()
    till.refund(700)
    assert [hear(400), hear(400)] == [[], []]
    assert till.money() == (1000, 1000)
    assert refunds(till)[1:] == [("ref-1", 300, "You returned goods.")]
    assert hear(400, "ref-2") == []
    assert till.money() == (1000, 1000)
    assert len(refunds(till)) == 2


def test_a_refund_that_is_under_way_takes_nothing_from_a_return_where_it_is_refused(
    till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin's refund of everything has claimed the money, and the provider refuses it in the end."""
    till.paid()
    give_back, asked = Sandbox.refund, []

    def refuse_the_admin(self: Sandbox, charge_id: str, amount: Any, key: str) -> None:
        asked.append(key)
        if key == "ref-1":
            give_back(self, charge_id, amount, key)
        elif len(asked) == 1:
            raise ProviderTimeout("no answer")
        else:
            raise ProviderDeclined("refused", "Not now.")

    monkeypatch.setattr(Sandbox, "refund", refuse_the_admin)
    assert till.refund(1000)[0] == 503
    assert hear(400) == []
    assert (till.status(), till.money()) == ("partially_refunded", (1000, 400))
    assert refunds(till) == [("ref-1", 400, "You returned goods.")]


def test_a_return_whose_money_is_back_already_asks_for_nothing(till: Any) -> None:
    till.paid()
    assert hear(0) == []
    assert till.money() == (1000, 0)


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(3))
def test_a_refund_that_dies_anywhere_is_finished_by_the_next_delivery(
    till: Any, faults: Any, at: int, after_effect: bool
) -> None:
    till.paid()
    faults.arm(at, after_effect=after_effect)
    hear(400)
    faults.arm(-1)
    assert hear(400) == []
    assert till.money() == (1000, 400)
    assert len(refunds(till)) == 1


def test_a_provider_that_does_not_answer_is_asked_again_with_the_same_key(
    till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.paid()
    give_back, keys = Sandbox.refund, []

    def lose_the_first_answer(self: Sandbox, charge_id: str, amount: Any, key: str) -> None:
        keys.append(key)
        give_back(self, charge_id, amount, key)
        if len(keys) == 1:
            raise ProviderTimeout("no answer")

    monkeypatch.setattr(Sandbox, "refund", lose_the_first_answer)
    assert hear(400) == [{"itemIdentifier": "m-1"}]
    assert hear(400) == []
    assert keys == ["ref-1", "ref-1"]
    assert till.money() == (1000, 400)


def test_a_refusal_of_the_provider_is_put_aside_for_a_person(
    till: Any, dlq: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.paid()

    def refuse(self: Sandbox, charge_id: str, amount: Any, key: str) -> None:
        raise ProviderDeclined("refused", "The card is closed.")

    monkeypatch.setattr(Sandbox, "refund", refuse)
    assert hear(400) == []
    assert dlq() == ["refund-refused"]
    assert (till.money(), refunds(till)) == ((1000, 0), [])


def test_a_return_of_what_was_never_paid_is_put_aside(till: Any, dlq: Any) -> None:
    till.authorize()
    assert hear(400) == []
    assert dlq() == ["not-refundable"]
