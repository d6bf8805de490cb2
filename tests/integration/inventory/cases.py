"""What the tests of all services try with inventory. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from inventory.api import LedgerEntryView, ListedStockView
from inventory.domain import Level
from mercato.http import View
from tests.kit.asked import Asked, asking
from tests.kit.cases import Accepted, Data, Given, Heard, Keyed, KeyedRequest, Largest, Refused
from tests.kit.given import WIDE

# ---- requests that succeed


def _stocked(shop: Any) -> Asked:
    shop.stocked(a=20)
    return Asked("/api/inventory/a/shards", {"shards": 4}, role="admin")


def _threshold(shop: Any) -> Asked:
    """Makes the product's stock low, so that the crossing is published, too."""
    shop.stocked(a=20)
    return Asked("/api/inventory/a/threshold", {"low_at": 30, "version": 0}, role="admin")


ACCEPTED = (
    Accepted("PUT /api/inventory/{product_id}/shards", _stocked),
    Accepted("PUT /api/inventory/{product_id}/threshold", _threshold),
)

# ---- requests with an Idempotency-Key


def _adjusting(shop: Any) -> KeyedRequest:
    shop.publish("product.created", "a", {"product_id": "a"})
    adjustment = {"delta": 5, "reason": "x"}
    return KeyedRequest("/api/inventory/a/adjustments", adjustment, adjustment | {"delta": 6})


def _adjusting_many(shop: Any) -> KeyedRequest:
    """The same adjustment through the other route."""
    single = _adjusting(shop)
    one, other = ({"adjustments": [{"product_id": "a"} | part]} for part in (single.body, single.other))
    return KeyedRequest("/api/inventory/adjustments", one, other)


KEYED = (
    Keyed("POST /api/inventory/adjustments", _adjusting_many),
    Keyed("POST /api/inventory/{product_id}/adjustments", _adjusting),
)

# ---- requests that are refused


def _adjusting_by(*parts: tuple[str, int]) -> Given:
    def given(shop: Any) -> Asked:
        shop.stocked(a=5, b=5)
        adjustments = [{"product_id": product, "delta": delta, "reason": "count"} for product, delta in parts]
        if len(parts) == 1:
            ((product, delta),) = parts
            return Asked(f"/api/inventory/{product}/adjustments", {"delta": delta, "reason": "count"}, role="admin")
        return Asked("/api/inventory/adjustments", {"adjustments": adjustments}, role="admin")

    return given


def _stale_threshold(shop: Any) -> Asked:
    shop.stocked(a=5)
    return Asked("/api/inventory/a/threshold", {"low_at": 3, "version": 7}, role="admin")


_ADJUST = "POST /api/inventory/adjustments"
_ADJUST_ONE = "POST /api/inventory/{product_id}/adjustments"
REFUSED = (
    Refused(_ADJUST, "unknown-product", _adjusting_by(("a", 1), ("nothing", 1))),
    Refused(_ADJUST, "below-zero", _adjusting_by(("a", 1), ("b", -6))),
    Refused(_ADJUST, "duplicate-product", _adjusting_by(("a", 1), ("a", 1))),
    Refused(_ADJUST_ONE, "unknown-product", _adjusting_by(("nothing", 1))),
    Refused(_ADJUST_ONE, "below-zero", _adjusting_by(("b", -6))),
    Refused(
        "PUT /api/inventory/{product_id}/shards",
        "unknown-product",
        asking("/api/inventory/nothing/shards", {"shards": 4}, role="admin"),
    ),
    Refused(
        "PUT /api/inventory/{product_id}/threshold",
        "unknown-product",
        asking("/api/inventory/nothing/threshold", {"low_at": 4, "version": 0}, role="admin"),
    ),
    Refused("PUT /api/inventory/{product_id}/threshold", "stale-threshold", _stale_threshold),
)

# ---- events


def _reserved(shop: Any) -> Data:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    return {"order_id": "o-1"}


def _sold(shop: Any) -> Data:
    shop.stocked(a=20)
    return {"lines": [{"product_id": "a", "quantity": 2}]}


def _received(shop: Any) -> Data:
    shop.stocked(a=20)
    return {"lines": [{"product_id": "a", "quantity": 2, "restock": 1, "write_off": 1}]}


HEARD = (
    Heard("inventory", "product.created"),
    Heard("inventory", "order.shipped", _reserved),
    Heard("inventory", "order.return_accepted", _sold),
    Heard("inventory", "order.return_received", _received),
)

# ---- items of lists


def _largest_stock() -> View:
    counts = dict.fromkeys(set(ListedStockView.model_fields) - {"product_id", "level", "is_default"}, 10**9)
    return ListedStockView(product_id="x" * 64, level=Level.LOW, is_default=False, **counts)


def _largest_ledger_entry() -> View:
    """A reason is the longest text in it that people write."""
    about = dict.fromkeys(("kind", "actor", "order_id", "request_id"), "x" * 64)
    counts = dict.fromkeys(("delta", "balance", "shard"), 10**9)
    return LedgerEntryView(at=datetime(2026, 11, 28, tzinfo=UTC), reason=WIDE * 500, **about, **counts)


LARGEST = (
    Largest("GET /api/inventory", _largest_stock),
    Largest("GET /api/inventory/{product_id}/ledger", _largest_ledger_entry),
)
