"""The notifications service with a real table, and with a mailer and a clock that tests control."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from mercato.aws.secret import StoredSecret
from mercato.clock import rfc3339
from mercato.guests import guest_of
from mercato.peers.client import PeerNotFound
from mercato.peers.transport import Answer
from mercato.store.dynamo import Table
from notifications import api, consumers, wiring
from notifications.domain import Kind
from notifications.guest_carts import GuestCarts
from notifications.order_links import OrderLinks
from notifications.progress import Progress
from notifications.reminders import Shopping
from notifications.stops import Stops
from notifications.store import NotificationStore
from notifications.unsubscribing import Confirmations, Links, Unsubscription, WaysBack
from notifications.wishes.catalogue import Catalogue
from notifications.wishes.guest_store import GuestWishStore
from notifications.wishes.store import WishStore
from notifications.wordings import Wordings
from tests.kit import aws_events
from tests.kit.given import published


class FakeMailer:
    """Raises `failures` one by one. After a failure of kind MailUncertain the mail may be sent: `and_sends` decides.
    `links` has the address at which one click ends such mails, for each mail that was sent.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.links: list[str] = []
        self.failures: list[BaseException] = []
        self.and_sends = False

    def send(self, to: str, subject: str, body: str, unsubscribe: str = "") -> None:
        if not self.failures or self.and_sends:
            self.sent.append((to, subject, body))
            self.links.append(unsubscribe)
        if self.failures:
            raise self.failures.pop(0)


