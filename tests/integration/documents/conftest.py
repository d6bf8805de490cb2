"""The documents service on an empty table, with orders that a test can change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from documents import api, consumers, renderer, wiring
from documents.files import Files
from documents.orders import Orders
from documents.store import DocumentStore, Listed
from mercato.peers.client import PeerNotFound, PeerUnavailable
from mercato.store.dynamo import KeyRange, Table
from tests.kit import aws_events
from tests.kit.given import published

BUCKET = "mercato-documents"
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "line2": None,
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
}


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


def charge(kind: str, amount: int, tax: int, *, quantity: int = 1, rate: str = "0.2000", product: str = "") -> Any:
    return {
        "kind": kind,
        "product_id": product or None,
        "description": f"A {product or kind}",
        "quantity": quantity,
        "amount": pounds(amount),
        "tax": pounds(tax),
        "rate": rate,
        "tax_class": "standard" if rate == "0.2000" else "zero",
        "jurisdiction": "GB",
    }


GOODS = charge("goods", 2500, 417, quantity=2, product="mug")
CHARGES = [
    GOODS,
    charge("discount", -100, -17, quantity=2, product="mug"),
    charge("goods", 1000, 0, rate="0.0000", product="book"),
    charge("shipping", 395, 66),
]
TOTAL = 3795


def ordered(order_id: str, **changes: Any) -> dict[str, Any]:
    """The answer of GET /api/orders/{order_id}, as far as documents read it."""
    line = {"sku": "MUG", "name": "A mug", "quantity": 2, "returned": 0, "unit_price": pounds(1250)}
    return {
        "order_id": order_id,
        "number": "K7QF2-M9X40",
        "customer_id": "cust-1",
        "status": "confirmed",
        "placed_at": "2026-11-22T11:59:00.000Z",
        "lines": [line | {"product_id": "mug"}, line | {"product_id": "book", "sku": "BOOK", "quantity": 1}],
        "charges": CHARGES,
        "total": pounds(TOTAL),
        "delivery": {"carrier": "sandbox", "service": "standard", "name": "Standard delivery", "days": 3},
        "returns": [],
        "shipping_address": ADDRESS,
    } | changes


@dataclass
class Peer:
    """A fake client of orders. `is_down`: it does not answer."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)  # the ids of guests' orders by the token of their link
    asked: list[str] = field(default_factory=list)
    is_down: bool = False

    def get(self, path: str) -> Any:
        order_id = path.removeprefix("/api/orders/")
        self.asked.append(order_id)
        if self.is_down:
            raise PeerUnavailable("orders does not answer")
        found = self.orders.get(self.links.get(order_id.removeprefix("guests/"), order_id))
        if found is None:
            raise PeerNotFound("orders has no such order")
        return found


@dataclass
class Desk:
    """Calls the real handlers with the events that AWS would send. `dlq_url` is the queue's of dead letters."""

    table: Table
    store: DocumentStore
    peer: Peer
    now: datetime
    dlq_url: str

    def ordered(self, order_id: str = "order-1", **changes: Any) -> None:
        self.peer.orders[order_id] = ordered(order_id, **changes)

    def hear(self, event_type: str, data: dict[str, Any], event_id: str = "") -> list[Any]:
        """Returns the failures that are reported to the queue."""
        event = published(event_type, data["payment_id"], data, id=event_id or str(uuid.uuid4()), sequence="1")
        batch = aws_events.records(aws_events.bus_record(event, "mercato-documents"))
        answer: list[Any] = consumers.handler(batch, None)["batchItemFailures"]
        return answer

    def pay(self, order_id: str = "order-1", amount: int = TOTAL, customer: str = "cust-1") -> list[Any]:
        paid = {"payment_id": f"pay-{order_id}", "order_id": order_id, "customer_id": customer}
        return self.hear("payment.completed", paid | {"amount": pounds(amount)})

    def refund(
        self,
        amount: int,
        refund_id: str = "ref-1",
        order_id: str = "order-1",
        reason: str = "damaged",
        captured: int | None = None,
    ) -> Any:
        """Without `captured` the event is that of an earlier release."""
        refunded = {"payment_id": f"pay-{order_id}", "order_id": order_id, "customer_id": "cust-1"}
        told = {"refund_id": refund_id, "reason": reason, "amount": pounds(amount)}
        told |= {} if captured is None else {"captured": pounds(captured)}
        return self.hear("payment.refunded", refunded | told)

    def call(
        self,
        method: str,
        path: str,
        payload: Any = None,
        *,
        user: str = "cust-1",
        role: str = "customer",
        query: dict[str, str] | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        answer = api.handler(aws_events.rest_request(method, path, payload, user=user, role=role, query=query), None)
        return answer["statusCode"], json.loads(answer["body"] or "null"), answer["headers"]

    def draw(self, document_id: str) -> list[Any]:
        """Delivers document.issued to the renderer. Returns the failures that are reported to the queue."""
        event = published("document.issued", document_id, {"document_id": document_id}, sequence="1")
        batch = aws_events.records(aws_events.bus_record(event, "mercato-documents-pdf"))
        answer: list[Any] = renderer.handler(batch, None)["batchItemFailures"]
        return answer

    def files(self) -> dict[str, bytes]:
        """The files in the bucket, by their keys."""
        s3 = boto3.client("s3", "us-east-1")
        listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}

    def numbers(self, series: str) -> list[int]:
        return [one.position for one in self.store.all_of(series)]

    def documents(self, order_id: str = "order-1") -> list[Listed]:
        return self.store.of_order(order_id)

    def events(self, document_id: str) -> list[Any]:
        return list(self.table.query_all(f"OUTBOX#{document_id}", KeyRange()))

    def dead_letters(self) -> list[str]:
        found = boto3.client("sqs", "us-east-1").receive_message(
            QueueUrl=self.dlq_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [one["MessageAttributes"]["reason"]["StringValue"] for one in found.get("Messages", [])]


@dataclass
class Clock:
    """Goes on by a millisecond each time it is read."""

    now: datetime

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def desk(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Desk:
    monkeypatch.setenv("TABLE_NAME", "DocumentsTable")
    monkeypatch.setenv("NAMESPACE", "mercato")
    clock = Clock(noon)
    for module in (api, consumers):
        monkeypatch.setattr(module, "utc_now", clock)
    table, peer = make_table("DocumentsTable"), Peer()
    store = DocumentStore(table, sleep=lambda _: None)
    vars(wiring.ports()).update(documents=store, orders=Orders(peer), files=Files(BUCKET))  # type: ignore[arg-type]
    boto3.client("s3", "us-east-1").create_bucket(Bucket=BUCKET)
    dlq_url = boto3.client("sqs", "us-east-1").create_queue(QueueName="mercato-documents-dlq")["QueueUrl"]
    return Desk(table, store, peer, noon, dlq_url)


service = desk  # the name by which the tests of all services know it
