"""POST /api/orders: the real handler, a real table, and the effects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mercato.ids import derived_id, fingerprint
from orders.views import PlaceOrder
from tests.integration.orders.conftest import ADDRESS, Shop, body, listing, pounds

ORDER = derived_id("cust-1", "key-1")


def test_an_order_is_accepted_and_its_total_is_computed_here(shop: Shop) -> None:
    status, answer, headers = shop.call("POST", "/api/orders", body(), key="key-1")
    assert status == 202
    assert headers["Location"] == f"/live/api/orders/{ORDER}"
    assert "Idempotent-Replayed" not in headers
    assert (answer["order_id"], answer["customer_id"], answer["version"]) == (ORDER, "cust-1", 1)
    assert (answer["status"], answer["payment_status"]) == ("pending", "none")
    assert answer["total"] == {"amount": 4500, "currency": "GBP"}
    assert answer["lines"][0] == {
        "product_id": "mug",
        "sku": "MUG",
        "name": "A mug",
        "quantity": 2,
        "returned": 0,
        "returnable": 0,
        "unit_price": {"amount": 1250, "currency": "GBP"},
    }
    assert answer["shipping_address"] == ADDRESS
    assert answer["shipment"] is None
    assert answer["reason"] is None
    assert [step["status"] for step in answer["timeline"]] == ["pending"]
    assert "tok_ok" not in json.dumps(answer)


def test_the_world_hears_of_it_with_the_lines_and_without_the_token(shop: Shop) -> None:
    shop.place()
    (event,) = shop.announced(ORDER)
    assert (event["type"], event["source"], event["subject"], event["sequence"]) == (
        "order.created",
        "mercato.orders",
        ORDER,
        "0000000001",
    )
    assert event["correlationid"] == "req-12345678"
    assert event["data"]["total"] == {"amount": 4500, "currency": "GBP"}
    assert [line["product_id"] for line in event["data"]["lines"]] == ["mug", "pot"]
    assert "tok_ok" not in json.dumps(event)


def test_the_same_request_again_is_the_same_answer_and_writes_nothing(shop: Shop) -> None:
    first = shop.place()
    status, again, headers = shop.call("POST", "/api/orders", body(), key="key-1")
    assert (status, again) == (202, first)
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Location"] == f"/live/api/orders/{ORDER}"
    assert len(shop.announced(ORDER)) == 1


def test_the_same_request_gets_its_first_answer_also_when_order_and_prices_have_moved_on(shop: Shop) -> None:
    first = shop.place()
    shop.task("ConfirmOrder", order_id=ORDER, payment_id="pay-1")
    shop.shelf.put(listing("mug", 9999))
    status, again, _ = shop.call("POST", "/api/orders", body(), key="key-1")
    assert (status, again) == (202, first)


def test_a_key_with_another_body_is_refused(shop: Shop) -> None:
    shop.place()
    status, problem, _ = shop.call("POST", "/api/orders", body(("mug", 3, 1250)), key="key-1")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")
    assert shop.order(ORDER).total.amount == 4500


def test_a_key_is_one_customer_s_own(shop: Shop) -> None:
    assert shop.place(user="cust-1")["order_id"] != shop.place(user="cust-2")["order_id"]


def test_a_race_with_the_same_request_ends_in_one_order(shop: Shop) -> None:
    def other() -> None:
        shop.shelf.before_answer = None
        shop.place()

    shop.shelf.before_answer = other
    status, answer, headers = shop.call("POST", "/api/orders", body(), key="key-1")
    assert (status, answer["order_id"], headers["Idempotent-Replayed"]) == (202, ORDER, "true")
    assert len(shop.announced(ORDER)) == 1


def test_a_race_with_another_request_of_the_same_key_is_refused(shop: Shop) -> None:
    def other() -> None:
        shop.shelf.before_answer = None
        shop.place(body(("pot", 1, 2000)))

    shop.shelf.before_answer = other
    status, problem, _ = shop.call("POST", "/api/orders", body(), key="key-1")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")
    assert shop.order(ORDER).total.amount == 2000


def test_delivery_and_tax_are_charged_as_the_checkout_says(shop: Shop) -> None:
    shop.shelf.delivery, shop.shelf.rate = 395, "0.2000"
    answer = shop.place(body() | {"service": "express", "seen_total": pounds(4895)})
    assert (answer["total"], answer["tax"]) == (pounds(4895), pounds(416 + 333 + 65))
    charges = [(one["kind"], one["product_id"], one["amount"]["amount"]) for one in answer["charges"]]
    assert charges == [("goods", "mug", 2500), ("goods", "pot", 2000), ("shipping", None, 395)]
    assert answer["delivery"]["service"] == "express"
    (event,) = shop.announced(ORDER)
    assert event["data"]["charges"] == answer["charges"]
    assert event["data"]["total"] == pounds(4895)


def test_a_total_that_is_not_the_one_seen_is_told_and_nothing_is_ordered(shop: Shop) -> None:
    shop.shelf.delivery = 395
    status, problem, _ = shop.call("POST", "/api/orders", body() | {"seen_total": pounds(4500)}, key="key-1")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:quote-changed")
    assert problem["differences"] == [
        {"what": "total", "product_id": None, "was": pounds(4500), "is_now": pounds(4895)}
    ]
    assert shop.store.load(ORDER) is None


def test_stock_is_decided_by_the_reservation_and_not_by_the_price(shop: Shop) -> None:
    shop.shelf.notices = [{"type": "short-of-stock", "detail": "Of A mug there are 1; you want 2."}]
    assert shop.place()["status"] == "pending"


def test_an_obstacle_that_orders_does_not_know_is_no_price(shop: Shop) -> None:
    shop.shelf.notices = [{"type": "closed-on-sundays", "detail": "Please come back on Monday."}]
    assert shop.call("POST", "/api/orders", body(), key="key-1")[0] == 503
    assert shop.store.load(ORDER) is None


def test_without_the_checkout_nothing_is_ordered(shop: Shop) -> None:
    shop.checkout.is_down = True
    assert shop.call("POST", "/api/orders", body(), key="key-1")[0] == 503
    assert shop.store.load(ORDER) is None


@pytest.mark.parametrize("refusal", ["amount-too-large", "too-many-lines"])
def test_what_is_too_large_for_the_checkout_is_too_large_for_an_order(shop: Shop, refusal: str) -> None:
    shop.checkout.refuses = refusal
    status, problem, _ = shop.call("POST", "/api/orders", body(), key="key-1")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:order-too-large")


def test_a_price_that_changed_is_told_and_nothing_is_ordered(shop: Shop) -> None:
    shop.shelf.put(listing("mug", 1300))
    status, problem, _ = shop.call("POST", "/api/orders", body(), key="key-1")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:price-changed")
    seen, now = {"amount": 1250, "currency": "GBP"}, {"amount": 1300, "currency": "GBP"}
    assert problem["changed"] == [{"product_id": "mug", "seen": seen, "now": now}]
    assert shop.store.load(ORDER) is None
    status, _, _ = shop.call("POST", "/api/orders", body(("mug", 2, 1300)), key="key-1")
    assert status == 202


def test_products_that_are_not_for_sale_are_named(shop: Shop) -> None:
    shop.shelf.put(listing("old", for_sale=False))
    status, problem, _ = shop.call(
        "POST", "/api/orders", body(("mug", 1, 1250), ("old", 1, 1250), ("gone", 1, 1)), key="key-1"
    )
    assert (status, problem["type"]) == (422, "urn:mercato:problem:unknown-product")
    assert problem["product_ids"] == ["gone", "old"]
    assert shop.store.load(ORDER) is None


def test_one_product_on_two_lines_is_one_line(shop: Shop) -> None:
    answer = shop.place(body(("mug", 2, 1250), ("mug", 3, 1250)))
    assert [(line["product_id"], line["quantity"]) for line in answer["lines"]] == [("mug", 5)]
    assert shop.shelf.asked == [["mug"]]


@pytest.mark.parametrize(
    ("count", "name"), [(240, "A very long name of a thing, " * 7), (240, "茶" * 66), (500, "A mug of tea")]
)
def test_a_large_order_fits(shop: Shop, count: int, name: str) -> None:
    names = [f"{n:08d}-0000-5000-8000-000000000000" for n in range(count)]
    shop.shelf.put(*[listing(product_id, 100, name=name) for product_id in names])
    answer = shop.place(body(*[(product_id, 10, 100) for product_id in names]))
    assert len(answer["lines"]) == count
    assert answer["total"]["amount"] == count * 1000
    shop.task("ConfirmOrder", order_id=ORDER, payment_id="pay-1")
    created, confirmed = shop.announced(ORDER)
    assert len(created["data"]["lines"]) == len(confirmed["data"]["lines"]) == count
    assert len(shop.order(ORDER).lines) == count


def test_an_order_that_no_event_could_carry_is_refused_and_not_half_placed(shop: Shop) -> None:
    names = [f"{n:08d}-0000-5000-8000-000000000000" for n in range(500)]
    shop.shelf.put(*[listing(product_id, 100, name="🫖" * 120) for product_id in names])
    status, problem, _ = shop.call(
        "POST", "/api/orders", body(*[(product_id, 1, 100) for product_id in names]), key="key-1"
    )
    assert (status, problem["type"]) == (422, "urn:mercato:problem:order-too-large")
    assert shop.store.load(ORDER) is None


def broken(**changes: Any) -> dict[str, Any]:
    return body() | changes


LINE = body(("mug", 1, 1250))["lines"][0]


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ("{not json", 400),
        ("", 400),
        ("[]", 422),
        (broken(lines=[]), 422),
        (broken(lines=[LINE] * 501), 422),
        (broken(lines=[LINE | {"quantity": 0}]), 422),
        (broken(lines=[LINE | {"quantity": 100_001}]), 422),
        (broken(lines=[LINE | {"quantity": 1.5}]), 422),
        (broken(lines=[LINE | {"quantity": "2"}]), 422),
        (broken(lines=[LINE | {"quantity": True}]), 422),
        (broken(lines=[LINE | {"unit_price": {"amount": 12.5, "currency": "GBP"}}]), 422),
        (broken(lines=[LINE | {"unit_price": {"amount": 1250, "currency": "gbp"}}]), 422),
        (broken(lines=[LINE | {"unit_price": {"amount": -1250, "currency": "GBP"}}]), 409),
        (broken(lines=[LINE | {"discount": 1}]), 422),
        (broken(lines=[LINE | {"product_id": ""}]), 422),
        (broken(total=1), 422),
        (broken(payment_token=""), 422),
        (broken(shipping_address=ADDRESS | {"country": "gb"}), 422),
        (broken(shipping_address=ADDRESS | {"city": ""}), 422),
        (broken(shipping_address=None), 422),
    ],
)
def test_a_bad_request_is_refused_and_nothing_is_written(shop: Shop, payload: Any, status: int) -> None:
    found, problem, headers = shop.call("POST", "/api/orders", payload, key="key-1")
    assert found == status, problem
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == "req-12345678"
    assert shop.store.load(ORDER) is None


def test_an_order_needs_an_idempotency_key(shop: Shop) -> None:
    status, problem, _ = shop.call("POST", "/api/orders", body())
    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-idempotency-key")


def test_an_order_needs_a_customer(shop: Shop) -> None:
    status, _, _ = shop.call("POST", "/api/orders", body(), key="key-1", user="")
    assert status == 401


def test_mixed_currencies_are_refused(shop: Shop) -> None:
    euro = {"amount": 2000, "currency": "EUR"}
    pot = shop.shelf.listings["pot"]
    shop.shelf.put(type(pot)("pot", "POT", "A pot", pot.price.model_copy(update={"currency": "EUR"}), True))
    payload = broken(lines=[LINE, {"product_id": "pot", "quantity": 1, "unit_price": euro}])
    status, problem, _ = shop.call("POST", "/api/orders", payload, key="key-1")
    assert (status, problem["currencies"]) == (422, ["EUR", "GBP"])


def test_an_address_needs_a_postcode_only_where_its_country_has_one(shop: Shop) -> None:
    home = {"name": "Ada", "line1": "1 Road", "city": "Town"}
    without = body() | {"shipping_address": home | {"country": "US"}}
    status, problem, _ = shop.call("POST", "/api/orders", without, key="key-us")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:invalid-address")
    assert problem["errors"][0]["field"] == "shipping_address.postcode"
    there = body() | {"shipping_address": home | {"country": "AE", "region": "Dubai"}}
    status, order, _ = shop.call("POST", "/api/orders", there, key="key-ae")
    assert (status, order["shipping_address"]["region"], order["shipping_address"]["postcode"]) == (202, "DU", "")


def test_a_request_of_a_client_that_knows_no_new_fields_has_the_fingerprint_that_it_had(shop: Shop) -> None:
    """So that its retry during an update is the same request."""
    known = {name: value for name, value in ADDRESS.items() if name not in ("company", "region", "phone")}
    placement = PlaceOrder.model_validate(body() | {"shipping_address": known}).as_placement()
    assert placement.fingerprint == fingerprint(body() | {"shipping_address": known})
