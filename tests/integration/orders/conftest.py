"""The orders service's handlers on an empty table, with a catalogue that a test can change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from mercato.money import Money
from mercato.store.dynamo import KeyRange, Table
from orders import api, consumers, saga, wiring
from orders.domain import Listing
from orders.order import Order
from orders.store import OrderStore

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "line2": None,
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
}


def listing(product_id: str, price: int = 1250, *, name: str = "", for_sale: bool = True) -> Listing:
    money = Money(amount=price, currency="GBP")
    return Listing(product_id, product_id.upper(), name or f"A {product_id}", money, for_sale)


@dataclass
class Shelf:
    """The catalogue's stand-in. `asked` has what was asked of it."""

    listings: dict[str, Listing] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    before_answer: Callable[[], None] | None = None

    def put(self, *listings: Listing) -> None:
        self.listings |= {found.product_id: found for found in listings}

    def find(self, product_ids: Sequence[str]) -> dict[str, Listing]:
        self.asked.append(list(product_ids))
        if self.before_answer:
            self.before_answer()
        return {found: self.listings[found] for found in product_ids if found in self.listings}


def body(*lines: tuple[str, int, int]) -> dict[str, Any]:
    wanted = [
        {"product_id": product_id, "quantity": quantity, "unit_price": {"amount": price, "currency": "GBP"}}
        for product_id, quantity, price in lines or [("mug", 2, 1250), ("pot", 1, 2000)]
    ]
    return {"lines": wanted, "payment_token": "tok_ok", "shipping_address": ADDRESS}


@dataclass
class Shop:
    """Calls the real handlers with the events that AWS would send."""

    table: Table
    shelf: Shelf
    store: OrderStore

    def call(
        self,
        method: str,
        path: str,
        payload: Any = None,
        *,
        user: str = "cust-1",
        role: str = "customer",
        key: str | None = None,
        query: dict[str, str] | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        event = {
            "httpMethod": method,
            "path": path,
            "headers": {"X-Request-Id": "req-12345678"} | ({"Idempotency-Key": key} if key else {}),
            "queryStringParameters": query,
            "body": payload if isinstance(payload, str) else json.dumps(payload) if payload is not None else None,
            "requestContext": {"authorizer": {"user_id": user, "role": role} if user else None},
        }
        return _answer(api.handler(event, None))

    def call_as_peer(self, path: str, query: str, user: str = "") -> tuple[int, Any, dict[str, str]]:
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"x-user-id": user} if user else {},
            "requestContext": {
                "http": {"method": "GET"},
                "accountId": "123456789012",
                "domainName": "abc.lambda-url.eu-west-1.on.aws",
                "authorizer": {"iam": {"userArn": "arn:aws:sts::123456789012:assumed-role/gateway/x"}},
            },
        }
        return _answer(api.handler(event, None))

    def place(self, payload: dict[str, Any] | None = None, key: str = "key-1", user: str = "cust-1") -> Any:
        status, answer, _ = self.call("POST", "/api/orders", payload or body(), key=key, user=user)
        assert status == 202, answer
        return answer

    def task(self, name: str, **task_input: Any) -> Any:
        return saga.handler({"task": name, "correlation_id": "req-12345678", "input": task_input}, None)

    def hear(self, event_type: str, data: dict[str, Any], event_id: str = "") -> list[Any]:
        """The failures that the queue is told of."""
        detail = {
            "specversion": "1.0",
            "id": event_id or str(uuid.uuid4()),
            "source": "mercato.other",
            "type": event_type,
            "time": "2026-11-22T12:00:00.000Z",
            "subject": str(data.get("order_id")),
            "sequence": "1",
            "correlationid": "req-12345678",
            "data": data,
        }
        record = {
            "messageId": "m-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:mercato-orders",
            "body": json.dumps({"detail-type": event_type, "detail": detail}),
        }
        answer: list[Any] = consumers.handler({"Records": [record]}, None)["batchItemFailures"]
        return answer

    def order(self, order_id: str) -> Order:
        found = self.store.load(order_id)
        assert found is not None
        return found

    def announced(self, order_id: str) -> list[dict[str, Any]]:
        """The outbox's events of an order, in order."""
        items = self.table.query_all(f"order#{order_id}", KeyRange(prefix="E#"))
        return [json.loads(item["event"]) for item in items if "event" in item]


def _answer(answer: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    return answer["statusCode"], json.loads(answer["body"] or "null"), answer["headers"]


@pytest.fixture
def shop(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Shop:
    table, shelf = make_table("OrdersTable"), Shelf()
    shelf.put(listing("mug"), listing("pot", 2000))
    monkeypatch.setenv("TABLE_NAME", "OrdersTable")
    monkeypatch.setenv("NAMESPACE", "mercato")
    monkeypatch.setenv("STATE_MACHINE_ARN", "arn:aws:states:us-east-1:123456789012:stateMachine:mercato-order")
    vars(wiring.ports()).update(catalogue=shelf)
    return Shop(table, shelf, OrderStore(table))
