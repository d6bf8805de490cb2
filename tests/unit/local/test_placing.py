from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.replay.buyers import Guest, GuestCarts
from infra.replay.countries import code_of
from infra.replay.customers import address_of, email_of
from infra.replay.placing import Placer, fact_of
from infra.replay.plan import make_plan
from infra.replay.report import percentile
from infra.replay.rows import Invoice, Line
from mercato.addresses import findings
from tests.unit.local.fake_shop import FakeShop, FakeTime

# Every time in the fake shop is noon.
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
INVOICE = Invoice("536365", "17850", "IE", [Line(2, "85123A", "HEART", 6, 255), Line(3, "71053", "LANTERN", 2, 339)])


def placer(shop: FakeShop, now: Callable[[], datetime], patience: float = 10) -> Placer:
    plan = make_plan([INVOICE], 10, "r1")
    product_ids = {variant.sku: f"id-{variant.sku}" for variant in plan.variants}
    for variant in plan.variants:
        shop.stock[product_ids[variant.sku]] = {"on_hand": variant.stocked, "reserved": 0, "available": variant.stocked}
        price = f"{variant.price // 100}.{variant.price % 100:02d}"
        shop.products[product_ids[variant.sku]] = {"price": price}
    client = shop.client(FakeTime())
    session = client.join("c@replay.example", "a password", "C")
    guest = Guest(client, GuestCarts(Path("unused")))
    return Placer(plan, {"17850": session}, guest, product_ids, patience, now)


def test_an_invoice_becomes_an_order_line_by_line() -> None:
    shop = FakeShop()
    outcome = placer(shop, lambda: NOON).place(INVOICE)
    fact = outcome.fact
    assert (fact.order_id, fact.status, fact.payment_status) == ("order-replay-r1-536365", "delivered", "captured")
    assert fact.units == {"id-85123A@255/R1": 6, "id-71053@339/R1": 2}
    sums = [fact.sum_of(kind) for kind in ("goods", "discount", "shipping")]
    assert (sums, fact.total) == ([2208, -221, 395], 2382)
    assert outcome.trouble == ""


def test_time_runs_from_the_post_to_the_timelines_confirmed() -> None:
    clock = iter([NOON - timedelta(milliseconds=800), NOON - timedelta(milliseconds=500)])
    outcome = placer(FakeShop(), lambda: next(clock)).place(INVOICE)
    assert (outcome.accepted_after, outcome.confirmed_after) == (0.3, 0.8)


def test_an_order_that_was_there_before_is_not_timed() -> None:
    outcome = placer(FakeShop(), lambda: NOON + timedelta(minutes=5)).place(INVOICE)
    assert outcome.placed
    assert (outcome.accepted_after, outcome.confirmed_after) == (None, None)


def test_an_order_that_hangs_is_given_back_as_it_is() -> None:
    shop = FakeShop()
    hanging = placer(shop, lambda: NOON)
    shop._advance = lambda order_id: shop.orders[order_id]  # type: ignore[method-assign]
    outcome = hanging.place(INVOICE)
    assert outcome.order["status"] == "pending"
    assert outcome.trouble == "order order-replay-r1-536365 is final: not after 10 s"


def test_an_order_that_is_late_is_looked_at_again_before_the_audit() -> None:
    shop = FakeShop()
    late = placer(shop, lambda: NOON)
    advance = shop._advance
    shop._advance = lambda order_id: shop.orders[order_id]  # type: ignore[method-assign]
    outcome = late.place(INVOICE)
    shop._advance = advance  # type: ignore[method-assign]
    (outcome,) = late.follow_to_dispatch([outcome], concurrency=1, within=10)
    assert outcome.order["status"] == "delivered"


def test_a_product_on_two_lines_counts_with_both() -> None:
    lines = [{"product_id": "a", "quantity": 2}, {"product_id": "a", "quantity": 3}]
    order = {"order_id": "o", "status": "pending", "payment_status": "none", "total": {"amount": 5}, "lines": lines}
    assert fact_of(order).units == {"a": 5}


def test_units_that_are_in_stock_again_are_not_gone_and_those_that_were_written_off_are() -> None:
    received = [{"product_id": "a", "quantity": 3, "restock": 1, "write_off": 2}]
    order: dict[str, Any] = {"order_id": "o", "status": "delivered", "payment_status": "captured"}
    order |= {"total": {"amount": 5}, "lines": [{"product_id": "a", "quantity": 5}]}
    order |= {"returns": [{"received": received, "charges": []}, {"received": [], "charges": []}]}
    assert fact_of(order).units == {"a": 4}


def test_what_came_back_of_a_product_in_several_returns_is_added_up() -> None:
    order: dict[str, Any] = {"order_id": "o", "status": "delivered", "payment_status": "captured"}
    order |= {"total": {"amount": 5}, "lines": [{"product_id": "a", "quantity": 5}]}
    one, two = ([{"product_id": "a", "quantity": units, "restock": 0, "write_off": units}] for units in (1, 2))
    order |= {"returns": [{"received": one, "charges": []}, {"received": two, "charges": []}]}
    assert fact_of(order).came_back == {"a": 3}


@pytest.mark.parametrize(
    ("country", "code"),
    [("United Kingdom", "GB"), ("EIRE", "IE"), ("Unspecified", "GB"), ("Channel Islands", "JE"), ("Japan", "JP")],
)
def test_countries_become_codes(country: str, code: str) -> None:
    assert code_of(country) == code
    address = address_of("17850", code)
    assert address["country"] == code
    assert list(findings(code, address["postcode"], address["region"])) == []


def test_a_walk_in_has_an_address_to_write_to() -> None:
    assert (email_of("17850", "r1"), email_of("", "r1")) == ("c17850-r1@replay.example", "walk-in-r1@replay.example")


@pytest.mark.parametrize(("percent", "expected"), [(50, 3.0), (95, 5.0), (1, 1.0)])
def test_a_percentile_is_a_duration_that_was_measured(percent: int, expected: float) -> None:
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], percent) == expected
