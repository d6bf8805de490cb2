"""The buyers of a replay: accounts, and guests without one. Each buys through the checkout, and returns goods.

Every step is idempotent by the invoice's key, so that a continued run does nothing twice. A guest is known by the cart
alone, so the cart of each guest's invoice is kept in a file.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from infra.operator.client import Clock, Json, Refused, Session, Shop, ShopError, TooLate, poll

SERVICE = "standard"
_PAYMENT_TOKEN = "tok_ok"
# The shop took nothing, and a quote of a moment later may hold: a service that was asked did not answer in time, or the
# catalogue has not heard yet of the stock, of which there is enough for all invoices.
_FOR_NOW = frozenset({"codes-unavailable", "quote-changed", "quote-expired", "short-of-stock"})
_WITHIN = 90.0


class NoQuote(ShopError):
    """The checkout gives no quote for these goods."""


@dataclass(frozen=True)
class Basket:
    """What is bought. `key` names the invoice of the run. `items` have a product_id and a quantity."""

    key: str
    items: Sequence[Json]
    address: Json
    email: str
    codes: Sequence[str] = ()

    @property
    def wishes(self) -> Json:
        return {
            "contact": {"email": self.email},
            "shipping_address": self.address,
            "service": SERVICE,
            "codes": list(self.codes),
        }


@dataclass(frozen=True)
class Bought:
    """An order as its buyer sees it, and how it is read and returned."""

    order: Json
    read: Callable[[], Json] = field(repr=False)
    ask_back: Callable[[Json, str], Json] = field(repr=False)


class Buyer(Protocol):
    @property
    def clock(self) -> Clock: ...

    def open(self, basket: Basket) -> Json:
        """A checkout of the basket."""

    def look(self, basket: Basket, checkout_id: str) -> Json:
        """The checkout with a new quote."""

    def order(self, basket: Basket, quote: str) -> Bought: ...


@dataclass(frozen=True)
class Account:
    session: Session

    @property
    def clock(self) -> Clock:
        return self.session.shop.clock

    def open(self, basket: Basket) -> Json:
        found: Json = self.session.post("/checkouts", {"lines": basket.items} | basket.wishes, key=basket.key)
        return found

    def look(self, basket: Basket, checkout_id: str) -> Json:
        found: Json = self.session.get(f"/checkouts/{checkout_id}")
        return found

    def order(self, basket: Basket, quote: str) -> Bought:
        body = {"quote": quote, "payment_token": _PAYMENT_TOKEN}
        return self.bought(self.session.post("/orders/quoted", body, safe=True))

    def order_lines(self, basket: Basket, prices: Sequence[Json]) -> Bought:
        """Orders without a checkout, at these unit prices, by the cheapest delivery and without a coupon."""
        lines = [item | {"unit_price": price} for item, price in zip(basket.items, prices, strict=True)]
        return self.bought(
            self.session.place_order(lines, token=_PAYMENT_TOKEN, address=basket.address, key=basket.key)
        )

    def bought(self, order: Json) -> Bought:
        path = f"/orders/{order['order_id']}"
        return Bought(
            order, lambda: self.session.get(path), lambda body, key: self.session.post(f"{path}/returns", body, key=key)
        )


class GuestCarts:
    """The filled carts of guests by the invoice's key, each with its version: one JSON object per line of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._carts: dict[str, Json] = {cart["key"]: cart for cart in map(json.loads, lines)}

    def find(self, key: str) -> Json | None:
        return self._carts.get(key)

    def keep(self, cart: Json) -> None:
        with self._lock:
            self._carts[cart["key"]] = cart
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(cart) + "\n")


@dataclass(frozen=True)
class Guest:
    shop: Shop
    carts: GuestCarts

    @property
    def clock(self) -> Clock:
        return self.shop.clock

    def open(self, basket: Basket) -> Json:
        cart = self.carts.find(basket.key) or self._fill(basket)
        wanted = {"cart_version": cart["version"]} | basket.wishes
        found: Json = self.shop.call("POST", f"/checkouts/guests/{cart['cart_id']}", wanted, key=basket.key)
        return found

    def look(self, basket: Basket, checkout_id: str) -> Json:
        found: Json = self.shop.call("GET", f"/checkouts/guests/{self._cart_id(basket)}/{checkout_id}")
        return found

    def order(self, basket: Basket, quote: str) -> Bought:
        body = {"quote": quote, "payment_token": _PAYMENT_TOKEN, "cart_id": self._cart_id(basket)}
        placed = self.shop.call("POST", "/orders/guests", body, safe=True)
        path = f"/orders/guests/{placed['token']}"
        return Bought(
            placed["order"],
            lambda: self.shop.call("GET", path),
            lambda body, key: self.shop.call("POST", f"{path}/returns", body, key=key),
        )

    def _fill(self, basket: Basket) -> Json:
        filled: Json = self.shop.call("POST", "/carts/guests", safe=True)  # a cart too many is nobody's
        for item in basket.items:
            path = f"/carts/guests/{filled['cart_id']}/items/{item['product_id']}"
            filled = self.shop.call("PUT", path, {"quantity": item["quantity"]})
        cart = {"key": basket.key, "cart_id": filled["cart_id"], "version": filled["version"]}
        self.carts.keep(cart)
        return cart

    def _cart_id(self, basket: Basket) -> str:
        cart = self.carts.find(basket.key)
        if cart is None:
            raise LookupError(f"the cart of {basket.key} was not filled")
        return str(cart["cart_id"])


def check_out(buyer: Buyer, basket: Basket) -> Bought:
    """Opens a checkout and orders by its quote. Asks again while a service that the checkout needs does not answer."""
    shown: Json = {}

    def attempt() -> Bought | ShopError:
        nonlocal shown
        try:
            shown = buyer.look(basket, shown["checkout_id"]) if shown else buyer.open(basket)
            if shown["quote"] is None:
                reasons = [one["type"] for one in shown["notices"]] or shown["missing"]
                return NoQuote(f"the checkout gives no quote: {', '.join(reasons)}")
            return buyer.order(basket, shown["quote"]["token"])
        except Refused as refused:
            if refused.slug not in _FOR_NOW:
                raise
            return refused

    try:
        bought = poll(
            attempt, lambda one: isinstance(one, Bought), what="an order", within=_WITHIN, every=0.5, clock=buyer.clock
        )
    except TooLate as late:
        bought = late.last
    if isinstance(bought, ShopError):
        raise bought
    return bought