class FakeTexter:
    """Raises `failures` one by one. After a failure the message may be sent all the same: `and_sends` decides."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.failures: list[BaseException] = []
        self.and_sends = False

    def send(self, to: str, body: str) -> None:
        if not self.failures or self.and_sends:
            self.sent.append((to, body))
        if self.failures:
            raise self.failures.pop(0)


class Peer:
    """A fake client of the products service: answers look-ups from `products`."""

    def __init__(self) -> None:
        self.products: dict[str, dict[str, Any]] = {}

    def post(self, path: str, body: Any, *, safe: bool) -> Any:
        assert (path, safe) == ("/api/products/lookup", True)
        return {"products": [self.products[one] for one in body["product_ids"] if one in self.products]}


class GuestOrders:
    """A fake client of orders for the links to guests' orders: `opens` has the digests of their tokens, by order.
    `refuses` is the name of the problem with which it takes none. `ask` runs before each answer, and `after` it is
    stored.
    """

    def __init__(self) -> None:
        self.opens: dict[str, set[str]] = {}
        self.refuses = ""
        self.ask: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None

    def get(self, path: str) -> Any:
        digest = hashlib.sha256(path.removeprefix("/api/orders/guests/").encode()).hexdigest()
        for order_id, digests in self.opens.items():
            if digest in digests:
                return {"order_id": order_id, "status": "confirmed"}
        raise PeerNotFound("This link opens no order. If you have an account by now, your orders are there.")

    def send(self, method: str, path: str, *, safe: bool) -> Answer:
        assert (method, safe) == ("PUT", True)
        self.ask()
        _, order_id, _, digest = path.removeprefix("/api").split("/")[1:]
        if self.refuses:
            problem = {"type": f"urn:mercato:problem:{self.refuses}"}
            return Answer(404 if self.refuses.endswith("not-found") else 409, {}, json.dumps(problem).encode())
        self.opens.setdefault(order_id, set()).add(digest)
        self.after()
        return Answer(204, {}, b"")


class Shoppers:
    """A fake client of carts and of orders. A customer's cart and orders are as in their APIs; a guest has the guest's
    id. `ordered_with` has the time of the newest order of an address. `ask` runs before each answer, with the path that
    is asked.
    """

    def __init__(self) -> None:
        self.carts: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, list[dict[str, Any]]] = {}
        self.ordered_with: dict[str, datetime] = {}
        self.watched: set[str] = set()
        self.ask: Callable[[str], object] = lambda _: None

    def send(self, method: str, path: str, *, safe: bool) -> Answer:
        assert (method, safe) == ("PUT", True)
        self.ask("/watch")
        cart_id = path.removeprefix("/api/carts/guests/").removesuffix("/watch")
        if guest_of(cart_id) not in self.carts:
            return Answer(404, {}, json.dumps({"type": "urn:mercato:problem:cart-not-found"}).encode())
        self.watched.add(cart_id)
        return Answer(204, {}, b"")

    def post(self, path: str, body: Any, *, safe: bool) -> Any:
        assert (path, safe) == ("/api/orders/lookup", True)
        self.ask(path)
        newest = self.ordered_with.get(body["email"])
        return {"ordered": newest is not None and newest >= datetime.fromisoformat(body["since"])}

    def get(self, path: str, *, user_id: str) -> Any:
        self.ask(path)
        if path == "/api/carts/mine":
            return self.carts.get(user_id, {"version": 0, "lines": []})
        assert path == "/api/orders?limit=1"
        return {"items": self.orders.get(user_id, [])[:1], "next_cursor": None}


class Service:
    def __init__(self, table: Table, noon: datetime) -> None:
        self.table = table
        self.mailer = FakeMailer()
        self.texter = FakeTexter()
        self.now = noon
        self.store = NotificationStore(table)
        self.wishes = WishStore(table, self.store)
        self.peer = Peer()
        self.shoppers = Shoppers()
        self.guest_orders = GuestOrders()
        self.guest_wishes = GuestWishStore(table, self.wishes)
        self.unsubscribing = Links(StoredSecret("unsubscribe-secret"), "https://shop.example/unsubscribe/")
        self.confirming = Confirmations(StoredSecret("unsubscribe-secret"), "https://shop.example/wish/")

    def know_link(self, order_id: str = "order-1") -> str:
        """Orders opens that guest's order by a token. Returns the path of the guest's preferences."""
        token = f"link-of-{order_id}"
        self.guest_orders.opens.setdefault(order_id, set()).add(hashlib.sha256(token.encode()).hexdigest())
        return f"/api/notifications/guests/{token}/preferences"

    def link(self, user_id: str, kind: str) -> str:
        return self.unsubscribing.make(Unsubscription(user_id, Kind(kind)))

    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def event(
        self, event_type: str, event_id: str, data: dict[str, Any], at: datetime | None = None, sequence: int = 1
    ) -> dict[str, Any]:
        event = published(
            event_type,
            "subject-1",
            data,
            id=event_id,
            time=rfc3339(at or self.now),
            sequence=f"{sequence:010d}",
            correlationid="request-0001",
        )
        return aws_events.bus_record(event, "shop-notifications", message_id=f"m-{event_id}")

    def stock_event(self, available: int, sequence: int, product_id: str = "mug") -> dict[str, Any]:
        """The event of inventory that tells of `available` units; the id follows from product and sequence."""
        name = "inventory.restocked" if available > 5 else "inventory.low_stock"
        data = {"product_id": product_id, "available": available, "level": "low" if available else "out"}
        event = published(
            name,
            product_id,
            data,
            id=f"stock-{product_id}-{sequence}",
            time=rfc3339(self.now),
            sequence=f"{sequence:010d}",
            correlationid="request-0001",
        )
        return aws_events.bus_record(event, "shop-notifications", message_id=f"m-{product_id}-{sequence}")

    def sells(self, product_id: str = "mug", *, available: int | None = 0, status: str = "active") -> None:
        self.peer.products[product_id] = {
            "product_id": product_id,
            "name": f"A {product_id}",
            "status": status,
            "available": available,
        }

    def receive(self, *records: dict[str, Any]) -> list[str]:
        """Returns the ids of the messages that the queue must deliver again."""
        answer = consumers.handler(aws_events.records(*records), None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def register(self, user_id: str = "user-1", email: str = "anna@example.com", name: str = "Anna") -> None:
        """Registers a user and clears the welcome mail."""
        data = {"user_id": user_id, "email": email, "name": name}
        earlier = self.now - timedelta(hours=1)
        assert self.receive(self.event("user.registered", f"registered-{user_id}", data, earlier)) == []
        self.mailer.sent.clear()

    def ask(self, email: str, product_id: str = "mug", **more: str) -> str:
        """A guest asks to be told of a product. Returns the id of what was asked; empty if nothing was stored."""
        before = {one["wish_id"] for one in self.announced() if one["type"] == "wish.asked"}
        body = {"product_id": product_id, "email": email} | more
        answer = self.call("POST", "/api/notifications/guest-wishes", user="", role="", body=body)
        assert answer == (202, {"detail": "We have sent a mail to this address. Please open the link in it."})
        after = {one["wish_id"] for one in self.announced() if one["type"] == "wish.asked"}
        return "".join(after - before)

    def asked_by(self, email: str, product_id: str = "mug", **more: str) -> str:
        """A guest asks to be told of a product. Returns the token of the link in the mail, which is the last one."""
        wish_id = self.ask(email, product_id, **more)
        assert self.receive(self.event("wish.asked", f"asked-{wish_id}", {"wish_id": wish_id})) == []
        to, _, body = self.mailer.sent[-1]
        assert to == email.lower()
        return body.partition("https://shop.example/wish/")[2].partition("\n")[0]

    def receipt(self, event_id: str = "paid-1", user_id: str = "user-1", at: datetime | None = None) -> dict[str, Any]:
        data = {
            "payment_id": "payment-1",
            "order_id": "order-1",
            "customer_id": user_id,
            "amount": {"amount": 1250, "currency": "GBP"},
        }
        return self.event("payment.completed", event_id, data, at)

    def call(
        self,
        method: str,
        path: str,
        *,
        user: str = "user-1",
        role: str = "customer",
        body: Any = None,
        query: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        answer = api.handler(aws_events.rest_request(method, path, body, user=user, role=role, query=query), None)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def listed(self, user: str = "user-1", **query: str) -> Any:
        status, body = self.call("GET", "/api/notifications", user=user, query=query)
        assert status == 200, body
        return body

    def announced(self) -> list[dict[str, Any]]:
        """The events of the outbox, as (type, data)."""
        items = boto3.client("dynamodb", "us-east-1").scan(TableName=self.table.name)["Items"]
        envelopes = [json.loads(item["event"]["S"]) for item in items if "event" in item]
        return [{"type": found["type"]} | found["data"] for found in sorted(envelopes, key=lambda one: one["time"])]


@pytest.fixture
def service(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Service:
    table = make_table("NotificationsTable")
    boto3.client("secretsmanager", "us-east-1").create_secret(Name="unsubscribe-secret", SecretString="signs links")
    found = Service(table, noon)
    vars(wiring.ports()).update(
        store=found.store,
        wishes=found.wishes,
        progress=Progress(table),
        stops=Stops(table),
        catalogue=Catalogue(found.peer),  # type: ignore[arg-type]
        mailer=found.mailer,
        texter=found.texter,
        wordings=Wordings(table),
        settings=wiring.Settings("NotificationsTable", "unused", "https://shop.example/", "MERCATO"),
        guest_wishes=found.guest_wishes,
        guest_carts=GuestCarts(table),
        ways_back=WaysBack(StoredSecret("unsubscribe-secret"), "https://shop.example/cart/back/"),
        unsubscribing=found.unsubscribing,
        confirming=found.confirming,
        order_links=OrderLinks(
            found.guest_orders,  # type: ignore[arg-type]
            StoredSecret("unsubscribe-secret"),
            lambda page: f"https://shop.example{page}",
        ),
        shopping=Shopping(found.shoppers, found.shoppers),  # type: ignore[arg-type]
        mail_settings=wiring.MailSettings("shop@mercato.example", "", cart_reminder_days=2),
    )
    for module in (api, consumers):
        monkeypatch.setattr(module, "utc_now", lambda: found.now)
    boto3.client("sqs", "us-east-1").create_queue(QueueName="shop-notifications-dlq")
    return found
