"""Staff makes, changes, lists and ends coupons over HTTP."""

from __future__ import annotations

import uuid

import pytest

from infra.operator.client import Refused, Session


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
