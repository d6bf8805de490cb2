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
    """An order is captured and delivered at its first read. `faults` may answer instead."""

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
    on_refund: Callable[[str, int], None] = lambda payment_id, amount: None
    leaked: int = 0
    lifetime: int = 900
    checkouts: dict[str, Json] = field(default_factory=dict)
    carts: dict[str, Json] = field(default_factory=dict)
    coupons: dict[str, Json] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    shipping: int = 395
    series: str = "INV-2026"
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
        if rest.startswith("guests") and head in ("carts", "checkouts", "orders"):
            return self._guest(request, head, rest.split("/")[1:], body, key)
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
            return self._place(body["lines"], [], key)
        if path == "/promotions/coupons":
            self.coupons[body["code"]] = body
            return httpx.Response(201, json=body)
        if head == "promotions":
            used = sum(rest.removeprefix("coupons/") in order["codes"] for order in self.orders.values())
            return httpx.Response(200, json={"used": used})
        if path == "/shipments/rates":
            price = {"goods_from": 0, "amount": 395, "further_item": 0}
            services = [{"code": "standard", "bands": [{"prices": [price]}]}]
            return httpx.Response(200, json={"zones": [{"countries": [], "regions": [], "services": services}]})
        if head == "checkouts":
            return self._check_out(key, body["lines"], body["codes"]) if body else self._show(rest)
        if path == "/orders/quoted":
            return self._order_quote(body["quote"])
        if "/returns" in rest:
            order_id, _, step = rest.partition("/returns")
            return self._return(order_id, step.rpartition("/")[2], body)
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

    def _guest(self, request: httpx.Request, head: str, rest: list[str], body: Json, key: str) -> httpx.Response:
        """A guest's cart, checkout or order. The secret of the cart is the link of its order here."""
        if head == "carts" and not rest:
            cart_id = f"cart-{next(self._ids)}"
            self.carts[cart_id] = {"cart_id": cart_id, "version": 1, "lines": {}}
            return httpx.Response(201, json=self.carts[cart_id])
        if head == "carts":
            cart = self.carts[rest[0]]
            cart["lines"]["/".join(rest[2:])] = body["quantity"]
            cart["version"] += 1
            return httpx.Response(200, json=cart)
        if head == "checkouts":
            cart = self.carts[rest[0]]
            lines = [{"product_id": one, "quantity": quantity} for one, quantity in cart["lines"].items()]
            return self._check_out(key, lines, body["codes"]) if body else self._show(rest[1])
        if not rest:
            placed = self._order_quote(body["quote"])
            self.links[body["cart_id"]] = placed.json()["order_id"]
            return httpx.Response(202, json={"order": placed.json(), "token": body["cart_id"]})
        order_id = self.links[rest[0]]
        return self._return(order_id, "", body) if body else httpx.Response(200, json=self._advance(order_id))

    def _check_out(self, key: str, lines: list[Json], codes: list[str]) -> httpx.Response:
        self.checkouts.setdefault(key, {"lines": lines, "codes": codes})
        return self._show(key)

    def _show(self, key: str) -> httpx.Response:
        return httpx.Response(
            201, json={"checkout_id": key, "quote": {"token": f"quote-{key}"}, "notices": [], "missing": []}
        )

    def _order_quote(self, quote: str) -> httpx.Response:
        key = quote.removeprefix("quote-")
        checkout = self.checkouts[key]
        lines = [line | {"unit_price": self._price(line["product_id"])} for line in checkout["lines"]]
        return self._place(lines, checkout["codes"], key, shipping=self.shipping)

    def _price(self, product_id: str) -> Json:
        return {"amount": int(self.products[product_id]["price"].replace(".", "")), "currency": "GBP"}

    def _return(self, order_id: str, step: str, body: Json) -> httpx.Response:
        """Requests, approves or receives the order's only return, which refunds its share of the charges."""
        order = self.orders[order_id]
        if step == "receive" and order["returns"][0]["refunded"] is None:
            (line,) = body["lines"]
            due = [dict(one) for one in order["charges"] if one["product_id"] == line["product_id"]]
            is_whole = {one["product_id"] for one in order["lines"]} == {line["product_id"]}
            due += [one for one in order["charges"] if one["kind"] == "shipping"] if is_whole else []
            refunded = {"amount": sum(one["amount"]["amount"] for one in due), "currency": "GBP"}
            came = [line | {"quantity": line["restock"], "write_off": 0}]
            order["returns"][0] |= {"received": came, "charges": due, "refunded": refunded}
            order |= {"refunded": refunded, "status": "refunded" if is_whole else order["status"]}
            payment_id = derived_id("payment", order_id)
            self.payments[payment_id]["refunded"] = refunded
            self.on_refund(payment_id, refunded["amount"])
            self._move(line["product_id"], on_hand=line["restock"])
        elif not step and not order["returns"]:
            order["returns"] = [{"return_id": "r", "received": [], "charges": [], "refunded": None}]
        return httpx.Response(200, json={"return_id": "r"})

    def _place(self, lines: list[Json], codes: list[str], key: str, *, shipping: int = 0) -> httpx.Response:
        order_id = f"order-{key}"
        if order_id not in self.orders:
            charges = charges_of(lines, codes, shipping)
            amount = sum(charge["amount"]["amount"] for charge in charges)
            self.orders[order_id] = {
                "order_id": order_id,
                "status": "pending",
                "payment_status": "none",
                "reason": None,
                "lines": lines,
                "charges": charges,
                "codes": codes,
                "returns": [],
                "refunded": {"amount": 0, "currency": "GBP"},
                "tax": {"amount": sum(charge["tax"]["amount"] for charge in charges), "currency": "GBP"},
                "total": {"amount": amount, "currency": "GBP"},
                "placed_at": AT,
                "timeline": [{"at": AT, "status": "pending"}],
            }
            for line in lines:
                self._move(line["product_id"], reserved=line["quantity"])
        return httpx.Response(202, json=self.orders[order_id])

    def _advance(self, order_id: str) -> Json:
        order = self.orders[order_id]
        if order["status"] == "pending":
            steps = [
                {"at": AT, "status": status} for status in ("confirmed", "payment_captured", "shipped", "delivered")
            ]
            order |= {"status": "delivered", "payment_status": "captured", "timeline": order["timeline"] + steps}
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
        """One invoice for each captured payment, without those in `not_invoiced`, and a credit note for each return."""
        issued = [
            {"kind": "invoice", "series": self.series, "number": f"{self.series}-{number:06d}", "order_id": order_id}
            | {name: order[name] for name in ("total", "tax")}
            for number, (order_id, order) in enumerate(self.orders.items(), 1)
            if order["payment_status"] == "captured" and number not in self.not_invoiced
        ]
        query = request.url.params
        for order_id, order in self.orders.items():
            for made in order["returns"] if "order_id" in query else []:
                tax = {"amount": sum(one["tax"]["amount"] for one in made["charges"]), "currency": "GBP"}
                note = {"kind": "credit_note", "series": "CRN-2026", "order_id": order_id}
                issued.append(note | {"total": made["refunded"], "tax": tax})
        if "order_id" in query:
            return [one for one in issued if one["order_id"] == query["order_id"]]
        return [one for one in reversed(issued) if query["series"] == one["series"]]

    def _move(self, product_id: str, on_hand: int = 0, reserved: int = 0) -> None:
        stock = self.stock[product_id]
        stock["on_hand"] += on_hand
        stock["reserved"] += reserved
        stock["available"] = stock["on_hand"] - stock["reserved"]


def charges_of(lines: list[Json], codes: list[str], shipping: int) -> list[Json]:
    """Goods, for a code 10 % off each, and the delivery of an order by quote, all with a tax of 20 %."""
    rate = "0.2000" if shipping else "0.0000"

    def charge(kind: str, product_id: str | None, quantity: int, amount: int) -> Json:
        tax = (amount + 3) // 6 if shipping else 0
        money = {"amount": {"amount": amount, "currency": "GBP"}, "tax": {"amount": tax, "currency": "GBP"}}
        return {"kind": kind, "product_id": product_id, "quantity": quantity, "rate": rate} | money

    prices = [line["quantity"] * line["unit_price"]["amount"] for line in lines]
    goods = [
        charge("goods", one["product_id"], one["quantity"], price) for one, price in zip(lines, prices, strict=True)
    ]
    if codes:
        off = (sum(prices) + 5) // 10
        goods.append(charge("discount", lines[0]["product_id"], lines[0]["quantity"], -off))
    return goods + ([charge("shipping", None, 1, shipping)] if shipping else [])


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
