"""A refused request changes nothing. A cart can be opened and changed whatever happened to its prices and products."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.money import MAX_AMOUNT

LARGEST = {"amount": MAX_AMOUNT, "currency": "GBP"}


def notices(cart: Any) -> list[tuple[str, str | None]]:
    return [(notice["type"], notice["product_id"]) for notice in cart["notices"]]


def test_a_line_that_makes_the_cart_too_large_is_refused_and_nothing_is_done(service: Any) -> None:
    service.sells("yacht", MAX_AMOUNT // 2)
    service.put("mug", 1)
    service.put("yacht", 1)
    before = service.kept()

    status, problem = service.call("PUT", "/mine/items/yacht", {"quantity": 2})

    assert (status, problem["type"]) == (422, "urn:mercato:problem:amount-too-large")
    assert problem["limit"] == MAX_AMOUNT
    assert service.kept() == before
    assert service.lines() == {"mug": (1, 475), "yacht": (1, MAX_AMOUNT // 2)}


def test_two_lines_put_at_once_do_not_pass_the_limit_together(service: Any) -> None:
    service.sells("yacht", MAX_AMOUNT)
    service.peer.after_answer = lambda: service.put("mug", 1)

    assert service.call("PUT", "/mine/items/yacht", {"quantity": 1})[0] == 422
    assert service.lines() == {"mug": (1, 475)}


def test_a_cart_that_a_new_price_makes_too_large_says_so_and_can_be_made_smaller(service: Any) -> None:
    service.sells("yacht", 100)
    service.put("yacht", 10_000)
    service.put("mug", 1)

    service.price_changes("yacht", MAX_AMOUNT, version=2)
    status, cart = service.call("GET", "/mine")

    assert status == 200
    assert [line["line_total"] for line in cart["lines"]] == [{"amount": 475, "currency": "GBP"}, LARGEST]
    assert cart["total"] == LARGEST
    assert notices(cart) == [("amount-too-large", "yacht"), ("amount-too-large", None)]
    assert cart["notices"][1]["detail"] == (
        "The cart costs 100000000000004.75 GBP, which is more than the 10000000000.00 GBP that an order may cost."
    )

    service.sells("yacht", MAX_AMOUNT, version=2)
    assert notices(service.put("yacht", 2)) == [("amount-too-large", "yacht"), ("amount-too-large", None)]
    assert service.call("PUT", "/mine/items/mug", {"quantity": 2})[0] == 422
    assert service.call("PUT", "/mine/items/yacht", {"quantity": 3})[0] == 422
    status, cart = service.call("DELETE", "/mine/items/yacht")
    assert (status, cart["total"]["amount"], cart["notices"]) == (200, 475, [])


def test_a_merge_that_makes_the_cart_too_large_is_done_and_says_so(service: Any) -> None:
    service.sells("yacht", MAX_AMOUNT)
    service.put("yacht", 1)
    guest = service.open_guest_cart(yacht=1)

    status, cart = service.call("POST", "/merge", {"guest_cart_id": guest})

    assert (status, notices(cart)) == (200, [("amount-too-large", "yacht"), ("amount-too-large", None)])
    assert service.call("GET", "/mine") == (200, cart)


def test_a_cart_whose_prices_come_to_two_currencies_can_be_opened(service: Any) -> None:
    service.put("lantern", 1)
    service.put("mug", 2)
    data = {"product_id": "mug", "old_price": LARGEST, "new_price": {"amount": 600, "currency": "EUR"}}
    service.deliver("product.price_changed", "mug", data, sequence=2)

    status, cart = service.call("GET", "/mine")

    assert (status, cart["total"]) == (200, {"amount": 1250, "currency": "GBP"})
    assert notices(cart) == [("mixed-currencies", "mug")]
    assert service.call("DELETE", "/mine/items/mug")[1]["notices"] == []


def stock(cart: Any) -> list[tuple[int | None, int]]:
    return [(line["available"], line["shortfall"]) for line in cart["lines"]]


def test_a_cart_says_how_many_there_are_of_what_it_asks_too_much_of(service: Any) -> None:
    service.stock_is_low("lantern", 2, sequence=3)

    cart = service.put("lantern", 50)

    assert stock(cart) == [(2, 48)]
    assert notices(cart) == [("short-of-stock", "lantern")]
    assert cart["notices"][0]["detail"] == "Of The lantern there are 2; the cart asks for 50."
    assert service.call("GET", "/mine") == (200, cart)


def test_stock_that_falls_later_is_told_when_the_cart_is_read(service: Any) -> None:
    service.put("lantern", 3)
    service.stock_is_low("lantern", 4, sequence=3)
    assert stock(service.call("GET", "/mine")[1]) == [(4, 0)]

    service.stock_is_low("lantern", 0, sequence=5)
    service.stock_is_low("lantern", 2, sequence=4)
    assert stock(service.call("GET", "/mine")[1]) == [(0, 3)]

    service.is_restocked("lantern", 90, sequence=6)
    assert stock(service.call("GET", "/mine")[1]) == [(None, 0)]


@pytest.mark.parametrize(("heard", "available"), [(2, 1), (9, 4)], ids=["before", "after"])
def test_what_the_catalogue_knows_of_the_stock_counts_where_it_is_newer(
    service: Any, heard: int, available: int
) -> None:
    service.stock_is_low("lantern", 4, sequence=heard)
    service.sells("lantern", 1250, available=1, stock_sequence=5)

    assert stock(service.put("lantern", 5)) == [(available, 5 - available)]
    assert stock(service.call("GET", "/mine")[1]) == [(available, 5 - available)]


def test_of_a_new_product_there_is_none(service: Any) -> None:
    service.sells("vase", 100, available=0, stock_sequence=0)

    assert stock(service.put("vase", 1)) == [(0, 1)]


def test_a_price_and_a_stock_leave_each_other_alone(service: Any) -> None:
    service.put("lantern", 3)
    service.stock_is_low("lantern", 1, sequence=2)
    service.price_changes("lantern", 1400, version=2)
    service.stock_is_low("lantern", 2, sequence=3)

    assert stock(service.call("GET", "/mine")[1]) == [(2, 1)]
    assert service.lines() == {"lantern": (3, 1400)}


def test_a_read_costs_one_more_call_where_there_are_lines_and_a_change_none_of_what_is_known(
    service: Any, dynamo_calls: list[str]
) -> None:
    service.call("GET", "/mine")
    assert dynamo_calls == ["Query"]
    dynamo_calls.clear()

    service.put("lantern", 1)
    assert dynamo_calls == ["Query", "TransactWriteItems", "BatchGetItem", "TransactWriteItems"]
    dynamo_calls.clear()

    service.put("lantern", 2)
    assert dynamo_calls == ["Query", "BatchGetItem", "TransactWriteItems"]
    dynamo_calls.clear()

    service.call("GET", "/mine")
    assert dynamo_calls == ["Query", "BatchGetItem"]
