"""Order numbers: in all that is said of an order, unique, searched by staff, and no key to anybody's order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from mercato.store.dynamo import put
from mercato.store.payload import pack, unpack
from orders import wiring
from orders.numbers import parse_number
from orders.store import OrderStore
from tests.integration.orders.conftest import Shop, body

FIRST, SECOND = "00000-00000", "K7QF2-M9X40"


@pytest.fixture
def draws(shop: Shop) -> Callable[..., None]:
    """Decides what numbers the shop draws from now on."""

    def draw(*numbers: str) -> None:
        shop.store = OrderStore(shop.table, draw=iter(numbers).__next__)
        vars(wiring.ports()).update(orders=shop.store)

    return draw


def found(shop: Shop, **query: str) -> tuple[int, Any]:
    status, answer, _ = shop.call("GET", "/api/ops/orders", role="admin", user="boss", query=query)
    return status, [item["order_id"] for item in answer["items"]] if status == 200 else answer["type"]


def test_an_order_has_a_number_in_all_its_views_and_events(shop: Shop) -> None:
    order = shop.place()
    number, order_id = order["number"], order["order_id"]
    assert parse_number(number) == number
    assert shop.call("GET", f"/api/orders/{order_id}")[1]["number"] == number
    assert shop.call("GET", "/api/orders")[1]["items"][0]["number"] == number
    assert shop.call("GET", f"/api/orders/{order_id}/history")[1]["order"]["number"] == number
    assert shop.announced(order_id)[0]["data"]["number"] == number
    assert shop.place_quoted()[1]["number"] != number


def test_the_same_request_again_draws_no_second_number(shop: Shop) -> None:
    assert shop.place()["number"] == shop.place()["number"]


def test_a_taken_number_is_drawn_again(shop: Shop, draws: Callable[..., None]) -> None:
    draws(FIRST, FIRST, FIRST, SECOND)
    first, second = shop.place(key="key-1"), shop.place(key="key-2")
    assert (first["number"], second["number"]) == (FIRST, SECOND)
    claim = {"pk": f"NUMBER#{FIRST}", "sk": "NUMBER", "order_id": first["order_id"]}
    assert shop.table.get(f"NUMBER#{FIRST}", "NUMBER") == claim
    assert found(shop, number=SECOND) == (200, [second["order_id"]])


def test_an_order_whose_draws_are_all_taken_is_not_placed(shop: Shop, draws: Callable[..., None]) -> None:
    draws(*[FIRST] * 6, SECOND)
    shop.place(key="key-1")
    assert shop.call("POST", "/api/orders", body(), key="key-2")[0] == 503
    assert len(shop.call("GET", "/api/orders")[1]["items"]) == 1
    assert shop.place(key="key-2")["number"] == SECOND


def test_of_two_requests_at_once_one_number_is_written(shop: Shop, draws: Callable[..., None]) -> None:
    """The other request places the order while this one asks for prices."""
    draws(FIRST, SECOND)

    def be_faster() -> None:
        shop.shelf.before_answer = None
        assert shop.place()["number"] == FIRST

    shop.shelf.before_answer = be_faster
    assert shop.place()["number"] == FIRST
    assert shop.table.get(f"NUMBER#{SECOND}", "NUMBER") is None


@pytest.mark.parametrize("change", [str.lower, lambda number: number.replace("-", " "), lambda number: f" {number} "])
def test_staff_finds_an_order_by_its_number_however_it_is_typed(shop: Shop, change: Any) -> None:
    order = shop.place()
    shop.place(key="key-2")
    assert found(shop, number=change(order["number"])) == (200, [order["order_id"]])
    assert found(shop, number=order["number"], state="cancelled") == (200, [])


def test_a_number_that_nothing_has_finds_nothing_and_a_mistyped_one_says_so(shop: Shop) -> None:
    shop.place()
    assert found(shop, number=SECOND) == (200, [])
    assert found(shop, number="K7QF2-M9X41") == (422, "urn:mercato:problem:mistyped-order-number")


@pytest.mark.parametrize("user", ["cust-1", "cust-2"])
def test_a_number_alone_opens_no_order(shop: Shop, user: str) -> None:
    number = shop.place()["number"]
    for method, path, payload in [
        ("GET", f"/api/orders/{number}", None),
        ("GET", f"/api/orders/{number}/history", None),
        ("POST", f"/api/orders/{number}/cancel", {}),
        ("POST", f"/api/orders/{number}/returns", {"lines": [{"product_id": "mug", "quantity": 1}]}),
    ]:
        assert shop.call(method, path, payload, user=user, key="key-9")[0] == 404, path
    assert shop.call("GET", "/api/ops/orders", user=user, query={"number": number})[0] == 403


def test_an_order_of_an_earlier_release_has_none_and_works(shop: Shop, noon: datetime) -> None:
    order_id = shop.place()["order_id"]
    event = shop.table.get(f"order#{order_id}", "E#0000000001") or {}
    fact = {name: value for name, value in unpack(event["d"]).items() if name != "number"}
    summary = shop.table.get(f"order#{order_id}", "SUMMARY") or {}
    del summary["number"]
    shop.table.transact([put(event | {"d": pack(fact)}), put(summary)])

    assert shop.call("GET", f"/api/orders/{order_id}")[1]["number"] is None
    assert [item["number"] for item in shop.call("GET", "/api/orders")[1]["items"]] == [None]
    assert shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")["status"] == "confirmed"
    assert shop.announced(order_id)[-1]["data"]["number"] is None
    rebuilt = shop.store.rebuild(order_id, noon)
    assert rebuilt
    assert (rebuilt.was_right, rebuilt.equal) == (True, True)
