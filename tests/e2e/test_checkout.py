"""A customer buys through the checkout: totals first, then the order, at exactly that total."""

from __future__ import annotations

import pytest

from infra.demo.stage import ADDRESS, TOKEN, Stage, is_paid
from infra.operator.client import Refused, Session, Shop
from infra.operator.target import State


@pytest.fixture(scope="module")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, patience=90)


def test_what_a_checkout_shows_is_what_its_order_costs_and_what_a_change_makes_of_it(
    stage: Stage, admin: Session
) -> None:
    buyer, mug = stage.new_customer("Buyer"), stage.new_product("Mug", pence=1250, stock=9)
    cart = buyer.put(f"/carts/mine/items/{mug.product_id}", {"quantity": 2})
    named = {"id": cart["cart_id"], "version": cart["version"]}
    with pytest.raises(Refused) as stale:
        buyer.post("/checkouts", {"cart": named | {"version": cart["version"] - 1}}, key=stage.new_key())
    assert stale.value.slug == "cart-changed"

    shown = buyer.post("/checkouts", {"cart": named, "shipping_address": ADDRESS}, key=stage.new_key())
    assert (shown["quote"], shown["missing"]) == (None, ["service"])
    path = f"/checkouts/{shown['checkout_id']}"
    shown = buyer.patch(path, {"version": 1, "service": shown["services"][-1]["service"]})
    total = shown["totals"]["total"]
    assert total["amount"] == 2 * 1250 + shown["totals"]["shipping"]["amount"]

    version = admin.get(f"/products/{mug.product_id}")["version"]
    admin.patch(f"/products/{mug.product_id}", {"version": version, "price": {"amount": 1300, "currency": "GBP"}})
    wish = {"quote": shown["quote"]["token"], "payment_token": TOKEN}
    with pytest.raises(Refused) as dearer:
        buyer.post("/orders/quoted", wish)
    assert [(one["what"], one["is_now"]["amount"]) for one in dearer.value.problem["differences"]] == [("price", 1300)]

    wish["quote"] = buyer.get(path)["quote"]["token"]
    placed = buyer.post("/orders/quoted", wish)
    assert buyer.post("/orders/quoted", wish)["order_id"] == placed["order_id"]
    paid = buyer.wait_for_order(placed["order_id"], is_paid, what="is paid", within=90)
    assert paid["total"]["amount"] == total["amount"] + 100
    assert sum(charge["amount"]["amount"] for charge in paid["charges"]) == paid["total"]["amount"]
    assert admin.get("/payments", order_id=placed["order_id"])["items"][0]["captured"] == paid["total"]


def test_an_order_goes_where_there_is_no_postcode_and_its_invoice_elsewhere(stage: Stage, admin: Session) -> None:
    buyer, mug = stage.new_customer("Traveller"), stage.new_product("Mug", pence=1250, stock=9)
    home = {"name": "Ada", "company": "Engines", "line1": "1 Creek Road", "city": "Deira", "country": "AE"}
    opened = {"lines": [{"product_id": mug.product_id, "quantity": 1}], "service": "standard"}
    with pytest.raises(Refused) as lacking:
        buyer.post("/checkouts", opened | {"shipping_address": home}, key=stage.new_key())
    assert (lacking.value.status, lacking.value.slug) == (422, "invalid-address")
    assert [one["field"] for one in lacking.value.problem["errors"]] == ["shipping_address.region"]

    addresses = {"shipping_address": home | {"region": "Dubai"}, "billing_address": ADDRESS}
    shown = buyer.post("/checkouts", opened | addresses, key=stage.new_key())
    placed = buyer.post("/orders/quoted", {"quote": shown["quote"]["token"], "payment_token": TOKEN})
    assert (placed["shipping_address"]["region"], placed["shipping_address"]["postcode"]) == ("DU", "")
    assert placed["billing_address"]["postcode"] == ADDRESS["postcode"]
    buyer.wait_for_order(placed["order_id"], is_paid, what="is paid", within=90)
    parcel = admin.get("/shipments", order_id=placed["order_id"])["items"][0]
    sent_to = admin.get(f"/shipments/{parcel['shipment_id']}")["shipping_address"]
    assert (sent_to["company"], sent_to["region"], sent_to["postcode"]) == ("Engines", "DU", "")


