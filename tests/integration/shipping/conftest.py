"""The shipping service with a real table and carrier queue, and a clock that tests control."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from infra.local.easypost import api as fake_easypost
from mercato.aws.secret import StoredSecret
from mercato.clock import rfc3339
from mercato.store.dynamo import Table
from mercato.webhooks import sign
from shipping import api, carrier, consumers, saga, wiring
from shipping.easypost import carrier as easypost_carrier
from shipping.store import ShipmentStore
from shipping.usecases import shipment_id_of
from tests.integration.shipping import easypost_desk
from tests.kit import aws_events
from tests.kit.given import published

SECRET = "the-carriers-secret"
ADDRESS = {
    "name": "Anna",
    "line1": "1 High Street",
    "line2": None,
    "city": "Leeds",
    "postcode": "LS1 1AA",
    "country": "GB",
    "company": "Looms Ltd",
    "region": "West Yorkshire",
    "phone": "+44 113 496 0000",
}
SHIPMENT = shipment_id_of("order-1")


class Service:
    def __init__(self, table: Table, noon: datetime) -> None:
        self.table = table
        self.now = noon
        self.store = ShipmentStore(table)
        self.sqs = boto3.client("sqs", "us-east-1")
        self.sqs.create_queue(QueueName="shop-shipping-dlq")
        self.dead_letters = self.sqs.create_queue(QueueName="shop-carrier-dlq")["QueueUrl"]
        self.queue_url = self.sqs.create_queue(QueueName="shop-carrier")["QueueUrl"]

    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def receive(self, event_type: str, event_id: str, data: dict[str, Any]) -> list[str]:
        """Delivers an event once. Returns the ids of the messages that the queue must deliver again."""
        whole = {"order_id": "order-1", "customer_id": "user-1"} | data
        event = published(
            event_type, "order-1", whole, id=event_id, time=rfc3339(self.now), correlationid="request-0001"
        )
        record = aws_events.bus_record(event, "shop-shipping", message_id=f"m-{event_id}")
        return self._failed(consumers.handler(aws_events.records(record), None))

    def confirm(self, **changes: str) -> list[str]:
        line = {"product_id": "product-1", "sku": "MUG", "name": "Mug", "quantity": 2}
        price = {"unit_price": {"amount": 500, "currency": "GBP"}}
        data = {"lines": [line | price], "shipping_address": ADDRESS} | changes
        return self.receive("order.confirmed", "confirmed-1", data)

    def pay(self) -> list[str]:
        return self.receive("payment.completed", "paid-1", {"payment_id": "payment-1"})

    def stop(self) -> Any:
        """Runs the saga's step."""
        return saga.handler(aws_events.task("StopShipment", {"order_id": "order-1", "customer_id": "user-1"}), None)

    def cancel(self) -> list[str]:
        return self.receive("order.cancelled", "cancelled-1", {"reason": "x", "detail": "y"})

    def waiting(self) -> list[dict[str, Any]]:
        """Receives all messages of the carrier queue, as Lambda would get them."""
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                found.append(aws_events.received(message, "shop-carrier"))
        return found

    def carry(self, *records: dict[str, Any]) -> list[str]:
        return self._failed(carrier.handler(aws_events.records(*records), None))

    def carry_to_the_end(self) -> int:
        """Lets the carrier process its queue. Returns the number of messages."""
        taken = 0
        while records := self.waiting():
            assert self.carry(*records) == []
            taken += len(records)
            assert taken < 50
        return taken

    def call(
        self,
        method: str,
        path: str,
        *,
        body: str | None = None,
        user: str = "",
        role: str = "customer",
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        event = aws_events.rest_request(method, path, body, user=user, role=role, headers=headers, query=query)
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def webhook(self, status: str, *, age: int = 0, secret: str = SECRET, **changes: Any) -> tuple[int, Any]:
        report = {"shipment_id": SHIPMENT, "tracking_number": "TRACK-1", "status": status} | changes
        body, timestamp = json.dumps(report), str(int(self.now.timestamp()) - age)
        signed = {"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": sign(secret, timestamp, body.encode())}
        return self.call("POST", "/api/shipments/webhooks/sandbox", body=body, headers=signed)

    def announced(self) -> list[tuple[str, dict[str, Any]]]:
        """The shipment's events in the outbox, in order."""
        items = self.table.query(f"OUTBOX#{SHIPMENT}").items
        envelopes = [json.loads(item["event"]) for item in items]
        return [(found["type"], found["data"]) for found in envelopes]

    @property
    def told(self) -> list[str]:
        return [kind for kind, _ in self.announced()]

    @property
    def status(self) -> str | None:
        shipment = self.store.load(SHIPMENT).shipment
        return shipment.status if shipment else None

    @staticmethod
    def _failed(answer: dict[str, Any]) -> list[str]:
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture
def service(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Service:
    found = Service(make_table("ShippingTable"), noon)
    boto3.client("secretsmanager", "us-east-1").create_secret(Name="carrier-secret", SecretString=SECRET)
    for module in (api, carrier, consumers, easypost_carrier):
        monkeypatch.setattr(module, "utc_now", lambda: found.now)
    vars(wiring.ports()).update(
        table=found.table,
        shipments=found.store,
        carrier_settings=wiring.CarrierSettings("sandbox", found.queue_url, 0),
        api_settings=wiring.ApiSettings("sandbox", "carrier-secret"),
        webhook_secret=StoredSecret("carrier-secret"),
    )
    return found


@pytest.fixture
def desk(
    service: Service, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch
) -> Iterator[easypost_desk.Desk]:
    monkeypatch.setenv("CIRCUITS_TABLE", make_table("CircuitsTable").name)
    with fake_easypost.running() as fake:
        yield easypost_desk.Desk(service, fake)
