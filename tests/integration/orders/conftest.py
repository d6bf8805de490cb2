"""The orders service's handlers on an empty table, with a catalogue that a test can change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from mercato.guests import guest_of
from mercato.money import Money
from mercato.peers.client import PeerUnavailable
from mercato.peers.transport import Answer
from mercato.store.dynamo import KeyRange, Table
from orders import api, consumers, saga, wiring
from orders.checkouts import Quotes
from orders.links import digest_of
from orders.order import Order
from orders.store import OrderStore
from tests.kit import aws_events
from tests.kit.given import published

ADDRESS = {
    "name": "Ada Lovelace",
    "company": "Analytical Engines Ltd",
    "line1": "12 St James's Square",
    "line2": None,
    "city": "London",
    "region": None,
    "postcode": "SW1Y 4JH",
    "country": "GB",
    "phone": "+44 20 7946 0958",
}


@dataclass(frozen=True)
class Listing:
    """A product as the catalogue has it."""

    product_id: str
    sku: str
    name: str
    price: Money
    for_sale: bool


def listing(product_id: str, price: int = 1250, *, name: str = "", for_sale: bool = True) -> Listing:
    money = Money(amount=price, currency="GBP")
    return Listing(product_id, product_id.upper(), name or f"A {product_id}", money, for_sale)


@dataclass
class Shelf:
    """A fake catalogue. `asked` has the requests for prices. Delivery is free and without tax, until a test says what
    the checkout adds. `notices` are its obstacles.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    delivery: int = 0
    rate: str = "0.0000"
    notices: list[dict[str, str]] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    before_answer: Callable[[], None] | None = None

    def put(self, *listings: Listing) -> None:
        self.listings |= {found.product_id: found for found in listings}

    def price(self, wanted: Sequence[dict[str, Any]], service: str | None) -> dict[str, Any]:
        """The checkout's answer."""
        self.asked.append([line["product_id"] for line in wanted])
        if self.before_answer:
            self.before_answer()
        sold = [(line, one) for line in wanted if (one := self.listings.get(line["product_id"])) and one.for_sale]
        lines = [
            {
                "product_id": one.product_id,
                "sku": one.sku,
                "name": one.name,
                "quantity": line["quantity"],
                "unit_price": one.price.model_dump(),
            }
            for line, one in sold
        ]
        goods = [
            self._charge(one.price.amount * line["quantity"], one.price.currency, one.name, line) for line, one in sold
        ]
        service = service or "standard"
        delivery = {"carrier": "sandbox", "service": service, "name": service.title(), "days": 3}
        charges = [*goods, self._charge(self.delivery, "GBP", service.title())]
        return {"lines": lines, "charges": charges, "delivery": delivery, "notices": self.notices}

    def _charge(self, amount: int, currency: str, description: str, line: dict[str, Any] | None = None) -> Any:
        units = int(self.rate.replace(".", ""))
        charge = {
            "kind": "goods" if line else "shipping",
            "product_id": line["product_id"] if line else None,
            "description": description,
            "quantity": line["quantity"] if line else 1,
            "amount": {"amount": amount, "currency": currency},
            "tax": {"amount": amount * units // (10_000 + units), "currency": currency},
        }
        return charge | {"rate": self.rate, "tax_class": "standard", "jurisdiction": "GB"}


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


def verified(**changes: Any) -> dict[str, Any]:
    """The checkout's answer for a quote that holds: two mugs at a discount of a pound, delivered for 3.95."""
    taxed = {"rate": "0.2000", "tax_class": "standard", "jurisdiction": "GB"}
    goods = taxed | {"kind": "goods", "product_id": "mug", "description": "A mug", "quantity": 2}
    less = goods | {"kind": "discount", "description": "Welcome"}
    shipping = taxed | {"kind": "shipping", "product_id": None, "description": "Standard", "quantity": 1}
    line = {"product_id": "mug", "sku": "MUG", "name": "A mug", "quantity": 2, "unit_price": pounds(1250)}
    sale = {
        "lines": [line],
        "charges": [
            goods | {"amount": pounds(2500), "tax": pounds(417)},
            less | {"amount": pounds(-100), "tax": pounds(-17)},
            shipping | {"amount": pounds(395), "tax": pounds(66)},
        ],
        "delivery": {"carrier": "sandbox", "service": "standard", "name": "Standard", "price": pounds(395), "days": 3},
        "cart": None,
        "contact": None,
        "shipping_address": ADDRESS,
        "billing_address": None,
    }
    return {"checkout_id": "co-1", "version": 2, "is_expired": False, "differences": [], "sale": sale} | changes


@dataclass
class Checkout:
    """The checkout service's answers over HTTP, by quote and buyer. `is_down`: it does not answer."""

    shelf: Shelf
    quotes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    is_down: bool = False
    refuses: str = ""  # the type of the problem with which it refuses to price goods

    def send(self, method: str, path: str, body: Any, headers: Any = None, *, safe: bool) -> Answer:
        assert (method, safe) == ("POST", True)
        if self.is_down:
            raise PeerUnavailable("checkout does not answer")
        if path == "/api/checkouts/prices":
            if self.refuses:
                return Answer(422, {}, json.dumps({"type": f"urn:mercato:problem:{self.refuses}"}).encode())
            return Answer(200, {}, json.dumps(self.shelf.price(body["lines"], body["service"])).encode())
        assert path == "/api/checkouts/verifications"
        found = self.quotes.get((body["quote"], headers["X-User-Id"]))
        if found is None:
            problem = {"type": "urn:mercato:problem:invalid-quote", "detail": "This is not a quote of this shop."}
            return Answer(422, {}, json.dumps(problem).encode())
        return Answer(200, {}, json.dumps(found).encode())


GUEST_CART = f"guest-{'5e' * 24}"
GUEST = guest_of(GUEST_CART)


def guests_sale(checkout_id: str = "co-guest", cart_version: int = 3) -> dict[str, Any]:
    """The checkout's answer for the quote of a guest."""
    contact = {"email": "ada@example.com", "phone": None}
    sale = verified()["sale"] | {"contact": contact, "cart": {"id": GUEST, "version": cart_version}}
    return verified(checkout_id=checkout_id, sale=sale)


class Mailbox:
    """A mailer that raises `failures` one by one."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.failures: list[Exception] = []

    def send(self, to: str, subject: str, body: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((to, subject, body))

    def tokens(self) -> list[str]:
        return [body.partition("#token=")[2].split()[0] for _, _, body in self.sent]


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
    checkout: Checkout
    mailbox: Mailbox

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
        headers = {"X-Request-Id": "req-12345678"} | ({"Idempotency-Key": key} if key else {})
        event = aws_events.rest_request(method, path, payload, user=user, role=role, headers=headers, query=query)
        return _answer(api.handler(event, None))

    def call_as_peer(self, path: str, query: str, user: str = "") -> tuple[int, Any, dict[str, str]]:
        headers = {"X-User-Id": user} if user else {}
        return _answer(api.handler(aws_events.url_request("GET", path, headers=headers, query=query), None))

    def give_link(self, order_id: str, token: str) -> tuple[int, str]:
        """As notifications gives a link. Returns the status, and the name of the problem if there is one."""
        path = f"/api/orders/{order_id}/links/{digest_of(token)}"
        status, answer, _ = _answer(api.handler(aws_events.url_request("PUT", path, peer="notifications"), None))
        return status, str(answer["type"]).rpartition(":")[2] if answer else ""

    def place(self, payload: dict[str, Any] | None = None, key: str = "key-1", user: str = "cust-1") -> Any:
        status, answer, _ = self.call("POST", "/api/orders", payload or body(), key=key, user=user)
        assert status == 202, answer
        return answer

    def place_quoted(self, quote: str = "quote-1", card: str = "tok_ok", user: str = "cust-1") -> Any:
        """Returns status, body and headers."""
        payload = {"quote": quote, "payment_token": card}
        return self.call("POST", "/api/orders/quoted", payload, user=user)

    def place_waiting(self, key: str = "key-1", state: str = "declined") -> Any:
        """An order that waits for its buyer, since its card was declined or its bank asks for the buyer."""
        placed = self.place(body() | {"waits_for_buyer": True}, key=key)
        self.ask(placed["order_id"], state)
        return placed

    def ask(self, order_id: str, state: str = "declined", asked_at: str = "2026-11-22T12:00:00.000Z") -> Any:
        said = {"reason": "card_declined", "detail": "Your bank declined the card."}
        payment = said | {"payment_id": "pay-1", "status": state, "attempt": 1, "version": 0}
        reservation = {"order_id": order_id, "expires_at": "2040-01-01T00:00:00.000Z"}
        return self.task("AskBuyer", order_id=order_id, payment=payment, reservation=reservation, asked_at=asked_at)

    def change_return(
        self, order_id: str, made: Any, deed: str, payload: Any = None, *, key: str = "", user: str = "", role: str = ""
    ) -> tuple[int, Any, dict[str, str]]:
        """By staff; a customer cancels. `made` is the return as the API answered it."""
        user, role = (
            user or ("cust-1" if deed == "cancel" else "boss"),
            role or ("customer" if deed == "cancel" else "admin"),
        )
        path = f"/api/orders/{order_id}/returns/{made['return_id']}/{deed}"
        return self.call("POST", path, payload, key=key or f"{deed}-{made['return_id']}", user=user, role=role)

    def receive_return(self, order_id: str, made: Any) -> Any:
        """Staff approves the return and receives all of it, to be sold again."""
        if made["status"] == "requested":
            assert self.change_return(order_id, made, "approve")[0] == 200
        lines = [{"product_id": line["product_id"], "restock": line["quantity"]} for line in made["lines"]]
        status, answer, _ = self.change_return(order_id, made, "receive", {"lines": lines})
        assert status == 200, answer
        return answer

    def place_for_guest(
        self, quote: str = "guest-quote", card: str = "tok_ok", cart_id: str = GUEST_CART, **more: Any
    ) -> Any:
        """Returns status, body and headers. The cart's id is the guest's secret."""
        payload = {"quote": quote, "payment_token": card, "cart_id": cart_id} | more
        return self.call("POST", "/api/orders/guests", payload, user="")

    def place_waiting_for_guest(self, state: str = "declined") -> tuple[str, str]:
        """A guest's order that waits for its buyer: its id, and the token of its link."""
        self.checkout.quotes["waiting", GUEST] = guests_sale("co-waiting", 5)
        placed = self.place_for_guest("waiting", waits_for_buyer=True)[1]
        order_id = placed["order"]["order_id"]
        self.ask(order_id, state)
        return order_id, placed["token"]

    def task(self, name: str, **task_input: Any) -> Any:
        return saga.handler(aws_events.task(name, task_input), None)

    def hear(self, event_type: str, data: dict[str, Any], event_id: str = "", context: Any = None) -> list[Any]:
        """Returns the failures that are reported to the queue by an invocation with that context."""
        event = published(
            event_type,
            str(data.get("order_id")),
            data,
            id=event_id or str(uuid.uuid4()),
            sequence="1",
            correlationid="req-12345678",
        )
        batch = aws_events.records(aws_events.bus_record(event, "mercato-orders"))
        answer: list[Any] = consumers.handler(batch, context)["batchItemFailures"]
        return answer

    def order(self, order_id: str) -> Order:
        found = self.store.load(order_id)
        assert found is not None
        return found

    def announced(self, order_id: str) -> list[dict[str, Any]]:
        """An order's events in the outbox, in order."""
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
    for name, value in {"FROM_ADDRESS": "shop@example.com", "MAIL_CONFIGURATION_SET": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHOP_URL", "https://shop.example")
    checkout = Checkout(
        shelf,
        {
            ("quote-1", "cust-1"): verified(),
            ("guest-quote", GUEST): guests_sale(),
            ("second", GUEST): guests_sale("co-2", 9),
        },
    )
    mailbox = Mailbox()
    vars(wiring.ports()).update(quotes=Quotes(checkout), mailer=mailbox)  # type: ignore[arg-type]
    return Shop(table, shelf, OrderStore(table), checkout, mailbox)


service = shop  # the name by which the tests of all services know it
