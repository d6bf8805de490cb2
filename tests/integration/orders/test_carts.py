"""An order that names its cart: one version of a cart is ordered once."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.ids import derived_id
from tests.integration.interrupter import Interrupter
from tests.integration.orders.conftest import Shop, body, listing

CART: dict[str, Any] = {"id": "cart-1", "version": 1795348803}
MOST = 6  # more than one placement makes


def naming(cart: Any = CART) -> dict[str, Any]:
    return body() | {"cart": cart}


def orders_of(shop: Shop, user: str = "cust-1") -> list[str]:
    return [order["order_id"] for order in shop.call("GET", "/api/orders", user=user)[1]["items"]]


def test_the_second_order_of_a_cart_is_refused_and_told_of_the_first(shop: Shop) -> None:
    first = shop.place(naming())["order_id"]

    status, problem, _ = shop.call("POST", "/api/orders", naming(), key="key-2")

    assert (status, problem["type"]) == (409, "urn:mercato:problem:cart-already-ordered")
    assert problem["order_id"] == first
    assert problem["detail"] == (
        f"This cart was ordered already, as order {first}. To order the same again, put it into the cart again, "
        "or order it without naming the cart."
    )
    assert orders_of(shop) == [first]
    assert shop.announced(derived_id("cust-1", "key-2")) == []


def test_the_same_key_again_is_the_same_order(shop: Shop) -> None:
    first = shop.place(naming())
    status, again, headers = shop.call("POST", "/api/orders", naming(), key="key-1")

    assert (status, again, headers["Idempotent-Replayed"]) == (202, first, "true")


def test_a_later_version_of_the_cart_and_another_customers_are_other_carts(shop: Shop) -> None:
    shop.place(naming())
    shop.place(naming(CART | {"version": CART["version"] + 1}), key="key-2")
    shop.place(naming(), user="cust-2")

    assert len(orders_of(shop)) == 2
    assert len(orders_of(shop, "cust-2")) == 1


def test_orders_that_name_no_cart_are_placed_as_often_as_they_are_asked_for(shop: Shop) -> None:
    shop.place(naming())
    for number in range(2):
        shop.place(body(), key=f"again-{number}")

    assert len(orders_of(shop)) == 3


def test_an_order_that_is_refused_leaves_its_cart_to_be_ordered(shop: Shop) -> None:
    shop.shelf.put(listing("mug", 1300))
    assert shop.call("POST", "/api/orders", naming(), key="key-1")[0] == 409
    shop.shelf.put(listing("mug", 1250))

    shop.place(naming(), key="key-2")


def test_the_world_hears_which_cart_was_ordered(shop: Shop) -> None:
    (named,) = shop.announced(shop.place(naming())["order_id"])
    (unnamed,) = shop.announced(shop.place(body(), key="key-2")["order_id"])

    assert (named["data"]["cart"], unnamed["data"]["cart"]) == (CART, None)


@pytest.mark.parametrize("cart", [{"id": "", "version": 1}, {"id": "c", "version": 0}, {"id": "c"}, {"version": 1}, 7])
def test_a_cart_that_is_named_wrongly_is_refused(shop: Shop, cart: Any) -> None:
    assert shop.call("POST", "/api/orders", naming(cart), key="key-1")[0] == 422


@pytest.mark.parametrize("key", ["key-1", "key-2"], ids=["same key", "another key"])
@pytest.mark.parametrize("call", range(MOST))
def test_of_two_placements_at_once_one_is_an_order(shop: Shop, call: int, key: str) -> None:
    """At each call of the one, the whole other one runs."""
    interrupter, statuses = Interrupter(), list[int]()

    def place(its: str) -> None:
        statuses.append(shop.call("POST", "/api/orders", naming(), key=its)[0])

    interrupter.at(call, lambda: place(key))
    place("key-1")
    if interrupter.act:
        interrupter.act = None
        place(key)

    assert sorted(statuses) == ([202, 202] if key == "key-1" else [202, 409])
    (order_id,) = orders_of(shop)
    assert len(shop.announced(order_id)) == 1
    assert sum(len(shop.announced(derived_id("cust-1", one))) for one in ("key-1", "key-2")) == 1
