"""A product's event and a merge, a put or an addition run concurrently: at each call of the one, the whole other one
runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from carts.usecases import cart_of
from mercato.errors import TransientError
from mercato.http import idempotency
from tests.integration.interrupter import Interrupter

NEWS: dict[str, Callable[[Any], None]] = {
    "price": lambda service: service.price_changes("lantern", 1400, version=2),
    "discontinued": lambda service: service.discontinues("lantern", version=2),
}
LEFT = {"price": {"lantern": (3, 1400), "mug": (1, 475)}, "discontinued": {"mug": (1, 475)}}
MOST = 12  # more than any of them makes


@pytest.mark.parametrize("news", NEWS)
@pytest.mark.parametrize("call", range(MOST))
def test_a_line_that_is_merged_while_its_product_changes(service: Any, news: str, call: int) -> None:
    service.put("mug", 1)
    guest = service.open_guest_cart(lantern=3)
    interrupter = Interrupter()
    interrupter.at(call, lambda: NEWS[news](service))

    status, _ = service.call("POST", "/merge", {"guest_cart_id": guest})
    if interrupter.act:  # the merge is over
        interrupter.at(0, lambda: None)
        NEWS[news](service)

    assert status == 200
    assert service.lines() == LEFT[news]


@pytest.mark.parametrize("news", NEWS)
def test_a_product_that_changes_while_its_line_is_merged(service: Any, news: str) -> None:
    service.put("mug", 1)
    guest = service.open_guest_cart(lantern=3)
    interrupter, merged = Interrupter(), list[int]()
    interrupter.at(0, lambda: merged.append(service.call("POST", "/merge", {"guest_cart_id": guest})[0]))

    NEWS[news](service)

    assert merged == [200]
    assert service.lines() == LEFT[news]


@pytest.mark.parametrize("news", NEWS)
@pytest.mark.parametrize("call", range(MOST))
def test_a_line_that_is_put_while_its_product_changes(service: Any, news: str, call: int) -> None:
    service.put("mug", 1)
    interrupter = Interrupter()
    interrupter.at(call, lambda: NEWS[news](service))

    service.call("PUT", "/mine/items/lantern", {"quantity": 3})
    if interrupter.act:
        interrupter.at(0, lambda: None)
        NEWS[news](service)

    assert service.lines() == LEFT[news]


@pytest.mark.parametrize("call", range(MOST))
def test_an_order_that_is_heard_of_while_the_cart_is_merged(service: Any, call: int) -> None:
    """A merge that read the cart before the order does not restore the ordered lines."""
    seen = service.put("lantern", 2)
    guest = service.open_guest_cart(lantern=3)
    named = {"id": seen["cart_id"], "version": seen["version"]}
    interrupter, found = Interrupter(), [5]

    def order() -> None:
        found[:] = [service.lines()["lantern"][0]]
        service.is_ordered("lantern", at=service.now, cart=named)

    interrupter.at(call, order)

    assert service.call("POST", "/merge", {"guest_cart_id": guest})[0] == 200
    interrupter.act = None
    assert service.lines() == {"lantern": ({2: 3, 5: 5}[found[0]], 1250)}


ASKED: dict[str, tuple[str, str, Any]] = {
    "put": ("PUT", "/mine/items/lantern", {"quantity": 3}),
    "remove": ("DELETE", "/mine/items/mug", None),
    "merge": ("POST", "/merge", {"guest_cart_id": "*"}),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("call", range(MOST))
def test_an_account_that_is_closed_while_its_cart_changes_keeps_no_line(service: Any, asked: str, call: int) -> None:
    service.put("mug", 1)
    guest = service.open_guest_cart(lantern=3)
    method, path, body = ASKED[asked]
    body = body and {name: guest if value == "*" else value for name, value in body.items()}
    interrupter = Interrupter()
    interrupter.at(call, lambda: service.deliver("user.closed", "ada", {"user_id": "ada"}))

    status, answer = service.call(method, path, body)
    if interrupter.act:  # the request had ended before that call
        interrupter.at(0, lambda: None)
        service.deliver("user.closed", "ada", {"user_id": "ada"})

    assert status == 200 or (status, answer["type"]) == (401, "urn:mercato:problem:account-closed")
    assert [item["sk"] for item in service.table.query_all(f"CART#{cart_of('ada')}")] == ["CART"]
    assert service.call("GET", "/mine")[1]["type"] == "urn:mercato:problem:account-closed"


def test_a_cart_may_be_opened_again_when_no_token_of_the_closed_account_is_left(service: Any) -> None:
    """The head has expired, and DynamoDB has not removed it yet."""
    service.deliver("user.closed", "ada", {"user_id": "ada"})
    service.wait(hours=1, seconds=1)

    assert service.lines() == {}
    service.put("mug", 1)
    assert service.lines() == {"mug": (1, 475)}


@pytest.mark.parametrize("call", range(MOST))
def test_two_additions_at_once_are_both_counted(service: Any, call: int) -> None:
    """Two tabs add concurrently: at each call of the one, the whole other one runs."""
    service.put("lantern", 1)

    def add(key: str, quantity: int) -> None:
        assert service.call("POST", "/mine/items/lantern", {"quantity": quantity}, key=key)[0] == 201

    interrupter = Interrupter()
    interrupter.at(call, lambda: add("key-2", 4))
    add("key-1", 2)
    if interrupter.act:  # the first is over
        interrupter.at(0, lambda: None)
        add("key-2", 4)
    assert service.lines()["lantern"][0] == 7


def test_an_addition_that_died_after_its_effect_counts_once(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response was not stored, so the retry repeats the write and finds its marker."""
    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "_keep", _die)
        assert service.call("POST", "/mine/items/lantern", {"quantity": 2}, key="key-1")[0] == 503
    status, cart = service.call("POST", "/mine/items/lantern", {"quantity": 2}, key="key-1")
    assert (status, [line["quantity"] for line in cart["lines"]]) == (201, [2])
    assert service.lines()["lantern"][0] == 2


def _die(*_: object) -> None:
    raise TransientError("died before the answer was kept")


def test_an_addition_ends_at_the_most_that_a_line_takes(service: Any) -> None:
    guest = service.open_guest_cart(lantern=9_999)
    status, cart = service.call("POST", f"/guests/{guest}/items/lantern", {"quantity": 2}, user=None, key="key-1")
    assert (status, [line["quantity"] for line in cart["lines"]]) == (201, [10_000])


def test_two_guests_may_have_the_same_key(service: Any) -> None:
    for _ in range(2):
        guest = service.open_guest_cart()
        status, cart = service.call("POST", f"/guests/{guest}/items/lantern", {"quantity": 2}, user=None, key="key-1")
        assert (status, [line["quantity"] for line in cart["lines"]]) == (201, [2])
