"""Placing the order that a quote of the checkout states."""

from __future__ import annotations

from typing import Any

import pytest

from orders.store import OrderStore
from orders.workflow import cancellation_input, saga_input
from tests.integration.orders.conftest import ADDRESS, Shop, pounds, verified


def problem(answer: Any) -> tuple[int, str]:
    status, body, _ = answer
    return status, str(body["type"]).removeprefix("urn:mercato:problem:")


def test_the_order_has_the_charges_of_the_quote_and_their_sum_as_its_total(shop: Shop) -> None:
    status, order, headers = shop.place_quoted()

    assert (status, order["total"]) == (202, pounds(2795))
    assert headers["Location"].endswith(f"/api/orders/{order['order_id']}")
    assert [(one["kind"], one["amount"]["amount"], one["tax"]["amount"]) for one in order["charges"]] == [
        ("goods", 2500, 417),
        ("discount", -100, -17),
        ("shipping", 395, 66),
    ]
    assert order["delivery"]["service"] == "standard"
    assert order["shipping_address"]["line1"] == ADDRESS["line1"]
    (event,) = shop.announced(order["order_id"])
    assert (event["type"], event["data"]["total"]) == ("order.created", pounds(2795))
    assert [one["amount"]["amount"] for one in event["data"]["charges"]] == [2500, -100, 395]


def test_the_billing_address_of_the_quote_is_the_order_s_too(shop: Shop) -> None:
    billing = ADDRESS | {"name": "Analytical Engines", "country": "AE", "region": "DU", "postcode": ""}
    sale = verified()["sale"] | {"billing_address": billing}
    shop.checkout.quotes["quote-1", "cust-1"] = verified(sale=sale)
    _, order, _ = shop.place_quoted()
    assert (order["shipping_address"], order["billing_address"]) == (ADDRESS, billing)
    shop.task("ConfirmOrder", order_id=order["order_id"], payment_id="pay-1")
    confirmed = shop.announced(order["order_id"])[-1]
    assert confirmed["data"]["shipping_address"] == ADDRESS


def test_an_order_without_a_billing_address_has_none(shop: Shop) -> None:
    assert shop.place_quoted()[1]["billing_address"] is None


def test_a_quote_that_is_sent_twice_is_one_order_also_after_it_has_expired_and_prices_have_changed(shop: Shop) -> None:
    _, first, _ = shop.place_quoted()
    gone = {"what": "product", "product_id": "mug", "was": 2, "is_now": None}
    shop.checkout.quotes["quote-1", "cust-1"] = verified(is_expired=True, differences=[gone], sale=None)

    status, again, headers = shop.place_quoted()

    assert (status, again) == (202, first)
    assert headers["Idempotent-Replayed"] == "true"


def test_a_new_quote_of_the_same_version_of_the_checkout_is_the_same_order(shop: Shop) -> None:
    _, first, _ = shop.place_quoted()
    shop.checkout.quotes["quote-2", "cust-1"] = verified()

    assert shop.place_quoted("quote-2")[1]["order_id"] == first["order_id"]


def test_a_later_version_of_the_checkout_is_another_order(shop: Shop) -> None:
    _, first, _ = shop.place_quoted()
    shop.checkout.quotes["quote-2", "cust-1"] = verified(version=3)

    status, second, _ = shop.place_quoted("quote-2")

    assert status == 202
    assert second["order_id"] != first["order_id"]


def test_with_another_card_it_is_refused_and_names_the_order(shop: Shop) -> None:
    _, first, _ = shop.place_quoted()

    status, refusal, _ = shop.place_quoted(card="tok_declined")

    assert (status, refusal["type"]) == (409, "urn:mercato:problem:quote-already-ordered")
    assert refusal["order_id"] == first["order_id"]


def test_what_has_changed_is_told_and_nothing_is_placed(shop: Shop) -> None:
    dearer = {"what": "price", "product_id": "mug", "was": pounds(1250), "is_now": pounds(1300)}
    shop.checkout.quotes["quote-1", "cust-1"] = verified(differences=[dearer], sale=None)

    status, refusal, _ = shop.place_quoted()

    assert (status, refusal["type"], refusal["differences"]) == (409, "urn:mercato:problem:quote-changed", [dearer])
    assert shop.call("GET", "/api/orders")[1]["items"] == []


def test_an_expired_quote_is_refused(shop: Shop) -> None:
    shop.checkout.quotes["quote-1", "cust-1"] = verified(is_expired=True)

    assert problem(shop.place_quoted()) == (409, "quote-expired")


@pytest.mark.parametrize(("quote", "user"), [("forged", "cust-1"), ("quote-1", "eve")])
def test_a_forged_quote_and_that_of_another_buyer_are_refused(shop: Shop, quote: str, user: str) -> None:
    assert problem(shop.place_quoted(quote, user=user)) == (422, "invalid-quote")


def test_a_checkout_that_is_down_is_told_and_nothing_is_placed(shop: Shop) -> None:
    shop.checkout.is_down = True

    assert shop.place_quoted()[0] == 503
    assert shop.call("GET", "/api/orders")[1]["items"] == []


def test_of_two_that_are_placed_at_once_one_is_the_answer_to_both(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    place = OrderStore.place
    faster: list[Any] = []

    def overtaken(self: OrderStore, *about: Any) -> Any:
        if not faster:
            faster.append(None)
            faster[0] = shop.place_quoted()
        return place(self, *about)

    monkeypatch.setattr(OrderStore, "place", overtaken)

    status, order, headers = shop.place_quoted()

    assert (status, order) == (202, faster[0][1])
    assert headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in faster[0][2]


def test_returns_refund_shares_of_what_was_charged_and_the_last_one_the_delivery_too(shop: Shop) -> None:
    order_id = shop.place_quoted()[1]["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    shop.hear("payment.completed", {"order_id": order_id, "payment_id": "pay-1", "amount": pounds(2795)})
    shipment = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}
    shop.hear("shipment.dispatched", {"order_id": order_id} | shipment)
    shop.hear("shipment.delivered", {"order_id": order_id} | shipment)
    one = {"lines": [{"product_id": "mug", "quantity": 1}], "reason": "changed_mind"}

    amounts = [
        shop.receive_return(
            order_id, shop.call("POST", f"/api/orders/{order_id}/returns", one, key=f"return-{number}")[1]
        )["amount"]
        for number in (1, 2)
    ]

    assert amounts == [pounds(1200), pounds(1200 + 395)]


def test_an_order_with_coupons_keeps_their_codes_for_its_saga_and_for_its_undo(shop: Shop) -> None:
    coupons = {"codes": ["TEN", "POST"], "customer": "account:cust-1"}
    sale = verified()["sale"] | {"coupons": coupons}
    shop.checkout.quotes["quote-1", "cust-1"] = verified(sale=sale)

    _, placed, _ = shop.place_quoted()

    assert placed["codes"] == ["TEN", "POST"]
    order = OrderStore(shop.table).load(placed["order_id"])
    assert order
    assert saga_input(order)["coupons"] == cancellation_input(order)["coupons"] == coupons


def test_the_saga_of_an_order_without_coupons_has_none_in_its_input(shop: Shop) -> None:
    _, placed, _ = shop.place_quoted()

    order = OrderStore(shop.table).load(placed["order_id"])
    assert order
    assert (placed["codes"], "coupons" in saga_input(order)) == ([], False)
