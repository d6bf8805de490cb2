"""What the orders service does with the events that it consumes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mercato import aws
from orders.order import PaymentStatus, Status
from tests.integration.orders.conftest import Shop

PAYMENT = {
    "payment_id": "pay-1",
    "customer_id": "cust-1",
    "amount": {"amount": 4500, "currency": "GBP"},
}
SHIPMENT = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}
DELIVERED = {"shipment_id": "shp-1", "customer_id": "cust-1"}
REFUND = PAYMENT | {"refund_id": "ref-1", "reason": "chip"}


class Machine:
    """A fake of Step Functions that starts each execution name once."""

    def __init__(self, code: str = "") -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.code = code

    def start_execution(self, **call: Any) -> None:
        code = self.code or ("ExecutionAlreadyExists" if call["name"] in self.started else "")
        if code:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "StartExecution")
        self.started[call["name"]] = call


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found, client = Machine(), aws.client
    monkeypatch.setattr(aws, "client", lambda service: found if service == "stepfunctions" else client(service))
    return found


@pytest.fixture
def dlq(cloud: None) -> Callable[[], list[dict[str, Any]]]:
    url = boto3.client("sqs").create_queue(QueueName="mercato-orders-dlq")["QueueUrl"]

    def read() -> list[dict[str, Any]]:
        answer = boto3.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [dict(message) for message in answer.get("Messages", [])]

    return read


def confirmed(shop: Shop) -> str:
    order_id = str(shop.place()["order_id"])
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    return order_id


def types(shop: Shop, order_id: str) -> list[str]:
    return [event["type"] for event in shop.announced(order_id)]


def test_a_placed_order_starts_its_saga_with_all_that_its_steps_need(shop: Shop, machine: Machine) -> None:
    order_id = shop.place()["order_id"]
    assert shop.hear("order.created", {"order_id": order_id}) == []
    call = machine.started[order_id]
    assert call["stateMachineArn"] == "arn:aws:states:us-east-1:123456789012:stateMachine:mercato-order"
    started = json.loads(call["input"])
    assert started.pop("traceparent").startswith("00-")
    assert uuid.UUID(started.pop("causation_id"))  # the consumed event
    assert started == {
        "tracestate": "",
        "order_id": order_id,
        "customer_id": "cust-1",
        "lines": [{"product_id": "mug", "quantity": 2}, {"product_id": "pot", "quantity": 1}],
        "total": {"amount": 4500, "currency": "GBP"},
        "payment_token": "tok_ok",
        "number": shop.order(order_id).number,
        "language": None,
        "correlation_id": "req-12345678",
    }


def test_a_second_delivery_finds_the_saga_started(shop: Shop, machine: Machine) -> None:
    order_id = shop.place()["order_id"]
    assert shop.hear("order.created", {"order_id": order_id}) == []
    assert shop.hear("order.created", {"order_id": order_id}) == []
    assert list(machine.started) == [order_id]


def test_an_event_that_comes_again_when_the_order_is_finished_starts_nothing(shop: Shop, machine: Machine) -> None:
    order_id = confirmed(shop)
    assert shop.hear("order.created", {"order_id": order_id}) == []
    assert machine.started == {}


@pytest.mark.parametrize("code", ["ThrottlingException", "StateMachineDoesNotExist"])
def test_a_saga_that_cannot_start_now_is_tried_again_by_the_queue(shop: Shop, machine: Machine, code: str) -> None:
    order_id = shop.place()["order_id"]
    machine.code = code
    assert shop.hear("order.created", {"order_id": order_id}) == [{"itemIdentifier": "m-1"}]
    machine.code = ""
    assert shop.hear("order.created", {"order_id": order_id}) == []
    assert list(machine.started) == [order_id]


def test_the_usual_life_of_an_order(shop: Shop) -> None:
    order_id = confirmed(shop)
    assert shop.hear("payment.completed", PAYMENT | {"order_id": order_id}) == []
    assert shop.hear("shipment.dispatched", SHIPMENT | {"order_id": order_id}) == []
    assert shop.hear("shipment.delivered", DELIVERED | {"order_id": order_id}) == []
    order = shop.order(order_id)
    assert (order.status, order.payment_status, order.version) == (Status.DELIVERED, PaymentStatus.CAPTURED, 5)
    assert order.shipment is not None
    assert order.shipment.tracking_number == "SBX1"
    assert types(shop, order_id) == ["order.created", "order.confirmed", "order.shipped", "order.delivered"]
    assert shop.announced(order_id)[2]["data"] == {
        "order_id": order_id,
        "customer_id": "cust-1",
        "shipment_id": "shp-1",
        "carrier": "sandbox",
        "tracking_number": "SBX1",
        "tracking_url": None,
        "lines": [{"product_id": "mug", "quantity": 2}, {"product_id": "pot", "quantity": 1}],
        "number": order.number,
        "language": None,
    }


def test_an_order_s_event_passes_the_carrier_s_page_on(shop: Shop) -> None:
    order_id = confirmed(shop)
    page = "https://track.example/SBX1"
    assert shop.hear("shipment.dispatched", SHIPMENT | {"order_id": order_id, "tracking_url": page}) == []
    assert shop.announced(order_id)[2]["data"]["tracking_url"] == page


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("payment.completed", PAYMENT),
        ("payment.failed", PAYMENT | {"reason": "card_declined", "detail": "Declined."}),
        ("payment.refunded", REFUND),
        ("shipment.dispatched", SHIPMENT),
    ],
)
def test_an_event_that_comes_twice_is_recorded_once(shop: Shop, event_type: str, data: dict[str, Any]) -> None:
    order_id = confirmed(shop)
    shop.hear(event_type, data | {"order_id": order_id})
    once = shop.order(order_id)
    assert once.version == 3
    assert shop.hear(event_type, data | {"order_id": order_id}) == []
    assert shop.order(order_id) == once


def test_a_late_payment_event_does_not_move_the_order_back(shop: Shop) -> None:
    order_id = confirmed(shop)
    shop.hear("payment.completed", PAYMENT | {"order_id": order_id})
    shop.hear("shipment.dispatched", SHIPMENT | {"order_id": order_id})
    before = shop.order(order_id)
    shop.hear("payment.failed", PAYMENT | {"order_id": order_id, "reason": "x", "detail": "x"})
    assert shop.order(order_id) == before


def test_a_refund_is_announced_with_its_amount(shop: Shop) -> None:
    order_id = confirmed(shop)
    shop.hear("payment.completed", PAYMENT | {"order_id": order_id})
    part = {"amount": 500, "currency": "GBP"}
    shop.hear("payment.refunded", REFUND | {"order_id": order_id, "amount": part})
    assert shop.order(order_id).payment_status is PaymentStatus.CAPTURED
    assert shop.announced(order_id)[-1]["data"] == {"order_id": order_id, "customer_id": "cust-1", "amount": part}


def test_a_delivery_before_its_dispatch_waits_in_the_queue_and_loses_nothing(shop: Shop) -> None:
    order_id = confirmed(shop)
    assert shop.hear("shipment.delivered", DELIVERED | {"order_id": order_id}) == [{"itemIdentifier": "m-1"}]
    shop.hear("shipment.dispatched", SHIPMENT | {"order_id": order_id})
    assert shop.hear("shipment.delivered", DELIVERED | {"order_id": order_id}) == []
    assert types(shop, order_id)[2:] == ["order.shipped", "order.delivered"]


@pytest.mark.parametrize(
    ("event_type", "data", "reason"),
    [
        ("payment.completed", PAYMENT | {"order_id": "nothing"}, "order-not-found"),
        ("payment.completed", {"order_id": "nothing"}, "malformed"),
        ("order.eaten", {"order_id": "nothing"}, "unknown-event-type"),
    ],
)
def test_what_can_never_succeed_goes_to_the_dlq_with_its_reason(
    shop: Shop, dlq: Callable[[], list[dict[str, Any]]], event_type: str, data: dict[str, Any], reason: str
) -> None:
    assert shop.hear(event_type, data) == []
    (message,) = dlq()
    assert message["MessageAttributes"]["reason"]["StringValue"] == reason


def test_a_conflict_with_another_writer_is_decided_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = confirmed(shop)
    load = type(shop.store).load
    raced: list[bool] = []

    def load_and_be_overtaken(store: Any, wanted: str, **bounds: Any) -> Any:
        found = load(store, wanted, **bounds)
        if not raced:
            raced.append(True)
            shop.hear("payment.completed", PAYMENT | {"order_id": order_id})
        return found

    monkeypatch.setattr(type(shop.store), "load", load_and_be_overtaken)
    assert shop.hear("shipment.dispatched", SHIPMENT | {"order_id": order_id}) == []
    order = shop.order(order_id)
    assert (order.status, order.payment_status, order.version) == (Status.SHIPPED, PaymentStatus.CAPTURED, 4)
