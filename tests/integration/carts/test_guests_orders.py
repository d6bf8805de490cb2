"""The cart of a guest who orders: the order knows the guest by an id, and the cart finds itself by it."""

from __future__ import annotations

from typing import Any

from mercato.guests import guest_of


def ordered(service: Any, guest: str, version: int, *, cart: str = "") -> None:
    line = {"product_id": "lantern", "sku": "L", "name": "L", "quantity": 1, "unit_price": {"amount": 1}}
    data = {
        "customer_id": guest_of(guest),
        "lines": [line],
        "cart": {"id": cart or guest_of(guest), "version": version},
    }
    service.deliver("order.created", "order-1", data)


def lines(service: Any, guest: str) -> list[str]:
    status, cart = service.call("GET", f"/guests/{guest}", user=None)
    assert status == 200
    return [line["product_id"] for line in cart["lines"]]


def version_of(service: Any, guest: str) -> int:
    return int(service.call("GET", f"/guests/{guest}", user=None)[1]["version"])


def test_what_a_guest_has_ordered_leaves_the_cart(service: Any) -> None:
    guest, other = service.open_guest_cart(lantern=2, mug=1), service.open_guest_cart(lantern=1)

    ordered(service, guest, version_of(service, guest))
    ordered(service, guest, version_of(service, guest))

    assert lines(service, guest) == ["mug"]
    assert lines(service, other) == ["lantern"]


def test_what_was_put_in_after_the_ordered_version_stays(service: Any) -> None:
    guest = service.open_guest_cart(lantern=2)
    version = version_of(service, guest)
    service.call("PUT", f"/guests/{guest}/items/lantern", {"quantity": 3}, user=None)

    ordered(service, guest, version)

    assert lines(service, guest) == ["lantern"]


def test_a_cart_that_is_merged_or_gone_has_nothing_to_lose(service: Any) -> None:
    guest = service.open_guest_cart(lantern=2)
    version = version_of(service, guest)
    assert service.call("POST", "/merge", {"guest_cart_id": guest})[0] == 200

    ordered(service, guest, version)
    ordered(service, "guest-never-there", 1)

    assert service.lines() == {"lantern": (2, 1250)}


def test_a_cart_that_is_used_for_long_is_still_found(service: Any) -> None:
    guest = service.open_guest_cart(lantern=2)
    for _ in range(3):
        service.wait(days=60)
        service.call("PUT", f"/guests/{guest}/items/lantern", {"quantity": 1}, user=None)

    ordered(service, guest, version_of(service, guest))

    assert lines(service, guest) == []
