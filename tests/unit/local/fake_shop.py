"""A shop in memory behind httpx's mock transport, with enough of the real one to test its clients, faults included."""

from __future__ import annotations

import csv
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.operator.client import Clock, Shop
from mercato.ids import derived_id

Json = dict[str, Any]
AT = "2026-11-22T12:00:00.000Z"


class FakeTime:
    """A clock that a sleep advances at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


@dataclass
class FakeShop:
    """An order is captured and shipped at its first read. `faults` may answer instead."""

    users: dict[str, str] = field(default_factory=dict)
    products: dict[str, Json] = field(default_factory=dict)
    stock: dict[str, Json] = field(default_factory=dict)
    orders: dict[str, Json] = field(default_factory=dict)
    payments: dict[str, Json] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    done: dict[str, Json] = field(default_factory=dict)
    faults: list[Callable[[httpx.Request], httpx.Response | None]] = field(default_factory=list)
    unknown_adjustments: int = 0
    charged_too_much: int = 0
    not_invoiced: set[int] = field(default_factory=set)
    on_capture: Callable[[str, int], None] = lambda payment_id, amount: None
    leaked: int = 0
    lifetime: int = 900
    valid_tokens: set[str] = field(default_factory=set)
    _ids: Any = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, time: FakeTime | None = None) -> Shop:
        return Shop("http://shop", transport=httpx.MockTransport(self._answer), clock=(time or FakeTime()).clock)

    def count(self, method: str, path: str) -> int:
        return sum((request.method, request.url.path) == (method, f"/api{path}") for request in self.requests)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                answer = fault(request)
                if answer is not None:
                    return answer
            return self._route(request, request.url.path.removeprefix("/api"))

    def _route(self, request: httpx.Request, path: str) -> httpx.Response:
        head, _, rest = path.strip("/").partition("/")
        body = json.loads(request.content) if request.headers.get("content-type") == "application/json" else {}
        key = request.headers.get("idempotency-key", "")
        if (head, rest) == ("users", ""):
            return self._register(body)
        if head == "users":
            return self._tokens(rest, body)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid_tokens:
            return problem(401, "token-invalid")
        if path == "/products/imports":
            return self._import(request.content.decode())
        if path == "/inventory/adjustments":
            return self._adjust(body, key)
        found = {"inventory": self.stock, "payments": self.payments}.get(head, {}).get(rest)
        if found is not None:
            return httpx.Response(200, json=found)
        if path == "/ops/documents":
            return httpx.Response(200, json={"items": self._documents(request), "next_cursor": None})
        if path == "/orders":
            return self._place(request, body, key)
        return httpx.Response(200, json=self._advance(rest)) if rest in self.orders else problem(404, "not-found")

    def _register(self, body: Json) -> httpx.Response:
        self.users.setdefault(body["email"], body["password"])
        return httpx.Response(202, json={"detail": "We have sent a mail to this address."})

    def _tokens(self, what: str, body: Json) -> httpx.Response:
        if what == "login" and self.users.get(body["email"]) != body["password"]:
            return problem(401, "wrong-credentials")
        if what == "token/refresh" and body["refresh_token"] not in self.valid_tokens:
            return problem(401, "token-invalid")
        access, refresh = f"access-{next(self._ids)}", f"refresh-{next(self._ids)}"
        self.valid_tokens |= {access, refresh}
        return httpx.Response(
            200,
            json={
                "access_token": access,
                "refresh_token": refresh,
                "expires_in": self.lifetime,
                "token_type": "Bearer",
            },
        )

    def _import(self, text: str) -> httpx.Response:
        made = []
        for row in csv.DictReader(text.splitlines()):
            product_id = f"id-{row['sku']}"
            self.products[product_id] = row
            self.stock.setdefault(product_id, {"product_id": product_id, "on_hand": 0, "reserved": 0, "available": 0})
            made.append({"sku": row["sku"], "product_id": product_id})
        return httpx.Response(201, json={"created": len(made), "updated": 0, "refused": [], "products": made})

    def _adjust(self, body: Json, key: str) -> httpx.Response:
        if self.unknown_adjustments:
            self.unknown_adjustments -= 1
            return problem(404, "unknown-product")
        if key not in self.done:
            for part in body["adjustments"]:
                self._move(part["product_id"], on_hand=part["delta"])
            self.done[key] = {"adjustments": []}
        return httpx.Response(201, json=self.done[key])

    def _place(self, request: httpx.Request, body: Json, key: str) -> httpx.Response:
        order_id = f"order-{key}"
        if order_id not in self.orders:
            amount = sum(line["quantity"] * line["unit_price"]["amount"] for line in body["lines"])
            self.orders[order_id] = {
                "order_id": order_id,
                "status": "pending",
                "payment_status": "none",
                "reason": None,
                "lines": body["lines"],
                "total": {"amount": amount, "currency": "GBP"},
                "placed_at": AT,
                "timeline": [{"at": AT, "status": "pending"}],
            }
            for line in body["lines"]:
                self._move(line["product_id"], reserved=line["quantity"])
        return httpx.Response(202, json=self.orders[order_id])

    def _advance(self, order_id: str) -> Json:
        order = self.orders[order_id]
        if order["status"] == "pending":
            steps = [{"at": AT, "status": status} for status in ("confirmed", "payment_captured", "shipped")]
            order |= {"status": "shipped", "payment_status": "captured", "timeline": order["timeline"] + steps}
            captured = order["total"]["amount"] + self.charged_too_much
            payment_id = derived_id("payment", order_id)
            self.on_capture(payment_id, order["total"]["amount"])
            self.payments[payment_id] = {
                "status": "captured",
                "captured": {"amount": captured, "currency": "GBP"},
                "refunded": {"amount": 0, "currency": "GBP"},
            }
            units = Counter({line["product_id"]: line["quantity"] for line in order["lines"]})
            for product_id, quantity in units.items():
                self._move(product_id, on_hand=-quantity, reserved=-(quantity - self.leaked))
        return order

    def _documents(self, request: httpx.Request) -> list[Json]:
        """One invoice for each captured payment, without those in `not_invoiced`."""
        issued = [
            {"kind": "invoice", "number": f"INV-2026-{number:06d}", "order_id": order_id, "total": order["total"]}
            for number, (order_id, order) in enumerate(self.orders.items(), 1)
            if order["payment_status"] == "captured" and number not in self.not_invoiced
        ]
        query = request.url.params
        if "order_id" in query:
            return [one for one in issued if one["order_id"] == query["order_id"]]
        return [one for one in reversed(issued) if query["series"].startswith("INV")]

    def _move(self, product_id: str, on_hand: int = 0, reserved: int = 0) -> None:
        stock = self.stock[product_id]
        stock["on_hand"] += on_hand
        stock["reserved"] += reserved
        stock["available"] = stock["on_hand"] - stock["reserved"]


def problem(status: int, slug: str, **extra: Any) -> httpx.Response:
    body = {"type": f"urn:mercato:problem:{slug}", "status": status, "detail": "no", **extra}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


def once(
    answer: Callable[[], httpx.Response], method: str, path: str
) -> Callable[[httpx.Request], httpx.Response | None]:
    """A fault of one request."""
    left = [answer]

    def strike(request: httpx.Request) -> httpx.Response | None:
        if left and (request.method, request.url.path) == (method, f"/api{path}"):
            return left.pop()()
        return None

    return strike
