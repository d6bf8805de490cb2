"""The checkout service on an empty table, with peers that a test can change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from checkout import api, wiring
from checkout.peers import Carriers, Carts, Catalogue, Promotions
from checkout.pricing import Terms
from checkout.usecases import Till
from mercato.peers.client import PeerNotFound, PeerUnavailable
from mercato.peers.transport import Answer
from mercato.store.attributes import Item, from_item
from mercato.store.dynamo import Table
from promotions.domain import Coupon, Kind, Standing, customer_of, evaluate
from promotions.views import CodesToEvaluate, EvaluationView
from tests.conftest import NOON
from tests.kit import aws_events

SECRET = "a secret of the checkout that is long enough"
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "line2": None,
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
}
TEN = Coupon("TEN", "10 % off", Kind.PERCENTAGE, NOON, basis_points=1000)
POST = Coupon("POST", "Free delivery", Kind.FREE_SHIPPING, NOON)
CART = {"id": "cart-1", "version": 7}
GUEST_CART = f"guest-{'5e' * 24}"


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


@dataclass
class Peers:
    """The peers' answers over HTTP. `down` has the names of those that do not answer."""

    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    cart: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"GB": {"standard": 395, "express": 695}, "FR": {"standard": 995}}
    )
    coupons: dict[str, Standing] = field(default_factory=dict)
    guessed: bool = False  # the buyer has tried too many unknown codes
    max_grams: int = 30_000
    rates_currency: str = "GBP"
    down: set[str] = field(default_factory=set)
    in_front: dict[str, Answer] = field(default_factory=dict)  # of peers before which something else answers
    asked: list[tuple[str, Any]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)  # the addresses of the buyers whose codes were asked about

    def sells(self, product_id: str, price: int, **changes: Any) -> None:
        self.products[product_id] = {
            "product_id": product_id,
            "sku": product_id.upper(),
            "name": f"A {product_id}",
            "price": pounds(price),
            "status": "active",
            "available": None,
            "tax_class": "standard",
            "weight_grams": 500,
        } | changes

    def _note(self, peer: str, asked: Any) -> None:
        if peer in self.down:
            raise PeerUnavailable(f"{peer} does not answer")
        self.asked.append((peer, asked))

    def post(self, path: str, body: Any, *, safe: bool) -> Any:
        assert (path, safe) == ("/api/products/lookup", True)
        self._note("products", body)
        return {"products": [self.products[one] for one in body["product_ids"] if one in self.products]}

    def get(self, path: str, *, user_id: str = "") -> Any:
        if path == "/api/carts/mine":
            self._note("carts", user_id)
            return self.cart
        self._note("carts", "a guest")
        if path != f"/api/carts/guests/{GUEST_CART}":
            raise PeerNotFound("There is no such cart.")
        return self.cart | {"cart_id": GUEST_CART}

    def gives(self, coupon: Coupon, used: int = 0) -> None:
        self.coupons[coupon.code] = Standing(coupon, used)

    def send(self, method: str, path: str, body: Any, headers: dict[str, str] | None = None, *, safe: bool) -> Answer:
        assert (method, safe) == ("POST", True)
        if path == "/api/promotions/evaluations":
            self.sources.append((headers or {}).get("x-source-address", ""))
            return self._evaluate(body, (headers or {})["X-User-Id"])
        assert path == "/api/shipments/quotes"
        self._note("shipping", body)
        if "shipping" in self.in_front:
            return self.in_front["shipping"]
        if body["goods"] and body["goods"]["currency"] != self.rates_currency:
            return _refusal("other-currency")
        if body["country"] not in self.rates:
            return _refusal("no-rate-for-destination")
        if body["weight_grams"] > self.max_grams:
            return _refusal("parcel-too-heavy")
        quotes = [
            {
                "carrier": "sandbox",
                "service": name,
                "name": name.title(),
                "price": pounds(price),
                "days_from": 2,
                "days": 3,
            }
            for name, price in self.rates[body["country"]].items()
        ]
        return Answer(200, {}, json.dumps({"quotes": quotes, "version": 1}).encode())

    def _evaluate(self, asked: Any, user_id: str) -> Answer:
        """By the rules of promotions, as its API answers."""
        self._note("promotions", asked)
        if "promotions" in self.in_front:
            return self.in_front["promotions"]
        if self.guessed and asked["entered"]:
            return _refusal("too-many-codes", 429, {"retry-after": "840"})
        body = CodesToEvaluate.model_validate_json(json.dumps(asked))
        found = evaluate(body.codes, self.coupons, body.basket(), NOON)
        view = EvaluationView.of(customer_of(user_id, body.email), found)
        return Answer(200, {}, view.model_dump_json().encode())


