"""The check of a quote, as orders asks for it."""

from __future__ import annotations

import boto3
import pytest

from tests.integration.checkout.conftest import ADDRESS, CART, Desk, pounds
from tests.integration.checkout.test_sessions import problem


def test_a_quote_that_still_holds_is_the_sale_as_it_was_shown(desk: Desk) -> None:
    shown = desk.open(contact={"email": "ada@example.com"})
    status, answer = desk.verify(shown["quote"]["token"])
    assert (status, answer["checkout_id"], answer["is_expired"]) == (200, shown["checkout_id"], False)
    assert answer["differences"] == []
    sale = answer["sale"]
    assert sale["charges"] == shown["charges"]
    assert [(line["product_id"], line["sku"], line["quantity"]) for line in sale["lines"]] == [
        ("mug", "MUG", 2),
        ("pot", "POT", 1),
    ]
    assert (sale["cart"], sale["delivery"]["service"]) == (CART, "standard")
    assert sale["shipping_address"]["line1"] == ADDRESS["line1"]
    assert sale["contact"] == {"email": "ada@example.com", "phone": None}


def test_a_price_a_rate_and_the_stock_that_moved_are_told_and_there_is_no_sale(desk: Desk) -> None:
    token = desk.open()["quote"]["token"]
    desk.peers.sells("mug", 1300)
    desk.peers.sells("pot", 2000, available=0)
    desk.peers.rates["GB"]["standard"] = 495
    status, answer = desk.verify(token)
    assert (status, answer["sale"]) == (200, None)
    assert answer["differences"] == [
        {"what": "price", "product_id": "mug", "was": pounds(1250), "is_now": pounds(1300)},
        {"what": "stock", "product_id": "pot", "was": 1, "is_now": 0},
        {"what": "shipping", "product_id": None, "was": pounds(395), "is_now": pounds(495)},
    ]


def test_goods_that_can_no_longer_be_sent_are_told_and_there_is_no_sale(desk: Desk) -> None:
    token = desk.open()["quote"]["token"]
    for change, what in (
        ({"max_grams": 1499}, "parcel-too-heavy"),
        ({"rates_currency": "EUR"}, "mixed-currencies"),
        ({"rates": {}}, "no-rate-for-destination"),
    ):
        vars(desk.peers).update(max_grams=30_000, rates_currency="GBP")
        vars(desk.peers).update(change)
        status, answer = desk.verify(token)
        assert (status, answer["sale"]) == (200, None)
        assert [one["what"] for one in answer["differences"]] == [what, "shipping"]


def test_a_quote_is_one_of_the_last_version_of_its_checkout(desk: Desk) -> None:
    shown = desk.open()
    path = f"/{shown['checkout_id']}"
    changed = desk.call("PATCH", path, {"version": 1, "shipping_address": ADDRESS | {"name": "Eve"}})[1]
    _, answer = desk.verify(shown["quote"]["token"])
    assert answer["differences"] == [{"what": "checkout", "product_id": None, "was": 1, "is_now": 2}]
    assert answer["sale"] is None
    assert desk.verify(changed["quote"]["token"])[1]["sale"]["shipping_address"]["name"] == "Eve"


def test_a_tax_table_that_changed_in_between_is_told(desk: Desk) -> None:
    token = desk.open()["quote"]["token"]
    rates = [{"country": "GB", "tax_class": "standard", "rate": "0.2500", "valid_from": "2026-01-01"}]
    assert desk.call("PUT", "/taxes", {"version": 0, "rates": rates}, role="admin")[0] == 200
    _, answer = desk.verify(token)
    assert answer["differences"] == [
        {"what": "tax", "product_id": one, "was": "0.2000", "is_now": "0.2500"} for one in ("mug", "pot", None)
    ]


def test_an_expired_quote_is_told_as_such_also_after_its_checkout_is_gone(desk: Desk) -> None:
    shown = desk.open()
    desk.wait(minutes=15)
    _, answer = desk.verify(shown["quote"]["token"])
    assert (answer["is_expired"], answer["differences"]) == (True, [])
    desk.wait(days=1)
    _, answer = desk.verify(shown["quote"]["token"])
    assert (answer["is_expired"], answer["checkout_id"], answer["sale"]) == (True, shown["checkout_id"], None)
    assert answer["differences"] == [{"what": "checkout", "product_id": None, "was": 1, "is_now": None}]


def test_another_buyer_s_quote_and_a_forged_one_are_refused_alike(desk: Desk) -> None:
    token = desk.open()["quote"]["token"]
    for asked, user in ((token, "eve"), (token[:-3] + "abc", "ada"), ("nonsense", "ada")):
        status, answer = desk.verify(asked, user)
        assert (status, problem(answer)) == (422, "invalid-quote")


def test_the_public_cannot_ask_for_the_check(desk: Desk) -> None:
    token = desk.open()["quote"]["token"]
    assert desk.call("POST", "/verifications", {"quote": token})[0] == 403


@pytest.mark.parametrize("peer", ["products", "shipping"])
def test_without_a_peer_a_quote_can_be_neither_confirmed_nor_refused(desk: Desk, peer: str) -> None:
    token = desk.open()["quote"]["token"]
    desk.peers.down = {peer}
    status, answer = desk.verify(token)
    assert (status, problem(answer)) == (503, "temporarily-unavailable")


def test_a_rotated_secret_is_read_again_before_a_quote_is_refused(desk: Desk) -> None:
    shown = desk.open()
    before = shown["quote"]["token"]
    boto3.client("secretsmanager", "us-east-1").put_secret_value(SecretId="quote-secret", SecretString="n" * 48)
    assert desk.verify(before)[0] == 200  # the secret is cached for five minutes
    desk.wait(minutes=5)
    after = desk.call("GET", f"/{shown['checkout_id']}")[1]
    assert desk.verify(after["quote"]["token"])[0] == 200
    assert desk.verify(before)[0] == 422