def test_a_rate_that_moved_is_told_and_a_parcel_that_no_service_takes_is_refused_by_its_own_error(
    stage: Stage, admin: Session
) -> None:
    buyer, mug = stage.new_customer("Sender"), stage.new_product("Mug", pence=1250, stock=9)
    product = f"/products/{mug.product_id}"
    admin.patch(product, {"version": admin.get(product)["version"], "weight_grams": 900})
    opened = {"lines": [{"product_id": mug.product_id, "quantity": 2}], "shipping_address": ADDRESS}
    first = admin.get("/shipments/rates")
    home = next(zone for zone in first["zones"] if ADDRESS["country"] in zone["countries"])
    service = home["services"][0]["code"]
    shown = buyer.post("/checkouts", opened | {"service": service}, key=stage.new_key())

    def replace_rates(version: int, heaviest: int, amount: int) -> int:
        band = {"from_grams": 0, "to_grams": heaviest, "prices": [{"goods_from": 0, "amount": amount}]}
        services = [home["services"][0] | {"bands": [band]}]
        zones = [home | {"services": services}]
        changed = admin.put("/shipments/rates", {"version": version, "currency": "GBP", "zones": zones})
        return int(changed["version"])

    was = shown["totals"]["shipping"]["amount"]
    version = replace_rates(first["version"], 2000, was + 55)
    try:
        with pytest.raises(Refused) as dearer:
            buyer.post("/orders/quoted", {"quote": shown["quote"]["token"], "payment_token": TOKEN})
        (told,) = dearer.value.problem["differences"]
        assert (dearer.value.status, told["what"]) == (409, "shipping")
        assert (told["was"]["amount"], told["is_now"]["amount"]) == (was, was + 55)

        version = replace_rates(version, 1799, was)
        with pytest.raises(Refused) as heavy:
            buyer.post("/checkouts", opened, key=stage.new_key())
        assert (heavy.value.status, heavy.value.slug) == (422, "parcel-too-heavy")
        elsewhere = opened | {"shipping_address": ADDRESS | {"country": "AQ"}}
        with pytest.raises(Refused) as nowhere:
            buyer.post("/checkouts", elsewhere, key=stage.new_key())
        assert (nowhere.value.status, nowhere.value.slug) == (422, "no-rate-for-destination")
    finally:
        admin.put("/shipments/rates", {name: first[name] for name in ("currency", "zones")} | {"version": version})
    assert admin.get("/shipments/rates", version=first["version"]) == first


def test_staff_reads_and_replaces_the_tax_rates(admin: Session) -> None:
    before = admin.get("/checkouts/taxes")

    after = admin.put("/checkouts/taxes", {"version": before["version"], "rates": before["rates"]})

    assert after == before | {"version": before["version"] + 1, "changed_at": after["changed_at"]}
    assert admin.get("/checkouts/taxes", version=before["version"]) == before


def test_an_order_with_a_code_is_cheaper_and_uses_it_up(stage: Stage, admin: Session) -> None:
    buyer, mug = stage.new_customer("Saver"), stage.new_product("Jug", pence=1250, stock=9)
    new = {"description": "10 % off", "kind": "percentage", "basis_points": 1000, "limit": 2, "limit_per_customer": 1}
    code = admin.post("/promotions/coupons", new, key=stage.new_key())["code"]
    wanted = {"lines": [{"product_id": mug.product_id, "quantity": 2}], "shipping_address": ADDRESS}
    opened = buyer.post("/checkouts", wanted, key=stage.new_key())
    path = f"/checkouts/{opened['checkout_id']}"
    with pytest.raises(Refused) as unknown:
        buyer.patch(path, {"version": 1, "codes": ["NOBODY"]})
    assert (unknown.value.slug, unknown.value.problem["reason"]) == ("code-rejected", "unknown")
    shown = buyer.patch(path, {"version": 1, "codes": [code.lower()], "service": opened["services"][0]["service"]})
    assert (shown["codes"], shown["totals"]["discount"]["amount"]) == ([code], -250)

    placed = buyer.post("/orders/quoted", {"quote": shown["quote"]["token"], "payment_token": TOKEN})
    paid = buyer.wait_for_order(placed["order_id"], is_paid, what="is paid", within=90)
    assert (paid["total"], paid["codes"]) == (shown["totals"]["total"], [code])
    assert admin.get(f"/promotions/coupons/{code}")["used"] == 1
    with pytest.raises(Refused) as used_up:
        buyer.post("/checkouts", wanted | {"codes": [code]}, key=stage.new_key())
    assert used_up.value.problem["reason"] == "used-up"

    other = stage.new_customer("Unlucky")
    opened = other.post("/checkouts", wanted | {"codes": [code]}, key=stage.new_key())
    path = f"/checkouts/{opened['checkout_id']}"
    shown = other.patch(path, {"version": 1, "service": opened["services"][0]["service"]})
    declined = other.post("/orders/quoted", {"quote": shown["quote"]["token"], "payment_token": "tok_declined"})
    other.wait_for_order(
        declined["order_id"], lambda order: order["status"] == "cancelled", what="is cancelled", within=90
    )
    assert admin.get(f"/promotions/coupons/{code}")["used"] == 1
