"""Creates each story's own product and customer, places orders, and checks stock, payments and e-mails."""

from __future__ import annotations

import functools
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from infra.demo.report import Report
from infra.operator.client import Json, Refused, Session, Shop, TooLate, poll
from infra.replay import ledger
from infra.replay.books import pounds
from infra.replay.catalogue import adjust_when_known
from infra.trouble import Trouble

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
}
# The sandbox provider authorizes and captures every payment with this token.
TOKEN = "tok_ok"
_SETTLED_WITHIN = 60.0
_TRIES = 8
_STOPPED_OR_LEFT = frozenset({"cancelled", "dispatched", "in_transit", "delivered"})


@dataclass(frozen=True)
class Product:
    product_id: str
    name: str
    price: Json
    version: int
    stock: int


@dataclass(frozen=True)
class Stage:
    """`tag` makes the names of this demo unique, so that it can be repeated. `currency` is the shop's."""

    shop: Shop
    admin: Session
    endpoint: str
    patience: float
    tag: str = field(default_factory=lambda: secrets.token_hex(3))
    currency: str = "GBP"
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

    def new_key(self) -> str:
        return f"demo-{self.tag}-{next(self._numbers)}"

    def new_product(self, name: str, pence: int, stock: int) -> Product:
        """Creates and stocks a product that no other story buys. `pence` is its price in minor units."""
        number = next(self._numbers)
        made = self.admin.post(
            "/products",
            {
                "sku": f"DEMO-{self.tag}-{number}",
                "name": f"{name} {self.tag}{number}",
                "category": "demo",
                "price": self.price(pence),
            },
            key=self.new_key(),
        )
        if stock:
            path = f"/inventory/{made['product_id']}/adjustments"
            adjust_when_known(self.admin, path, {"delta": stock, "reason": "demo"}, self.new_key(), self.shop.clock)
            # the catalogue hears of it by an event, and the checkout believes the catalogue
            page = f"/products/{made['product_id']}"
            self.wait_for(lambda: self.shop.call("GET", page)["availability"], lambda found: found != "out")
        return Product(made["product_id"], made["name"], made["price"], made["version"], stock)

    def price(self, amount: int) -> Json:
        return {"amount": amount, "currency": self.currency}

    def money(self, amount: int) -> str:
        return pounds(amount, self.currency)

    def new_email(self, name: str) -> str:
        return f"{name.lower()}-{self.tag}-{next(self._numbers)}@demo.example"

    def new_customer(self, name: str) -> Session:
        return self.join(self.new_email(name), name)

    def join(self, email: str, name: str) -> Session:
        return self.shop.join(email, f"demo {self.tag} password", name)

    def order(
        self, customer: Session, product: Product, quantity: int, *, token: str = TOKEN, key: str | None = None
    ) -> Json:
        """Places an order at the product's first price."""
        lines = [{"product_id": product.product_id, "quantity": quantity, "unit_price": product.price}]
        return customer.place_order(lines, token=token, address=ADDRESS, key=key or self.new_key())

    def park(
        self, customer: Session, name: str, pence: int, *, quantity: int = 1, stock: int = 8
    ) -> tuple[str, Product]:
        """Cancels a paid order whose refund the bank refuses, and waits until the cancellation waits for an operator.
        Returns the order's id and its product.
        """
        placed, product = self.cancel_paid(
            customer, name, pence, token="tok_refund_declined", quantity=quantity, stock=stock
        )
        order: str = placed["order_id"]
        self._wait(customer, order, lambda seen: seen["status"] == "needs_attention", "parked")
        return order, product

    def cancel_paid(
        self, customer: Session, name: str, pence: int, *, token: str, quantity: int, stock: int
    ) -> tuple[Json, Product]:
        """Cancels a paid order, and waits until its parcel is stopped. Returns the placed order and its product.

        The sandbox's parcel leaves a second after the payment. After that a cancellation comes too late: another order
        is placed, of a new product.
        """
        for _ in range(_TRIES):
            product = self.new_product(name, pence, stock)
            placed = self.order(customer, product, quantity, token=token)
            order = placed["order_id"]
            self._wait(customer, order, lambda seen: seen["status"] != "pending", "paid")
            try:
                customer.post(f"/orders/{order}/cancel", {"reason": "changed_mind"}, key=self.new_key())
            except Refused as refused:
                if refused.status != 409:
                    raise
                continue
            parcel = poll(
                functools.partial(self._parcel_status, order),
                lambda status: status in _STOPPED_OR_LEFT,
                what="its parcel stopped",
                within=self.patience,
                clock=self.shop.clock,
            )
            if parcel == "cancelled":
                return placed, product
        raise Trouble(f"all of {_TRIES} parcels left before their order was cancelled")

    def _parcel_status(self, order_id: str) -> str:
        """Empty while there is no parcel."""
        items = self.admin.get("/shipments", order_id=order_id)["items"]
        return str(items[0]["status"]) if items else ""

    def _wait(self, customer: Session, order_id: str, until: Callable[[Json], bool], what: str) -> Json:
        return customer.wait_for_order(order_id, until, what=what, within=self.patience)

    def watch(self, report: Report, customer: Session, order: Json, until: Callable[[Json], bool], what: str) -> Json:
        """Polls the order until `until` holds and prints its timeline. Returns the last view, also after a timeout."""
        return self._watch(report, lambda: customer.get(f"/orders/{order['order_id']}"), until, what)

    def watch_guest(self, report: Report, link: str, until: Callable[[Json], bool], what: str) -> Json:
        """As `watch`, by the path of a guest's link."""
        return self._watch(report, lambda: self.shop.call("GET", link), until, what)

    def _watch(self, report: Report, read: Callable[[], Json], until: Callable[[Json], bool], what: str) -> Json:
        def look() -> Json:
            seen = read()
            report.show_timeline(seen)
            return seen

        try:
            return poll(look, until, what=what, within=self.patience, clock=self.shop.clock)
        except TooLate as late:
            report.check(f"the order is {what} within {self.patience:.0f} s", False, describe(late.last))
            last: Json = late.last
            return last

    def stock(self, product: Product) -> Json:
        found: Json = self.admin.get(f"/inventory/{product.product_id}")
        return found

    def orders_of(self, customer: Session) -> list[Json]:
        found: list[Json] = customer.get("/orders")["items"]
        return found

    def expect_stock(self, report: Report, product: Product, on_hand: int, *, reserved: int = 0) -> None:
        """Checks that the product's stock reaches these figures."""
        wanted = {"on_hand": on_hand, "reserved": reserved, "available": on_hand - reserved}

        def look() -> Json:
            found = self.stock(product)
            return {name: found[name] for name in wanted}

        what = f"in stock: {on_hand}, reserved: {reserved}"
        report.expect(what, wanted, self.wait_for(look, lambda found: found == wanted))

    def expect_uncharged(self, report: Report, order_id: str) -> None:
        """Checks that the order has no charge and no open authorization."""

        def look() -> str:
            payment = ledger.payment_of(self.admin, order_id)
            if payment is None or (payment.captured == payment.refunded and payment.status != "authorized"):
                return "nothing"
            return f"{payment.status}, {self.money(payment.captured - payment.refunded)}"

        report.expect("charged or held: nothing", "nothing", self.wait_for(look, lambda found: found == "nothing"))

    def expect_charged(self, report: Report, order: Json) -> None:
        total = order["total"]["amount"]
        payment = ledger.payment_of(self.admin, order["order_id"])
        charged = payment.captured - payment.refunded if payment else 0
        report.expect(f"charged: {self.money(total)}, once", self.money(total), self.money(charged))

    def expect_sold(self, report: Report, product: Product, units: int) -> None:
        """Checks that the available count decreased by `units`, whether or not the parcel is dispatched already."""
        available = self.wait_for(
            lambda: self.stock(product)["available"], lambda found: found == product.stock - units
        )
        report.expect(f"sold: {units}", product.stock - units, available)

    def wait_for[T](self, fetch: Callable[[], T], until: Callable[[T], bool]) -> T:
        """Calls `fetch` until `until` holds for its result. Returns the last result after a timeout."""
        try:
            return poll(fetch, until, what="as expected", within=_SETTLED_WITHIN, clock=self.shop.clock)
        except TooLate as late:
            last: T = late.last
            return last

    def notifications_of(self, customer: Session, kind: str, order_id: str, *, count: int = 1) -> list[Json]:
        """Returns the customer's notifications about an order. Waits until there are at least `count`."""

        def look() -> list[Json]:
            items: list[Json] = customer.get("/notifications")["items"]
            return [item for item in items if (item["kind"], item["order_id"]) == (kind, order_id)]

        return self.wait_for(look, lambda found: len(found) >= count)

    def mails_to(self, email: str, subject: str) -> list[Json]:
        """Returns the e-mails to an address that the local cloud has accepted."""
        return [mail for mail in self.mails_of(email) if mail["Subject"] == subject]

    def mailed_token(self, email: str, page: str) -> str:
        """The token of a mailed link to this page of the shop; empty while there is none."""
        return self._mailed(email, f"/{page}#token=")

    def mailed_link(self, email: str, page: str) -> str:
        """As `mailed_token`, for a page whose token is a part of its path."""
        return self._mailed(email, f"/{page}/")

    def _mailed(self, email: str, link: str) -> str:
        texts = [mail["BodyText"] for mail in self.mails_of(email)]
        return next((text.partition(link)[2].split()[0] for text in texts if link in text), "")

    def mails_of(self, email: str) -> list[Json]:
        """Returns all e-mails to an address that the local cloud has accepted."""
        found: dict[str, list[Json]] = self._http.get(f"{self.endpoint}/_ministack/ses/messages").json()["messages"]
        return [mail for mails in found.values() for mail in mails if email in mail["To"]]


def describe(order: Json) -> str:
    reason = f" ({order['reason']})" if order.get("reason") else ""
    return f"{order['status']}{reason}, payment {order['payment_status']}"


def is_paid(order: Json) -> bool:
    return order["payment_status"] == "captured" or has_failed(order)


def has_failed(order: Json) -> bool:
    return order["status"] in ("cancelled", "needs_attention")


def is_delivered(order: Json) -> bool:
    return order["status"] == "delivered" or has_failed(order)
