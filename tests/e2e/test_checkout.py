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


def test_staff_reads_and_replaces_the_tax_rates(admin: Session) -> None:
    before = admin.get("/checkouts/taxes")

    after = admin.put("/checkouts/taxes", {"version": before["version"], "rates": before["rates"]})

    assert after == before | {"version": before["version"] + 1}
    assert admin.get("/checkouts/taxes", version=before["version"]) == before
