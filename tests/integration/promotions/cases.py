"""What the tests of all services try with promotions. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mercato.http import View
from mercato.store.dynamo import Table
from promotions.domain import Kind as CouponKind
from promotions.store import Guesses
from promotions.views import CouponView
from tests.integration.promotions.conftest import GOODS, TEN
from tests.kit.asked import Asked, asking
from tests.kit.cases import Accepted, Expiring, Given, Keyed, KeyedRequest, Largest, MayGo, Refused
from tests.kit.given import COSTLY, WIDE

# ---- requests that succeed


def _coupon(body: Any) -> Given:
    def coupon(desk: Any) -> Asked:
        desk.add()
        return Asked("/api/promotions/coupons/TEN", body, role="admin")

    return coupon


def _codes(desk: Any) -> Asked:
    desk.add()
    body = {"codes": ["TEN", "NOBODY"], "entered": ["TEN", "NOBODY"], "goods": GOODS, "currency": "GBP"}
    return Asked("/api/promotions/evaluations", body, role="peer", headers={"X-User-Id": "ada"})


ACCEPTED = (
    Accepted("PATCH /api/promotions/coupons/{code}", _coupon({"version": 1, "basis_points": 2000})),
    Accepted("DELETE /api/promotions/coupons/{code}", _coupon(None)),
    Accepted("POST /api/promotions/evaluations", _codes),
)

# ---- requests with an Idempotency-Key


def _adding_coupon(_: Any) -> KeyedRequest:
    return KeyedRequest("/api/promotions/coupons", TEN, TEN | {"basis_points": 2000})


def _adding_coupon_without_code(_: Any) -> KeyedRequest:
    new = {name: value for name, value in TEN.items() if name != "code"}
    return KeyedRequest("/api/promotions/coupons", new, new | {"basis_points": 2000})


KEYED = (
    Keyed("POST /api/promotions/coupons", _adding_coupon),
    Keyed("POST /api/promotions/coupons", _adding_coupon_without_code),
)

# ---- requests that are refused


_NEW_COUPON = "POST /api/promotions/coupons"
_OLD_COUPON = "PATCH /api/promotions/coupons/{code}"


def _beside_a_coupon(body: Any, *, ended: bool = False, path: str = "/api/promotions/coupons/TEN") -> Given:
    """A request about coupons, where there is one of 10 %."""

    def asked(desk: Any) -> Asked:
        desk.add()
        if ended:
            desk.call("DELETE", "/api/promotions/coupons/TEN")
        return Asked(path, body, role="admin")

    return asked


REFUSED = (
    Refused(_NEW_COUPON, "coupon-exists", _beside_a_coupon(TEN | {"code": "ten"}, path="/api/promotions/coupons")),
    Refused(_NEW_COUPON, "invalid-coupon", asking("/api/promotions/coupons", TEN | {"kind": "amount"}, role="admin")),
    Refused(_OLD_COUPON, "coupon-not-found", asking("/api/promotions/coupons/NO", {"version": 1}, role="admin")),
    Refused(_OLD_COUPON, "coupon-changed", _beside_a_coupon({"version": 2})),
    Refused(_OLD_COUPON, "coupon-ended", _beside_a_coupon({"version": 2}, ended=True)),
    Refused(_OLD_COUPON, "invalid-coupon", _beside_a_coupon({"version": 1, "limit": 5})),
    Refused(
        "DELETE /api/promotions/coupons/{code}", "coupon-not-found", asking("/api/promotions/coupons/NO", role="admin")
    ),
)

# ---- items of lists


def _largest_coupon() -> View:
    times = dict.fromkeys(("valid_from", "valid_until", "created_at", "ended_at"), "x" * 24)
    counts = dict.fromkeys(("basis_points", "limit", "limit_per_customer", "used", "version"), 10**9)
    text = {"code": "X" * 32, "description": WIDE * 200, "category": WIDE * 200, "product_ids": ["x" * 64] * 100}
    return CouponView(kind=CouponKind.AMOUNT, amount=COSTLY, minimum=COSTLY, combines=False, **times, **counts, **text)


LARGEST = (Largest("GET /api/promotions/coupons", _largest_coupon, is_one_query=True),)

# ---- items that expire


def _guess(table: Table, now: datetime) -> bool:
    return Guesses(table).count({"account:ada": 1}, 1, now)


EXPIRING = (Expiring("guesses of codes", "PromotionsTable", ("promotions.store:Guesses.count",), _guess, _guess),)
MAY_GO = (
    MayGo(
        "functions/promotions/promotions/store.py", "how many unknown codes a customer tried in an hour, an hour later"
    ),
)
