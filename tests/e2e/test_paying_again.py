"""An order that waits for its buyer: another card after a decline, and what comes too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.demo.stage import ADDRESS, Stage, is_paid
from infra.operator.client import Refused, Session, Shop
from infra.operator.target import State


@pytest.fixture(scope="module")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, patience=90)


def place(stage: Stage, buyer: Session, card: str) -> str:
    mug = stage.new_product("Mug", pence=1250, stock=3)
    line = {"product_id": mug.product_id, "quantity": 1, "unit_price": {"amount": 1250, "currency": "GBP"}}
    order = {"lines": [line], "payment_token": card, "shipping_address": ADDRESS, "waits_for_buyer": True}
    return str(buyer.post("/orders", order, key=stage.new_key())["order_id"])


def asks_for(state: str) -> Callable[[Any], bool]:
    return lambda order: (order["payment"] or {}).get("state") == state


def test_a_declined_order_is_paid_with_another_card_once(stage: Stage, admin: Session) -> None:
    buyer = stage.new_customer("Payer")
    order_id = place(stage, buyer, "tok_declined")
    asked = buyer.wait_for_order(order_id, asks_for("declined"), what="asks for another card", within=90)
    assert asked["payment"]["detail"] == "Your bank declined the card."
    assert asked["payment"]["until"] > asked["placed_at"]
    key = stage.new_key()
    for _ in range(2):
        buyer.post(f"/orders/{order_id}/payments", {"payment_token": "tok_ok"}, key=key)
    paid = buyer.wait_for_order(order_id, is_paid, what="is paid", within=90)
    assert paid["payment"] is None
    assert admin.get("/payments", order_id=order_id)["items"][0]["captured"] == paid["total"]
    with pytest.raises(Refused) as again:
        buyer.post(f"/orders/{order_id}/payments", {"payment_token": "tok_ok"}, key=stage.new_key())
    assert (again.value.status, again.value.slug) == (409, "order-already-paid")


def test_a_buyer_cancels_instead_of_paying(stage: Stage, admin: Session) -> None:
    buyer = stage.new_customer("Leaver")
    order_id = place(stage, buyer, "tok_confirm_never")
    asked = buyer.wait_for_order(order_id, asks_for("action_required"), what="asks for the buyer", within=90)
    assert asked["payment"]["action"]["url"].startswith("/bank/")
    assert admin.get(f"/orders/{order_id}")["payment"]["action"] is None
    buyer.post(f"/orders/{order_id}/cancel", {}, key=stage.new_key())
    buyer.wait_for_order(order_id, lambda order: order["status"] == "cancelled", what="is cancelled", within=90)
    assert admin.get("/payments", order_id=order_id)["items"][0]["status"] == "voided"
    with pytest.raises(Refused) as late:
        buyer.post(f"/orders/{order_id}/payments", {"payment_token": "tok_ok"}, key=stage.new_key())
    assert late.value.slug == "payment-too-late"
