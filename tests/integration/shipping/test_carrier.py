import json
from typing import Any

import pytest

from mercato.errors import TransientError
from shipping.sandbox import SandboxCarrier, tracking_number_of
from shipping.usecases import booking_key_of, shipment_id_of

SHIPMENT = shipment_id_of("order-1")
WHOLE_WAY = ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def booked(service: Any) -> Any:
    service.confirm()
    service.pay()
    return service


def test_a_parcel_is_brought_to_its_ingress_step_by_step(booked: Any) -> None:
    statuses = []
    while records := booked.waiting():
        assert booked.carry(*records) == []
        statuses.append(booked.status)
    assert statuses == ["dispatched", "in_transit", "delivered"]
    assert booked.told == WHOLE_WAY


def test_a_dispatched_parcel_is_announced_with_carrier_and_number(booked: Any) -> None:
    booked.carry(*booked.waiting())
    assert booked.announced()[1] == (
        "shipment.dispatched",
        {
            "shipment_id": SHIPMENT,
            "order_id": "order-1",
            "customer_id": "user-1",
            "carrier": "sandbox",
            "tracking_number": tracking_number_of(booking_key_of(SHIPMENT)),
            "tracking_url": None,
        },
    )


def test_the_number_of_a_booking_never_changes() -> None:
    assert tracking_number_of("5d6aa9d2-6c3f-5f07-9c1e-0c6e4a2f7b11") == "SBX726259927825"


def test_the_correlation_goes_with_the_parcel(booked: Any) -> None:
    booked.carry_to_the_end()
    items = booked.table.query(f"OUTBOX#{SHIPMENT}").items
    assert {json.loads(item["event"])["correlationid"] for item in items} == {"request-0001"}


def test_every_message_delivered_twice_moves_the_parcel_once(booked: Any) -> None:
    taken = 0
    while records := booked.waiting():
        taken += len(records)
        assert booked.carry(*records) == []
        assert booked.carry(*records) == []
        assert taken < 20
    assert booked.told == WHOLE_WAY


def test_killed_between_the_move_and_the_next_message_the_redelivery_sends_it(
    booked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    records = booked.waiting()
    with monkeypatch.context() as patch:
        patch.setattr(SandboxCarrier, "schedule", die)
        with pytest.raises(Killed):
            booked.carry(*records)
    assert (booked.status, booked.waiting()) == ("dispatched", [])
    assert booked.carry(*records) == []
    booked.carry_to_the_end()
    assert booked.told == WHOLE_WAY


def test_a_message_that_fails_is_reported_alone(booked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (good,) = booked.waiting()
    other = json.loads(good["body"])
    other["detail"]["data"] |= {"shipment_id": "another", "stop": "in_transit"}
    bad = good | {"messageId": "bad", "body": json.dumps(other)}
    load = booked.store.load

    def fail_for_the_other(shipment_id: str) -> Any:
        if shipment_id == "another":
            raise TransientError("throttled")
        return load(shipment_id)

    monkeypatch.setattr(booked.store, "load", fail_for_the_other)
    assert booked.carry(bad, good) == ["bad"]
    assert booked.status == "dispatched"


def test_a_late_message_for_a_stop_left_behind_starts_no_second_chain(booked: Any) -> None:
    first = booked.waiting()
    booked.carry(*first)
    booked.carry(*booked.waiting())
    booked.waiting()
    assert booked.carry(*first) == []
    assert booked.waiting() == []


@pytest.mark.parametrize("body", ["{}", "not json", '{"detail": {"type": "sandbox_carrier.parcel_due"}}'])
def test_what_cannot_be_read_goes_to_the_carriers_dead_letters(booked: Any, body: str) -> None:
    (record,) = booked.waiting()
    assert booked.carry(record | {"body": body}) == []
    (message,) = booked.sqs.receive_message(QueueUrl=booked.dead_letters)["Messages"]
    assert message["Body"] == body
    assert booked.status == "booked"


def test_a_parcel_nobody_knows_goes_to_the_carriers_dead_letters(booked: Any) -> None:
    (record,) = booked.waiting()
    body = json.loads(record["body"])
    body["detail"]["data"]["shipment_id"] = "unknown"
    assert booked.carry(record | {"body": json.dumps(body)}) == []
    (message,) = booked.sqs.receive_message(QueueUrl=booked.dead_letters, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["reason"]["StringValue"] == "shipment-not-found"


def test_each_step_waits_as_long_as_the_settings_say(service: Any, monkeypatch: pytest.MonkeyPatch, noon: Any) -> None:
    sent: list[dict[str, Any]] = []

    class Sqs:
        def send_message(self, **call: Any) -> None:
            sent.append(call)

    monkeypatch.setattr("shipping.sandbox.aws.client", lambda _: Sqs())
    SandboxCarrier("queue", 900, service.table, noon).schedule("shipment-1", "key-1", "dispatched")  # type: ignore[arg-type]
    assert [(call["QueueUrl"], call["DelaySeconds"]) for call in sent] == [("queue", 900)]
