"""Staff makes, changes, lists and ends coupons over HTTP."""

from __future__ import annotations

import uuid

import pytest

from infra.demo.stage import Stage
from infra.operator.client import Refused, Session, Shop
from infra.operator.target import State


def test_a_coupon_from_its_beginning_to_its_end(admin: Session) -> None:
    new = {"description": "10 % off", "kind": "percentage", "basis_points": 1000, "limit": 100}
    made = admin.post("/promotions/coupons", new, key=str(uuid.uuid4()))
    path = f"/promotions/coupons/{made['code'].lower()}"
    assert admin.get(path) == made
    assert made in admin.get("/promotions/coupons")["items"]

    with pytest.raises(Refused) as taken:
        admin.post("/promotions/coupons", new | {"code": made["code"]}, key=str(uuid.uuid4()))
    assert taken.value.slug == "coupon-exists"
    changed = admin.patch(path, {"version": 1, "limit": 200})
    assert (changed["version"], changed["limit"], changed["used"]) == (2, 200, 0)
    with pytest.raises(Refused) as stale:
        admin.patch(path, {"version": 1, "limit": 300})
    assert stale.value.slug == "coupon-changed"

    admin.delete(path)
    assert admin.get(path)["ended_at"]


def test_who_guesses_codes_waits_and_another_buyer_uses_a_good_one(
    shop: Shop, admin: Session, shop_state: State
) -> None:
    stage = Stage(shop, admin, shop_state.endpoint, 120)
    mug = stage.new_product("Guessed mug", 1250, stock=8)
    new = {"description": "10 % off", "kind": "percentage", "basis_points": 1000}
    code = admin.post("/promotions/coupons", new, key=stage.new_key())["code"]
    lines = {"lines": [{"product_id": mug.product_id, "quantity": 1}]}

    def enter(buyer: Session, *codes: str) -> Refused:
        with pytest.raises(Refused) as refused:
            buyer.post("/checkouts", lines | {"codes": codes}, key=stage.new_key())
        return refused.value

    mallory, bob = stage.new_customer("Mallory"), stage.new_customer("Bob")
    found = [enter(mallory, *(f"GUESS-{turn}-{place}" for place in range(5))) for turn in range(2)]
    assert [one.slug for one in found] == ["code-rejected", "code-rejected"]
    late = enter(mallory, code)
    assert (late.status, late.slug) == (429, "too-many-codes")
    assert 0 < late.problem["retry_after"] <= 3600
    assert bob.post("/checkouts", lines | {"codes": [code]}, key=stage.new_key())["codes"] == [code]