def _refusal(slug: str, status: int = 422, headers: dict[str, str] | None = None) -> Answer:
    problem = {"type": f"urn:mercato:problem:{slug}", "status": status, "detail": "None."}
    return Answer(status, headers or {}, json.dumps(problem).encode())


@dataclass
class Desk:
    """Calls the real handler with the events that AWS would send."""

    table: Table
    peers: Peers
    now: datetime
    source: str = "192.0.2.1"  # the address that the requests come from

    def call(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        user: str = "ada",
        role: str = "customer",
        key: str = "",
        query: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        event = aws_events.rest_request(
            method,
            f"/api/checkouts{path}",
            body,
            user=user,
            role=role,
            headers=headers,
            query=query,
            source=self.source,
        )
        return _answer(api.handler(event, None))

    def open(self, *, key: str = "key-1", user: str = "ada", **given: Any) -> Any:
        """A checkout of the cart, ready to be placed."""
        body = {"cart": CART, "shipping_address": ADDRESS, "service": "standard"} | given
        status, answer = self.call("POST", "", body, key=key, user=user)
        assert status == 201, answer
        return answer

    def open_guests(self, **given: Any) -> Any:
        """A checkout of a guest's cart, ready to be placed."""
        contact = {"email": "ada@example.com"}
        body = {"cart_version": CART["version"], "contact": contact, "shipping_address": ADDRESS, "service": "standard"}
        status, answer = self.call("POST", f"/guests/{GUEST_CART}", body | given, key="key-1", user="")
        assert status == 201, answer
        return answer

    def verify(self, token: str, user: str = "ada") -> tuple[int, Any]:
        path, headers = "/api/checkouts/verifications", {"X-User-Id": user}
        event = aws_events.url_request("POST", path, {"quote": token}, peer="orders", headers=headers)
        return _answer(api.handler(event, None))

    def price(self, lines: list[dict[str, Any]], address: dict[str, Any] = ADDRESS, **given: Any) -> tuple[int, Any]:
        """What orders asks for an order that names no quote."""
        body = {"lines": lines, "shipping_address": address} | given
        return _answer(api.handler(aws_events.url_request("POST", "/api/checkouts/prices", body, peer="orders"), None))

    def items(self) -> list[Item]:
        """All items in the service's table."""
        return list(map(from_item, boto3.client("dynamodb", "us-east-1").scan(TableName=self.table.name)["Items"]))

    def sessions(self) -> list[Item]:
        return [item for item in self.items() if item["sk"] == "SESSION"]

    def wait(self, **duration: int) -> None:
        self.now += timedelta(**duration)


def _answer(found: dict[str, Any]) -> tuple[int, Any]:
    return found["statusCode"], json.loads(found["body"]) if found["body"] else None


@pytest.fixture
def desk(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Desk:
    table, peers = make_table("CheckoutTable"), Peers()
    boto3.client("secretsmanager", "us-east-1").create_secret(Name="quote-secret", SecretString=SECRET)
    monkeypatch.setenv("TABLE_NAME", table.name)
    monkeypatch.setenv("QUOTE_SECRET_ID", "quote-secret")
    ports = wiring.ports()
    till = Till(
        Catalogue(peers),  # type: ignore[arg-type]
        Carriers(peers),  # type: ignore[arg-type]
        ports.taxes,
        Terms(),
        ports.signatures,
        Promotions(peers),  # type: ignore[arg-type]
    )
    vars(ports).update(till=till, carts=Carts(peers))  # type: ignore[arg-type]
    found = Desk(table, peers, noon)
    for module in (api, wiring):
        monkeypatch.setattr(module, "utc_now", lambda: found.now)
    peers.sells("mug", 1250)
    peers.sells("pot", 2000)
    lines = [{"product_id": "mug", "quantity": 2}, {"product_id": "pot", "quantity": 1}]
    peers.cart = {"cart_id": CART["id"], "version": CART["version"], "lines": lines}
    return found


service = desk  # the name by which the tests of all services know it
