"""The carts service in a separate cloud, with a catalogue and a clock that the test sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from carts import api, consumers, sweeper, wiring
from carts.catalogue import Catalogue
from carts.usecases import cart_of
from mercato import aws
from mercato.clock import rfc3339
from mercato.store.attributes import Item, from_item
from mercato.store.dynamo import Table
from tests.kit import aws_events
from tests.kit.given import published

ADA = "ada"


class Peer:
    """A fake client of the catalogue: answers look-ups from `products`. A test can act in the middle of a look-up."""

    def __init__(self) -> None:
        self.products: dict[str, dict[str, Any]] = {}
        self.after_answer: Callable[[], None] = lambda: None

    def post(self, path: str, body: Any, *, safe: bool) -> Any:
        assert (path, safe) == ("/api/products/lookup", True)
        found = [self.products[one] for one in body["product_ids"] if one in self.products]
        interrupt, self.after_answer = self.after_answer, lambda: None
        interrupt()
        return {"products": found}


class CartsService:
    def __init__(self, table: Table, dlq_url: str, now: datetime) -> None:
        self.table = table
        self.dlq_url = dlq_url
        self.now = now
        self.peer = Peer()

    def sells(
        self,
        product_id: str,
        price: int,
        *,
        version: int = 1,
        status: str = "active",
        currency: str = "GBP",
        available: int | None = None,
        stock_sequence: int = 0,
    ) -> None:
        self.peer.products[product_id] = {
            "product_id": product_id,
            "sku": product_id.upper(),
            "name": f"The {product_id}",
            "price": {"amount": price, "currency": currency},
            "status": status,
            "version": version,
            "available": available,
            "stock_sequence": stock_sequence,
        }

    def call(
        self, method: str, path: str, body: Any = None, *, user: str | None = ADA, key: str | None = None
    ) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        answer = api.handler(
            aws_events.rest_request(method, f"/api/carts{path}", body, user=user, headers=headers), None
        )
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def put(self, product_id: str, quantity: int, *, user: str = ADA) -> Any:
        status, cart = self.call("PUT", f"/mine/items/{product_id}", {"quantity": quantity}, user=user)
        assert status == 200, cart
        return cart

    def lines(self, *, user: str = ADA) -> dict[str, tuple[int, int]]:
        """Quantity and unit price of each line, by product."""
        return in_short(self.call("GET", "/mine", user=user)[1])

    def open_guest_cart(self, **quantities: int) -> str:
        status, cart = self.call("POST", "/guests", user=None)
        assert status == 201
        for product_id, quantity in quantities.items():
            path = f"/guests/{cart['cart_id']}/items/{product_id}"
            assert self.call("PUT", path, {"quantity": quantity}, user=None)[0] == 200
        return str(cart["cart_id"])

    def deliver(
        self, event_type: str, subject: str, data: dict[str, Any], *, sequence: int = 1, at: datetime | None = None
    ) -> None:
        event = published(
            event_type,
            subject,
            data,
            id=f"{event_type}-{subject}-{sequence}",
            time=rfc3339(at or self.now),
            sequence=str(sequence),
        )
        batch = aws_events.records(aws_events.bus_record(event, "carts"))
        assert consumers.handler(batch, None) == {"batchItemFailures": []}

    def price_changes(self, product_id: str, price: int, version: int) -> None:
        old, new = {"amount": 1, "currency": "GBP"}, {"amount": price, "currency": "GBP"}
        data = {"product_id": product_id, "old_price": old, "new_price": new}
        self.deliver("product.price_changed", product_id, data, sequence=version)

    def discontinues(self, product_id: str, version: int) -> None:
        self.deliver("product.discontinued", product_id, {"product_id": product_id}, sequence=version)

    def stock_is_low(self, product_id: str, available: int, sequence: int) -> None:
        data = {"product_id": product_id, "available": available, "level": "low" if available else "out"}
        self.deliver("inventory.low_stock", product_id, data, sequence=sequence)

    def is_restocked(self, product_id: str, available: int, sequence: int) -> None:
        data = {"product_id": product_id, "available": available}
        self.deliver("inventory.restocked", product_id, data, sequence=sequence)

    def is_ordered(self, *product_ids: str, at: datetime, user: str = ADA, cart: dict[str, Any] | None = None) -> None:
        lines = [{"product_id": product_id, "sku": "x", "quantity": 1} for product_id in product_ids]
        data = {"order_id": "order-1", "customer_id": user, "lines": lines, "cart": cart}
        self.deliver("order.created", "order-1", data, at=at)

    def items(self) -> list[Item]:
        """All items in the service's table."""
        items = boto3.client("dynamodb", "us-east-1").scan(TableName=self.table.name)["Items"]
        return [from_item(item) for item in items]

    def kept(self) -> list[str]:
        return sorted(json.dumps(item, sort_keys=True) for item in self.items())

    def sweep(self) -> int:
        return int(sweeper.handler(aws_events.scheduled_event(), None)["announced"])

    def wait(self, **duration: int) -> None:
        self.now += timedelta(**duration)

    def announced(self, user: str = ADA) -> list[tuple[str, dict[str, Any]]]:
        records = self.table.query(f"OUTBOX#{cart_of(user)}").items
        found = [json.loads(record["event"]) for record in records]
        return [(event["type"], event["data"]) for event in found]

    def dead_letters(self) -> list[str]:
        answer = boto3.client("sqs", "us-east-1").receive_message(
            QueueUrl=self.dlq_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [message["MessageAttributes"]["reason"]["StringValue"] for message in answer.get("Messages", [])]


def in_short(cart: Any) -> dict[str, tuple[int, int]]:
    return {line["product_id"]: (line["quantity"], line["unit_price"]["amount"]) for line in cart["lines"]}


@pytest.fixture
def service(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> CartsService:
    table = make_table("CartsTable")
    dlq_url = boto3.client("sqs", "us-east-1").create_queue(QueueName="carts-dlq")["QueueUrl"]
    monkeypatch.setenv("TABLE_NAME", table.name)
    monkeypatch.setenv("DLQ_URL", dlq_url)
    found = CartsService(table, dlq_url, noon)
    vars(wiring.ports()).update(catalogue=Catalogue(found.peer))  # type: ignore[arg-type]
    for module in (api, consumers, sweeper):
        monkeypatch.setattr(module, "utc_now", lambda: found.now)
    found.sells("lantern", 1250)
    found.sells("quilt", 8000)
    found.sells("mug", 475)
    return found


@pytest.fixture
def dynamo_calls(service: CartsService) -> list[str]:
    """Records the calls to DynamoDB, by operation."""
    found: list[str] = []

    def note(model: Any, **_: Any) -> None:
        found.append(model.name)

    aws.client("dynamodb").meta.events.register("before-call.dynamodb", note)
    return found
