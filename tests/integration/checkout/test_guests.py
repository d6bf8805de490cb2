"""Checkouts of guests: the secret id of their cart is all that they have."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from checkout import api
from mercato.guests import guest_of
from tests.integration.checkout.conftest import ADDRESS, CART, GUEST_CART, Desk, pounds
from tests.kit import aws_events

GUEST = guest_of(GUEST_CART)


def problem(answer: Any) -> str:
    return str(answer["type"]).rpartition(":")[2]


def test_a_guest_s_checkout_needs_an_address_to_write_to(desk: Desk) -> None:
    shown = desk.open_guests(contact=None)
    assert (shown["missing"], shown["quote"]) == (["contact"], None)
    assert (shown["cart"], shown["totals"]["total"]) == ({"id": GUEST, "version": CART["version"]}, pounds(4895))

    path = f"/guests/{GUEST_CART}/{shown['checkout_id']}"
    status, shown = desk.call("PATCH", path, {"version": 1, "contact": {"email": " Ada@Example.COM"}}, user="")

    assert (status, shown["contact"]["email"], shown["missing"]) == (200, "ada@example.com", [])
    status, verified = desk.verify(shown["quote"]["token"], user=GUEST)
    assert (status, verified["sale"]["contact"]["email"]) == (200, "ada@example.com")
    assert verified["sale"]["cart"]["id"] == GUEST


def test_a_contact_that_is_removed_ends_the_quote(desk: Desk) -> None:
    shown = desk.open_guests()
    path = f"/guests/{GUEST_CART}/{shown['checkout_id']}"

    status, without = desk.call("PATCH", path, {"version": 1, "contact": None}, user="")

    assert (status, without["quote"]) == (200, None)
    _, verified = desk.verify(shown["quote"]["token"], user=GUEST)
    assert [one["what"] for one in verified["differences"]] == ["checkout"]


def test_a_guest_s_checkout_is_there_for_the_guest_alone(desk: Desk) -> None:
    checkout_id = desk.open_guests()["checkout_id"]

    assert desk.call("GET", f"/guests/{GUEST_CART}/{checkout_id}", user="")[0] == 200
    for path, user in (
        (f"/guests/guest-other/{checkout_id}", ""),
        (f"/guests/{GUEST}/{checkout_id}", ""),
        (f"/{checkout_id}", "ada"),
        (f"/guests/{GUEST_CART[:-1]}/{checkout_id}", ""),
    ):
        status, answer = desk.call("GET", path, user=user)
        assert (status, problem(answer)) == (404, "checkout-not-found")
    assert desk.call("GET", f"/{checkout_id}", user="")[0] == 401


def test_the_quote_of_a_guest_is_nobody_else_s(desk: Desk) -> None:
    token = desk.open_guests()["quote"]["token"]

    for user in ("ada", guest_of("guest-other"), GUEST_CART, ""):
        assert desk.verify(token, user=user)[0] == 422


@pytest.mark.parametrize("secret", [GUEST_CART])
def test_the_cart_s_secret_id_is_neither_stored_nor_logged(
    desk: Desk, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    caplog.set_level("INFO")
    checkout_id = desk.open_guests()["checkout_id"]
    desk.call("GET", f"/guests/{GUEST_CART}/{checkout_id}", user="")
    desk.call("PATCH", f"/guests/{GUEST_CART}/{checkout_id}", {"version": 9}, user="")
    desk.call("DELETE", f"/guests/{GUEST_CART}/{checkout_id}", user="")

    assert secret not in str([vars(record) for record in caplog.records])
    stored = desk.items()
    assert {item["sk"] for item in stored} == {"SESSION", "IDEMPOTENCY"}
    assert secret not in str(stored)
    assert not [item for item in stored if "body" in item and secret.encode() in zlib.decompress(item["body"])]


def test_a_repeated_request_of_a_guest_is_answered_with_where_the_checkout_is(desk: Desk) -> None:
    wanted = {"cart_version": CART["version"]}
    path = f"/api/checkouts/guests/{GUEST_CART}"
    event = aws_events.rest_request("POST", path, wanted, user=None, headers={"Idempotency-Key": "key-1"})
    first, again = api.handler(event, None), api.handler(event, None)

    assert (again["statusCode"], again["headers"]["Idempotent-Replayed"]) == (201, "true")
    assert again["body"] == first["body"]
    location = f"{path}/{json.loads(first['body'])['checkout_id']}"
    assert [answer["headers"]["Location"].endswith(location) for answer in (first, again)] == [True, True]


def test_a_cart_that_has_changed_and_one_that_is_gone_open_nothing(desk: Desk) -> None:
    wanted = {"cart_version": 6, "contact": {"email": "ada@example.com"}, "shipping_address": ADDRESS}
    status, answer = desk.call("POST", f"/guests/{GUEST_CART}", wanted, key="k", user="")
    assert (status, problem(answer), answer["cart"]["version"]) == (409, "cart-changed", CART["version"])

    status, answer = desk.call("POST", "/guests/guest-gone", wanted, key="k", user="")
    assert (status, problem(answer)) == (404, "cart-not-found")
    assert desk.sessions() == []


def test_a_guest_is_limited_by_the_address_that_a_signed_page_states(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All guests behind a page have the page's address; the page states each one's own, and is believed as a peer."""
    from checkout import api
    from tests.kit import aws_events

    asked: list[str] = []
    guard = api.app.guarding()
    count = type(guard).count

    def note(self: Any, state: Any, request: Any, limit: Any) -> None:
        asked.append(request.source_ip)
        count(self, state, request, limit)

    monkeypatch.setattr(type(guard), "count", note)
    checkout_id = desk.open_guests()["checkout_id"]
    path, headers = f"/api/checkouts/guests/{GUEST_CART}/{checkout_id}", {"X-Source-Address": "198.51.100.7"}
    api.handler(aws_events.url_request("GET", path, peer="storefront", headers=headers), None)
    api.handler(aws_events.rest_request("GET", path, headers=headers), None)

    assert asked[-2:] == ["198.51.100.7", "203.0.113.9"]
