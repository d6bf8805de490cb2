"""Codes of coupons in a checkout: entered, shown in the charges, rejected with a reason, and never lost silently."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mercato.peers.transport import Answer
from promotions.domain import Coupon, customer_of
from tests.conftest import NOON
from tests.integration.checkout.conftest import POST, TEN, Desk, pounds


@pytest.fixture
def shop(desk: Desk) -> Desk:
    desk.peers.gives(replace(TEN, combines=True))
    desk.peers.gives(replace(POST, combines=True))
    return desk


def charges(shown: Any) -> list[tuple[str, str | None, int, int]]:
    return [(one["kind"], one["product_id"], one["amount"]["amount"], one["tax"]["amount"]) for one in shown["charges"]]


def change(shop: Desk, shown: Any, **fields: Any) -> tuple[int, Any]:
    return shop.call("PATCH", f"/{shown['checkout_id']}", {"version": shown["version"]} | fields)


def test_a_code_in_any_case_becomes_discounts_of_the_lines_and_of_the_delivery_with_their_tax(shop: Desk) -> None:
    status, shown = change(shop, shop.open(), codes=["ten", "Post", "TEN"])
    assert (status, shown["codes"], shown["notices"]) == (200, ["TEN", "POST"], [])
    assert charges(shown) == [
        ("goods", "mug", 2500, 417),
        ("discount", "mug", -250, -42),
        ("goods", "pot", 2000, 333),
        ("discount", "pot", -200, -33),
        ("shipping", None, 395, 66),
        ("discount", None, -395, -66),
    ]
    totals = {name: money["amount"] for name, money in shown["totals"].items()}
    assert totals == {"goods": 4500, "discount": -845, "shipping": 395, "tax": 675, "total": 4050}
    assert shown["charges"][1]["description"] == "TEN: 10 % off"


def test_the_delivery_is_quoted_for_the_goods_before_discounts(shop: Desk) -> None:
    """So a code takes no free delivery away (docs/shipping.md)."""
    shop.open(codes=["TEN"])

    quoted = [asked["goods"] for peer, asked in shop.peers.asked if peer == "shipping"]
    assert quoted
    assert all(goods == pounds(4500) for goods in quoted)


def test_a_checkout_opens_with_codes(shop: Desk) -> None:
    shown = shop.open(codes=["ten"])
    assert (shown["codes"], shown["totals"]["discount"]) == (["TEN"], pounds(-450))


def test_a_code_that_takes_nothing_off_is_refused_when_it_is_entered_and_nothing_is_stored(shop: Desk) -> None:
    shop.peers.gives(replace(TEN, code="RICH", minimum=TEN.amount, basis_points=100, limit=1), used=1)
    opened = shop.open()
    for code, reason in (("NOBODY", "unknown"), ("RICH", "exhausted")):
        status, problem = change(shop, opened, codes=["TEN", code])
        assert (status, problem["type"]) == (422, "urn:mercato:problem:code-rejected")
        assert (problem["code"], problem["reason"]) == (code, reason)
    assert shop.call("GET", f"/{opened['checkout_id']}")[1]["codes"] == []


def test_only_codes_that_are_new_count_as_guesses(shop: Desk) -> None:
    shown = change(shop, shop.open(codes=["TEN"]), codes=["TEN", "POST"])[1]
    change(shop, shown, service="express")
    asked = [body["entered"] for peer, body in shop.peers.asked if peer == "promotions"]
    assert asked == [("TEN",), ("POST",), ()]


def test_guesses_are_those_of_the_buyers_own_network(shop: Desk) -> None:
    shop.open_guests(codes=["TEN"])
    shown = shop.open()
    shop.source = "192.0.2.9"
    change(shop, shown, codes=["TEN"])
    assert shop.peers.sources == ["192.0.2.1", "192.0.2.9"]


def test_the_uses_of_a_buyer_without_an_account_are_those_of_the_mailbox(shop: Desk) -> None:
    shown = shop.open(user="guest:c-1", codes=["TEN"], contact={"email": "Ada+1@example.com"})
    sale = shop.verify(shown["quote"]["token"], user="guest:c-1")[1]["sale"]
    assert sale["coupons"]["customer"] == customer_of("", "ada@example.com")


def test_a_buyer_who_guesses_is_told_to_wait(shop: Desk) -> None:
    opened = shop.open()
    shop.peers.guessed = True
    status, problem = change(shop, opened, codes=["TEN"])
    assert (status, problem["type"]) == (429, "urn:mercato:problem:too-many-codes")
    assert problem["retry_after"] == 840
    assert change(shop, opened, service="express")[0] == 200


THROTTLED = Answer(429, {}, b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}')
BY_PROXY = [
    THROTTLED,
    Answer(403, {}, b"RBAC: access denied"),
    Answer(404, {}, b""),
    Answer(200, {}, b"[]"),
    Answer(422, {}, b"<html>"),
]


@pytest.mark.parametrize("answer", BY_PROXY, ids=[str(one.status) for one in BY_PROXY])
def test_an_answer_that_is_not_of_promotions_leaves_the_codes_out_and_goes_on(shop: Desk, answer: Answer) -> None:
    """Lambda that throttles, or a proxy, answers for the service."""
    opened = shop.open(codes=["TEN"])
    shop.peers.in_front["promotions"] = answer
    status, shown = change(shop, opened, service="express")
    assert (status, shown["quote"]) == (200, None)
    assert [notice["type"] for notice in shown["notices"]] == ["codes-unavailable"]
    status, problem = change(shop, shown, codes=["POST"])
    assert (status, problem["type"]) == (422, "urn:mercato:problem:codes-unavailable")


@pytest.mark.parametrize("answer", BY_PROXY, ids=[str(one.status) for one in BY_PROXY])
def test_an_answer_that_is_not_of_shipping_is_no_quote_and_can_be_tried_again(shop: Desk, answer: Answer) -> None:
    opened = shop.open()
    shop.peers.in_front["shipping"] = answer
    assert change(shop, opened, service="express")[0] == 503
    del shop.peers.in_front["shipping"]
    assert change(shop, opened, service="express")[0] == 200


def test_a_code_that_has_ended_stays_and_says_why_there_is_no_quote_and_other_changes_go_on(shop: Desk) -> None:
    shown = shop.open(codes=["TEN"])
    shop.peers.gives(replace(TEN, ended_at=NOON))
    now = shop.call("GET", f"/{shown['checkout_id']}")[1]
    assert (now["codes"], now["quote"], now["totals"]["total"]) == (["TEN"], None, pounds(4895))
    (notice,) = now["notices"]
    assert (notice["type"], notice["code"], notice["reason"]) == ("code-rejected", "TEN", "expired")
    status, now = change(shop, now, service="express")
    assert (status, now["codes"], now["service"], now["quote"]) == (200, ["TEN"], "express", None)
    status, now = change(shop, now, codes=[])
    assert (status, now["codes"], now["notices"]) == (200, [], [])
    assert now["quote"]


def test_without_promotions_codes_cannot_be_used_and_the_rest_goes_on(shop: Desk) -> None:
    shown, plain = shop.open(codes=["TEN"]), shop.open(key="key-2")
    shop.peers.down.add("promotions")
    status, problem = change(shop, plain, codes=["TEN"])
    assert (status, problem["type"]) == (422, "urn:mercato:problem:codes-unavailable")
    assert change(shop, plain, service="express")[1]["quote"]
    status, now = change(shop, shown, service="express")
    assert (status, now["codes"], now["quote"]) == (200, ["TEN"], None)
    assert [notice["type"] for notice in now["notices"]] == ["codes-unavailable"]
    answer = shop.verify(shown["quote"]["token"])[1]
    assert "codes-unavailable" in [one["what"] for one in answer["differences"]]
    shop.peers.down.clear()
    assert shop.call("GET", f"/{shown['checkout_id']}")[1]["totals"]["discount"] == pounds(-450)


def test_codes_that_take_off_everything_are_no_order(shop: Desk) -> None:
    shop.peers.gives(replace(TEN, code="ALL", basis_points=10_000, combines=True))
    status, problem = change(shop, shop.open(), codes=["ALL", "POST"])
    assert (status, problem["type"]) == (422, "urn:mercato:problem:nothing-to-pay")
    assert change(shop, shop.open(key="key-2"), codes=["ALL"])[1]["totals"]["total"] == pounds(395)


def test_a_verified_quote_names_the_coupons_that_take_something_off(shop: Desk) -> None:
    shop.peers.rates["GB"]["standard"] = 0
    shown = shop.open(codes=["TEN", "POST"])
    sale = shop.verify(shown["quote"]["token"])[1]["sale"]
    assert sale["coupons"] == {"codes": ["TEN"], "customer": "account:ada"}  # free delivery takes nothing off
    assert shop.verify(shop.open(key="key-2")["quote"]["token"])[1]["sale"]["coupons"] is None


@pytest.mark.parametrize(
    ("changed", "used", "is_now", "discount"),
    [
        (replace(TEN, ended_at=NOON), 0, "expired", None),
        (replace(TEN, valid_until=NOON - timedelta(seconds=1)), 0, "expired", None),
        (replace(TEN, limit=5), 5, "exhausted", None),
        (replace(TEN, version=2, basis_points=500), 0, "changed", -225),
    ],
)
def test_a_coupon_that_moved_between_quote_and_order_is_told(
    shop: Desk, changed: Coupon, used: int, is_now: str, discount: int | None
) -> None:
    quote = shop.open(codes=["TEN"])["quote"]["token"]
    shop.peers.gives(changed, used)
    answer = shop.verify(quote)[1]
    now = pounds(discount) if discount else None
    found = [(one["what"], one["was"], one["is_now"]) for one in answer["differences"]]
    assert found == [("discount", pounds(-450), now), ("coupon", "TEN", is_now)]
    assert answer["sale"] is None


def test_a_change_of_a_coupon_that_costs_nobody_anything_is_no_difference(shop: Desk) -> None:
    quote = shop.open(codes=["TEN"])["quote"]["token"]
    shop.peers.gives(replace(TEN, version=2, description="Ten off", limit=9))
    assert shop.verify(quote)[1]["differences"] == []


def test_a_coupon_for_a_category_takes_off_the_goods_of_it(shop: Desk) -> None:
    shop.peers.products["mug"]["category"] = "kitchen"
    shop.peers.gives(replace(TEN, code="KITCHEN", category="kitchen"))
    shown = change(shop, shop.open(), codes=["KITCHEN"])[1]
    assert [one for one in charges(shown) if one[0] == "discount"] == [("discount", "mug", -250, -42)]
