import json
from dataclasses import replace
from typing import Any

import pytest

from mercato.store.dynamo import Table
from shipping import wiring
from shipping.usecases import booking_key_of, shipment_id_of

SHIPMENT = shipment_id_of("order-1")


class Killed(BaseException):
    """The process ends here."""


def test_a_confirmed_order_becomes_a_shipment_that_waits_for_its_payment(service: Any) -> None:
    assert service.confirm() == []
    ids = {"shipment_id": SHIPMENT, "order_id": "order-1", "customer_id": "user-1"}
    assert service.announced() == [("shipment.created", ids)]
    assert service.status == "pending"
    assert service.waiting() == [], "nothing is handed to the carrier before it is paid"


def test_a_payment_alone_hands_nothing_to_the_carrier(service: Any) -> None:
    assert service.pay() == []
    assert (service.status, service.told, service.waiting()) == ("pending", [], [])


@pytest.mark.parametrize("first", ["confirm", "pay"])
def test_with_both_the_carrier_is_told_once(service: Any, first: str) -> None:
    for fact in ("confirm", "pay") if first == "confirm" else ("pay", "confirm"):
        assert getattr(service, fact)() == []
    (message,) = service.waiting()
    detail = json.loads(message["body"])["detail"]
    assert detail["data"] == {
        "shipment_id": SHIPMENT,
        "booking_key": booking_key_of(SHIPMENT),
        "stop": "dispatched",
    }
    assert detail["correlationid"] == "request-0001"
    assert service.status == "booked"
    assert service.told == ["shipment.created"]


def test_doubled_events_change_nothing_and_book_nothing_twice(service: Any) -> None:
    for _ in range(3):
        assert service.confirm() == []
        assert service.pay() == []
    assert len(service.waiting()) == 1
    assert service.told == ["shipment.created"]


@pytest.mark.parametrize("again", ["confirm", "pay"])
def test_killed_before_the_carrier_is_told_the_next_delivery_tells_it(
    service: Any, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    service.confirm()
    with monkeypatch.context() as patch:
        patch.setattr("shipping.sandbox.SandboxCarrier.book", die)
        with pytest.raises(Killed):
            service.pay()
    assert (service.status, service.waiting()) == ("booked", [])
    assert getattr(service, again)() == []
    assert len(service.waiting()) == 1


def test_killed_after_the_carrier_was_told_it_is_told_again_and_the_parcel_moves_once(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    service.confirm()
    with monkeypatch.context() as patch:
        patch.setattr("shipping.domain.hand_over", die)
        with pytest.raises(Killed):
            service.pay()
    assert service.pay() == []
    service.carry_to_the_end()
    assert service.told == ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]


def test_a_carrier_that_is_away_is_told_by_a_later_delivery(service: Any) -> None:
    service.confirm()
    working = wiring.ports().carrier_settings
    wiring.ports().carrier_settings = replace(
        working, carrier_queue_url="https://sqs.us-east-1.amazonaws.com/123456789012/gone"
    )
    assert service.pay() == ["m-paid-1"]
    wiring.ports().carrier_settings = working
    assert service.pay() == []
    assert len(service.waiting()) == 1


def test_a_cancelled_order_is_not_shipped(service: Any) -> None:
    service.confirm()
    service.cancel()
    service.pay()
    assert (service.status, service.waiting(), service.told) == ("cancelled", [], ["shipment.created"])


def test_a_cancellation_that_comes_first_leaves_a_tombstone(service: Any) -> None:
    assert service.cancel() == []
    assert service.confirm() == []
    assert service.pay() == []
    assert (service.status, service.waiting(), service.told) == ("cancelled", [], [])


def test_a_booked_shipment_is_cancelled_before_the_carrier_takes_it(service: Any) -> None:
    service.confirm()
    service.pay()
    service.cancel()
    service.carry_to_the_end()
    assert service.status == "cancelled"
    assert service.told == ["shipment.created"]


def test_a_cancellation_after_dispatch_comes_too_late(service: Any) -> None:
    service.confirm()
    service.pay()
    service.carry(*service.waiting())
    assert service.cancel() == []
    assert service.status == "dispatched"


def test_two_events_at_once_lose_neither(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    transact = Table.transact
    raced: list[bool] = []

    def transact_after_another(table: Table, writes: list[Any], *, token: str | None = None) -> None:
        if not raced:
            raced.append(True)
            assert service.pay() == []
        transact(table, writes, token=token)

    monkeypatch.setattr(Table, "transact", transact_after_another)
    assert service.confirm() == []
    assert service.status == "booked"
    assert len(service.waiting()) == 1
    assert service.told == ["shipment.created"]


def test_an_event_without_an_address_goes_to_the_dead_letters(service: Any) -> None:
    assert service.receive("order.confirmed", "bad-1", {"lines": []}) == []
    url = service.sqs.get_queue_url(QueueName="shop-shipping-dlq")["QueueUrl"]
    (message,) = service.sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["reason"]["StringValue"] == "malformed"
    assert service.status is None
