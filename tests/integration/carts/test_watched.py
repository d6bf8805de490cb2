"""A guest's cart is published once it is idle if its guest wants to be reminded of it, and never by its secret id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carts import api
from mercato.guests import guest_of
from tests.integration.interrupter import Interrupter
from tests.kit import aws_events


def ask_as_peer(method: str, path: str, user: str = "") -> tuple[int, Any]:
    headers = {"X-User-Id": user} if user else {}
    answer = api.handler(aws_events.url_request(method, path, peer="notifications", headers=headers), None)
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None


def watch(cart_id: str) -> int:
    return ask_as_peer("PUT", f"/api/carts/guests/{cart_id}/watch")[0]


def abandoned(cart_id: str) -> tuple[str, dict[str, str]]:
    return "cart.abandoned", {"cart_id": guest_of(cart_id), "customer_id": guest_of(cart_id)}


def put(service: Any, cart_id: str, product_id: str, quantity: int) -> None:
    path = f"/guests/{cart_id}/items/{product_id}"
    assert service.call("PUT", path, {"quantity": quantity}, user=None)[0] == 200


def told(service: Any) -> list[tuple[str, dict[str, str]]]:
    events = [json.loads(item["event"]) for item in service.items() if "event" in item]
    return [(event["type"], event["data"]) for event in sorted(events, key=lambda one: one["time"])]


def test_a_watched_cart_is_announced_once_without_its_secret_id(service: Any) -> None:
    cart_id = service.open_guest_cart(lantern=1)
    assert [watch(cart_id) for _ in range(2)] == [204, 204]
    service.wait(hours=23, minutes=59)
    assert service.sweep() == 0

    service.wait(minutes=1)

    assert [service.sweep() for _ in range(3)] == [1, 0, 0]
    assert told(service) == [abandoned(cart_id)]
    events = [item["event"] for item in service.items() if "event" in item]
    assert cart_id not in str(events)


def test_each_change_begins_the_day_anew_and_is_announced_anew(service: Any) -> None:
    cart_id = service.open_guest_cart(lantern=1)
    watch(cart_id)
    service.wait(hours=20)
    put(service, cart_id, "mug", 1)
    service.wait(hours=20)
    assert service.sweep() == 0
    service.wait(hours=5)
    assert service.sweep() == 1
    service.call("DELETE", f"/guests/{cart_id}/items/mug", user=None)
    service.wait(hours=25)
    assert service.sweep() == 1


def test_a_watched_cart_is_announced_a_day_after_the_last_request(service: Any) -> None:
    """Its guest is in the checkout then, also where nothing was changed in the cart for long."""
    cart_id = service.open_guest_cart(lantern=1)
    for _ in range(2):
        service.wait(hours=23)
        watch(cart_id)
    service.wait(hours=23)
    assert service.sweep() == 0
    service.wait(hours=1)
    assert [service.sweep() for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("days", [8, 9, 10, 30, 80])
def test_a_cart_that_was_left_long_before_it_is_watched_is_announced(service: Any, days: int) -> None:
    """Its guest comes back for the checkout, and changes nothing in the cart."""
    cart_id = service.open_guest_cart(lantern=1)
    service.wait(days=days)
    assert watch(cart_id) == 204
    service.wait(hours=25)
    assert [service.sweep() for _ in range(2)] == [1, 0]
    assert told(service) == [abandoned(cart_id)]


def test_a_second_request_after_the_announcement_leads_to_a_second_announcement(service: Any) -> None:
    """Its guest did not want the reminder when it was announced, and asks for it afterwards."""
    cart_id = service.open_guest_cart(lantern=1)
    watch(cart_id)
    service.wait(hours=25)
    assert service.sweep() == 1
    before = service.call("GET", f"/guests/{cart_id}", user=None)[1]["version"]

    assert [watch(cart_id) for _ in range(2)] == [204, 204]

    assert service.sweep() == 0
    service.wait(hours=25)
    assert [service.sweep() for _ in range(2)] == [1, 0]
    after = service.call("GET", f"/guests/{cart_id}", user=None)[1]["version"]
    assert after == before + 1


@pytest.mark.parametrize("end", ["ordered", "emptied", "merged"])
def test_a_watched_cart_that_is_ordered_emptied_or_merged_is_not_announced(service: Any, end: str) -> None:
    cart_id = service.open_guest_cart(lantern=1)
    watch(cart_id)
    if end == "ordered":
        service.is_ordered("lantern", at=service.now, user=guest_of(cart_id))
    elif end == "emptied":
        service.call("DELETE", f"/guests/{cart_id}/items/lantern", user=None)
    else:
        assert service.call("POST", "/merge", {"guest_cart_id": cart_id})[0] == 200
    service.wait(hours=25)
    service.sweep()
    assert abandoned(cart_id) not in told(service)


@pytest.mark.parametrize("call", range(8))
def test_a_change_in_the_middle_of_watching_leaves_a_cart_that_is_announced_by_its_last_change(
    service: Any, call: int
) -> None:
    cart_id = service.open_guest_cart(lantern=1)
    service.wait(hours=20)
    interrupter = Interrupter()
    interrupter.at(call, lambda: put(service, cart_id, "mug", 1))
    assert watch(cart_id) == 204
    if interrupter.act:
        interrupter.act = None
        put(service, cart_id, "mug", 1)
    service.wait(hours=5)
    assert service.sweep() == 0
    service.wait(hours=20)
    assert [service.sweep() for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("call", range(8))
def test_watching_in_the_middle_of_a_change_leaves_a_cart_that_is_announced_by_its_last_change(
    service: Any, call: int
) -> None:
    cart_id = service.open_guest_cart(lantern=1)
    service.wait(hours=20)
    interrupter = Interrupter()
    interrupter.at(call, lambda: watch(cart_id))
    put(service, cart_id, "mug", 1)
    if interrupter.act:
        interrupter.act = None
        watch(cart_id)
    service.wait(hours=5)
    assert service.sweep() == 0
    service.wait(hours=20)
    assert [service.sweep() for _ in range(2)] == [1, 0]


def test_only_a_cart_that_is_there_is_watched_and_by_a_peer_alone(service: Any) -> None:
    cart_id = service.open_guest_cart(lantern=1)
    assert watch(f"guest-{'0' * 48}") == watch("mine") == 404
    assert service.call("PUT", f"/guests/{cart_id}/watch", user=None)[0] == 401
    assert service.call("PUT", f"/guests/{cart_id}/watch")[0] == 403
    assert service.call("POST", "/merge", {"guest_cart_id": cart_id})[0] == 200
    assert watch(cart_id) == 404


def test_a_peer_looks_at_a_guest_s_cart_by_the_guest_s_id(service: Any) -> None:
    cart_id = service.open_guest_cart(lantern=2)
    status, found = ask_as_peer("GET", "/api/carts/mine", guest_of(cart_id))
    _, shown = service.call("GET", f"/guests/{cart_id}", user=None)
    assert (status, found) == (200, shown | {"cart_id": guest_of(cart_id)})
    status, none = ask_as_peer("GET", "/api/carts/mine", guest_of("guest-none"))
    assert (status, none["version"], none["lines"]) == (200, 0, [])


def test_a_customer_sees_no_guest_s_cart_by_the_guest_s_id(service: Any) -> None:
    cart_id = service.open_guest_cart(lantern=2)
    status, found = service.call("GET", "/mine", user=guest_of(cart_id))
    assert (status, found["lines"]) == (200, [])
