"""A product's news and a merge, or a put, at once: at every call of the one, the whole of the other is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.interrupter import Interrupter

NEWS: dict[str, Callable[[Any], None]] = {
    "price": lambda service: service.price_changes("lantern", 1400, version=2),
    "discontinued": lambda service: service.discontinues("lantern", version=2),
}
LEFT = {"price": {"lantern": (3, 1400), "mug": (1, 475)}, "discontinued": {"mug": (1, 475)}}
MOST = 12  # more than the calls of any of them


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
    """What was ordered is not brought back by a merge that had read it before."""
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
