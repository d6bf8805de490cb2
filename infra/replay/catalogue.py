"""Imports and stocks the plan's products, and makes its coupon, through the admin API."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.operator.client import Clock, Refused, Session, ShopError, poll
from infra.replay.parallel import each
from infra.replay.plan import Plan, Variant, chunks

IMPORT_ROWS = 50  # about a second of work, so that a retry after a crash is cheap
ADJUSTMENTS = 40
_KNOWN_WITHIN = 180.0
_IMPORT_ATTEMPTS = 3
_IMPORT_PAUSE = 2.0
DISCOUNT = 1000  # basis points of the run's coupon
_CATEGORY = "replay"
_CURRENCY = "GBP"


class ImportRefused(ShopError):
    """The shop refused to import a product that the orders need."""


def import_products(
    admin: Session, plan: Plan, concurrency: int, done: Callable[[int], Any] = lambda _: None
) -> dict[str, str]:
    """Imports the plan's products and returns sku → product id. Idempotent: importing a chunk again changes nothing."""

    def send(chunk: Sequence[Variant]) -> dict[str, str]:
        body = as_csv(chunk)
        for _ in range(_IMPORT_ATTEMPTS):
            report = admin.post("/products/imports", csv=body, key=f"import-{uuid.uuid4()}")
            if not report["refused"]:
                break
            # An attempt whose response was lost may still be writing the same rows.
            admin.shop.clock.sleep(_IMPORT_PAUSE)
        else:
            first = report["refused"][0]
            raise ImportRefused(f"{len(report['refused'])} products refused; {first['sku']}: {first['reason']}")
        return {product["sku"]: product["product_id"] for product in report["products"]}

    found: dict[str, str] = {}
    for ids in each(send, list(chunks(plan.variants, IMPORT_ROWS)), concurrency, lambda ids: done(len(ids))):
        found |= ids
    missing = [variant.sku for variant in plan.variants if variant.sku not in found]
    if missing:
        raise ImportRefused(f"the import report lacks {len(missing)} products, {missing[0]} among them")
    return found


def as_csv(variants: Sequence[Variant]) -> str:
    """Formats products for the import. The price is in pounds with two decimals, without rounding."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["sku", "name", "category", "price", "currency"])
    for variant in variants:
        pounds, pence = divmod(variant.price, 100)
        writer.writerow([variant.sku, variant.name, _CATEGORY, f"{pounds}.{pence:02d}", _CURRENCY])
    return out.getvalue()


def stock_products(
    admin: Session,
    plan: Plan,
    product_ids: Mapping[str, str],
    concurrency: int,
    done: Callable[[int], Any] = lambda _: None,
    within: float = _KNOWN_WITHIN,
) -> None:
    """Adds stock for each product of the plan. Each chunk has an idempotency key, so a retry counts once."""

    def send(numbered: tuple[int, Sequence[Variant]]) -> int:
        number, chunk = numbered
        body = {
            "adjustments": [
                {"product_id": product_ids[variant.sku], "delta": variant.stocked, "reason": f"replay {plan.run}"}
                for variant in chunk
            ]
        }
        key = f"replay-{plan.run}-stock-{number}"
        adjust_when_known(admin, "/inventory/adjustments", body, key, admin.shop.clock, within)
        return len(chunk)

    each(send, list(enumerate(chunks(plan.variants, ADJUSTMENTS))), concurrency, done)


def give_coupon(admin: Session, plan: Plan) -> None:
    """Makes the run's coupon, with a use for each invoice that has it. Idempotent by the run."""
    if plan.discounted:
        new = {"description": "10 % off", "kind": "percentage", "basis_points": DISCOUNT}
        wanted = new | {"code": plan.coupon, "limit": len(plan.discounted)}
        admin.post("/promotions/coupons", wanted, key=f"replay-{plan.run}-coupon")


def adjust_when_known(
    admin: Session, path: str, body: Any, key: str, clock: Clock, within: float = _KNOWN_WITHIN
) -> None:
    """Posts a stock adjustment, with retries until inventory has consumed the product's event.

    Inventory answers 404 for the product before that. Raises TooLate after `within` seconds.
    """

    def send() -> bool:
        try:
            admin.post(path, body, key=key)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        return True

    poll(send, bool, what="inventory knows the new products", within=within, every=0.5, clock=clock)
