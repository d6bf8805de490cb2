"""The promotions service on an empty table, through its real handlers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from mercato import clock
from mercato.store.attributes import Item, from_item
from mercato.store.dynamo import Table
from promotions import api, saga, sweeper
from tests.kit import aws_events

HOME = "192.0.2.1"
GOODS = [{"product_id": "mug", "price": 2500, "category": "kitchen"}, {"product_id": "pot", "price": 2000}]
TEN = {"code": "TEN", "description": "10 % off", "kind": "percentage", "basis_points": 1000}
COUPONS = "/api/promotions/coupons"


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


@dataclass
class Desk:
    """Calls the handlers with the events that AWS would send, and reads the books."""

    table: Table
    now: datetime
    keys: list[int] = field(default_factory=lambda: [0])
    answered: dict[str, Any] = field(default_factory=dict)  # the last answer about codes

    def call(
        self,
        method: str,
        path: str = COUPONS,
        body: Any = None,
        *,
        role: str = "admin",
        key: str = "",
        query: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        event = aws_events.rest_request(method, path, body, user="boss", role=role, headers=headers, query=query)
        return _answer(api.handler(event, None))

    def add(self, **given: Any) -> Any:
        """A coupon for 10 %, with changes."""
        self.keys[0] += 1
        status, answer = self.call("POST", body=TEN | given, key=f"key-{self.keys[0]}")
        assert status == 201, answer
        return answer

    def show(self, code: str = "TEN") -> Any:
        status, answer = self.call("GET", f"{COUPONS}/{code}")
        assert status == 200, answer
        return answer

    def ask(
        self, *codes: str, entered: tuple[str, ...] = (), user: str = "ada", source: str = HOME, **given: Any
    ) -> tuple[int, Any]:
        """Asks for a buyer whose request came from `source`."""
        body = {"codes": codes, "entered": entered, "goods": GOODS, "currency": "GBP"} | given
        path, headers = "/api/promotions/evaluations", {"X-Source-Address": source}
        headers |= {"X-User-Id": user} if user else {}
        event = aws_events.url_request("POST", path, body, peer="checkout", headers=headers)
        self.answered = api.handler(event, None)
        return _answer(self.answered)

    def task(self, name: str, order_id: str, **more: Any) -> Any:
        return saga.handler(aws_events.task(name, {"order_id": order_id} | more), None)

    def claim(self, order_id: str, *codes: str, customer: str = "account:ada") -> Any:
        return self.task("ClaimCoupon", order_id, coupons={"codes": codes or ("TEN",), "customer": customer})

    def keep(self, order_id: str) -> Any:
        return self.task("KeepCoupon", order_id)

    def release(self, order_id: str, reason: str = "declined") -> Any:
        return self.task("ReleaseCoupon", order_id, reason=reason)

    def sweep(self) -> dict[str, int]:
        found: dict[str, int] = sweeper.handler(aws_events.scheduled_event(), None)
        return found

    def wait(self, **duration: int) -> None:
        self.now += timedelta(**duration)

    def states(self) -> dict[str, str]:
        """The claims' states by order."""
        return {item["order_id"]: item["state"] for item in items(self.table.name) if item["sk"] == "CLAIM"}

    def used(self, code: str = "TEN") -> int:
        """The uses of a coupon, after a check that counters and claims agree."""
        balanced(self.table.name)
        used: int = self.show(code)["used"]
        return used


def items(table: str) -> list[Item]:
    pages = boto3.client("dynamodb", "us-east-1").get_paginator("scan").paginate(TableName=table)
    return [from_item(item) for page in pages for item in page["Items"]]


def balanced(table: str) -> Mapping[str, int]:
    """The uses by code. Each counter equals what the claims hold, in total and per customer."""
    held, counted = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for item in items(table):
        if item["sk"] == "CLAIM" and item["state"] != "released":
            for use in item["uses"]:
                held[f"COUPON#{use['code']}", f"USES#{use['counter']}"] += 1
                if use["per_customer"]:
                    held[f"COUPON#{use['code']}", f"CUSTOMER#{item['customer']}"] += 1
        elif item["sk"].startswith(("USES#", "CUSTOMER#")):
            counted[item["pk"], item["sk"]] = item["used"]
    assert min(counted.values(), default=0) >= 0
    assert +counted == held
    by_code = Counter[str]()
    for (pk, sk), used in counted.items():
        by_code[pk.removeprefix("COUPON#")] += used if sk.startswith("USES#") else 0
    return by_code


def _answer(found: dict[str, Any]) -> tuple[int, Any]:
    return found["statusCode"], json.loads(found["body"]) if found["body"] else None


@pytest.fixture
def desk(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Desk:
    table = make_table("PromotionsTable")
    monkeypatch.setenv("TABLE_NAME", table.name)
    found = Desk(table, noon)
    for module in (api, clock, sweeper):
        monkeypatch.setattr(module, "utc_now", lambda: found.now)
    return found


service = desk  # the name by which the tests of all services know it
