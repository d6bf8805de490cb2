"""Checkout sessions over HTTP: the real handler on a real table, and peers that fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.checkout.conftest import ADDRESS, CART, Desk, pounds


def problem(answer: Any) -> str:
    return str(answer["type"]).rpartition(":")[2]


def test_a_checkout_of_the_cart_shows_totals_that_add_up_and_a_quote(desk: Desk) -> None:
    answer = desk.open()
    assert (answer["version"], answer["cart"], answer["service"]) == (1, CART, "standard")
    assert [(line["product_id"], line["quantity"]) for line in answer["lines"]] == [("mug", 2), ("pot", 1)]
    assert answer["totals"] == {
        "goods": pounds(4500),
        "discount": pounds(0),
        "shipping": pounds(395),
        "tax": pounds(816),
        "total": pounds(4895),
    }
    assert sum(charge["amount"]["amount"] for charge in answer["charges"]) == 4895
    assert [(offer["service"], offer["price"]) for offer in answer["services"]] == [
        ("standard", pounds(395)),
        ("express", pounds(695)),
    ]
    assert answer["quote"]["expires_at"] == "2026-11-22T12:15:00.000Z"
    assert (answer["missing"], answer["notices"]) == ([], [])


def test_the_peers_are_asked_for_what_the_parcel_is(desk: Desk) -> None:
    desk.open()
    assert desk.peers.asked == [
        ("carts", "ada"),
        ("products", {"product_ids": ["mug", "pot"]}),
        (
            "shipping",
            {"country": "GB", "region": None, "items": 3, "weight_grams": 1500, "goods": pounds(4500)},
        ),
    ]


def test_a_checkout_grows_step_by_step(desk: Desk) -> None:
    status, first = desk.call("POST", "", {"lines": [{"product_id": "mug", "quantity": 1}]}, key="k")
    assert (status, first["missing"], first["quote"]) == (201, ["shipping_address", "service"], None)
    assert (first["services"], first["totals"]["tax"]) == ([], pounds(0))
    path = f"/{first['checkout_id']}"
    status, second = desk.call("PATCH", path, {"version": 1, "shipping_address": ADDRESS})
    assert (status, second["missing"], second["quote"]) == (200, ["service"], None)
    assert [offer["service"] for offer in second["services"]] == ["standard", "express"]
    contact = {"email": "ada@example.com", "phone": "+44 20 7946 0958"}
    status, third = desk.call("PATCH", path, {"version": 2, "service": "express", "contact": contact})
    assert (status, third["version"], third["totals"]["total"]) == (200, 3, pounds(1945))
    assert third["quote"]["token"]
    status, shown = desk.call("GET", path)
    assert status == 200
    assert shown["quote"]["token"] == third["quote"]["token"]
    assert shown["contact"] == contact
    assert shown["shipping_address"]["city"] == "London"


def test_the_same_request_opens_one_checkout(desk: Desk) -> None:
    first = desk.open()
    assert desk.open() == first
    assert len(desk.sessions()) == 1
    status, answer = desk.call("POST", "", {"cart": CART}, key="key-1")
    assert (status, problem(answer)) == (422, "idempotency-key-reused")


def test_of_two_changes_of_one_version_the_second_is_refused(desk: Desk) -> None:
    path = f"/{desk.open()['checkout_id']}"
    assert desk.call("PATCH", path, {"version": 1, "service": "express"})[0] == 200
    status, answer = desk.call("PATCH", path, {"version": 1, "service": "standard"})
    assert (status, problem(answer), answer["version"]) == (409, "checkout-changed", 2)
    assert desk.call("GET", path)[1]["service"] == "express"


def test_a_change_that_another_one_overtakes_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/{desk.open()['checkout_id']}"
    ask = desk.peers.post

    def overtake(*asked: Any, **options: Any) -> Any:
        monkeypatch.setattr(desk.peers, "post", ask)
        assert desk.call("PATCH", path, {"version": 1, "service": "express"})[0] == 200
        return ask(*asked, **options)

    monkeypatch.setattr(desk.peers, "post", overtake)
    status, answer = desk.call("PATCH", path, {"version": 1, "billing_address": ADDRESS})
    assert (status, problem(answer)) == (409, "checkout-changed")
    (kept,) = desk.sessions()
    assert (kept["version"], kept["service"], kept["billing_address"]) == (2, "express", None)


def test_a_checkout_is_its_buyer_s_own_and_ends_a_day_after_its_last_change(desk: Desk) -> None:
    path = f"/{desk.open()['checkout_id']}"
    status, answer = desk.call("GET", path, user="eve")
    assert (status, problem(answer)) == (404, "checkout-not-found")
    assert desk.call("PATCH", path, {"version": 1, "service": "express"}, user="eve")[0] == 404
    desk.wait(hours=23)
    assert desk.call("PATCH", path, {"version": 1, "service": "express"})[0] == 200
    desk.wait(hours=23)
    assert desk.call("GET", path)[0] == 200
    desk.wait(hours=1)
    assert desk.call("GET", path)[0] == 404
    assert desk.call("PATCH", path, {"version": 2, "service": "standard"})[0] == 404


def test_no_address_is_kept_for_longer_than_a_day_after_the_last_change(desk: Desk) -> None:
    """Nor in the answer to a repeated request. Once that is gone, the same key opens a checkout that is there."""
    first, _ = desk.open(), desk.open_guests()
    assert desk.open() == first
    a_day_later = int((desk.now + timedelta(days=1)).timestamp())
    assert [item["ttl"] for item in desk.items()] == [a_day_later] * 4  # two checkouts, and their answers

    desk.wait(days=1)

    assert desk.call("GET", f"/{desk.open()['checkout_id']}")[0] == 200


def test_a_retry_whose_first_answer_is_gone_shows_the_checkout_as_it_is_by_now(desk: Desk) -> None:
    path = f"/{desk.open()['checkout_id']}"
    desk.wait(hours=23)
    assert desk.call("PATCH", path, {"version": 1, "service": "express"})[0] == 200
    desk.wait(hours=1)

    again = desk.open()

    assert (again["version"], again["service"]) == (2, "express")
    assert again["quote"]["token"] == desk.call("GET", path)[1]["quote"]["token"]
    assert desk.call("PATCH", path, {"version": again["version"], "service": "standard"})[0] == 200


def test_a_cart_that_has_changed_is_refused_and_says_its_version(desk: Desk) -> None:
    status, answer = desk.call("POST", "", {"cart": CART | {"version": 6}}, key="k")
    assert (status, problem(answer), answer["cart"]) == (409, "cart-changed", CART)
    status, answer = desk.call("POST", "", {"cart": CART | {"id": "of-another"}}, key="k")
    assert (status, problem(answer)) == (409, "cart-changed")
    desk.peers.cart["lines"] = []
    status, answer = desk.call("POST", "", {"cart": CART}, key="k")
    assert (status, problem(answer)) == (422, "cart-empty")
    assert desk.sessions() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"product_id": "mug", "quantity": 0}]}, "lines.0.quantity"),
        ({"cart": CART, "shipping_address": ADDRESS | {"country": "XX"}}, "shipping_address.country"),
        ({"cart": CART, "price": 1}, "price"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(desk: Desk, body: Any, field: str) -> None:
    status, answer = desk.call("POST", "", body, key="k")
    assert (status, answer["errors"][0]["field"]) == (422, field)


PARIS = ADDRESS | {"country": "FR", "postcode": "75001"}
HOME: dict[str, Any] = {"name": "Ada", "line1": "1 Road", "city": "Town"}


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        (HOME | {"country": "US", "postcode": "95014"}, ["region"]),
        (HOME | {"country": "US", "postcode": "SW1Y 4JH", "region": "Bavaria"}, ["postcode", "region"]),
        (HOME | {"country": "GB"}, ["postcode"]),
        (HOME | {"country": "AE"}, ["region"]),
    ],
)
@pytest.mark.parametrize("name", ["shipping_address", "billing_address"])
def test_an_address_that_its_country_does_not_know_is_refused_at_its_field(
    desk: Desk, name: str, address: Any, fields: list[str]
) -> None:
    expected = [f"{name}.{field}" for field in fields]
    body = {"lines": [{"product_id": "mug", "quantity": 1}], name: address}
    status, answer = desk.call("POST", "", body, key="k")
    assert (status, problem(answer), [one["field"] for one in answer["errors"]]) == (422, "invalid-address", expected)
    status, answer = desk.call("PATCH", f"/{desk.open()['checkout_id']}", {"version": 1, name: address})
    assert (status, problem(answer), [one["field"] for one in answer["errors"]]) == (422, "invalid-address", expected)


def test_an_address_without_a_postcode_is_taken_where_there_is_none_and_its_region_is_stored_by_its_code(
    desk: Desk,
) -> None:
    desk.peers.rates |= {"HK": {"standard": 995}, "AE": {"standard": 995}}
    hong_kong = HOME | {"country": "HK", "region": "kowloon", "company": "Engines", "phone": "+852 2345 6789"}
    shown = desk.open(shipping_address=hong_kong, billing_address=HOME | {"country": "AE", "region": "Dubai"})
    assert shown["shipping_address"] == hong_kong | {"region": "Kowloon", "postcode": "", "line2": None}
    assert shown["billing_address"]["region"] == "DU"
    assert desk.peers.asked[-1][1]["region"] is None
    path = f"/{shown['checkout_id']}"
    dubai = HOME | {"country": "AE", "region": "Dubai"}
    changed = desk.call("PATCH", path, {"version": 1, "shipping_address": dubai})[1]
    assert desk.peers.asked[-1][1]["region"] == "DU"
    sale = desk.verify(changed["quote"]["token"])[1]["sale"]
    assert (sale["shipping_address"]["region"], sale["billing_address"]["country"]) == ("DU", "AE")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"shipping_address": ADDRESS | {"country": "NZ", "postcode": "6001"}}, "no-rate-for-destination"),
        ({"service": "drone"}, "service-not-offered"),
        ({"shipping_address": PARIS, "service": "express"}, "service-not-offered"),
    ],
)
def test_a_change_that_leads_nowhere_is_refused_and_not_stored(desk: Desk, change: Any, expected: str) -> None:
    path = f"/{desk.open()['checkout_id']}"
    status, answer = desk.call("PATCH", path, {"version": 1} | change)
    assert (status, problem(answer)) == (422, expected)
    assert desk.call("GET", path)[1]["version"] == 1


def test_what_has_become_impossible_is_shown_as_a_notice_and_ends_the_quote(desk: Desk) -> None:
    path = f"/{desk.open()['checkout_id']}"
    desk.peers.sells("mug", 1250, available=1)
    desk.peers.sells("pot", 2000, status="discontinued")
    status, answer = desk.call("GET", path)
    assert (status, answer["quote"]) == (200, None)
    assert [(one["type"], one["product_id"]) for one in answer["notices"]] == [
        ("short-of-stock", "mug"),
        ("product-not-for-sale", "pot"),
    ]
    status, answer = desk.call("POST", "", {"cart": CART}, key="again")
    assert (status, problem(answer), answer["product_id"]) == (422, "short-of-stock", "mug")


@pytest.mark.parametrize("peer", ["products", "shipping", "carts"])
def test_a_peer_that_is_down_is_told_and_nothing_is_stored(desk: Desk, peer: str) -> None:
    desk.peers.down = {peer}
    status, answer = desk.call("POST", "", {"cart": CART, "shipping_address": ADDRESS}, key="k")
    assert (status, problem(answer)) == (503, "temporarily-unavailable")
    assert desk.sessions() == []
    desk.peers.down = set()
    assert desk.call("POST", "", {"cart": CART, "shipping_address": ADDRESS}, key="k")[0] == 201
