"""Two hundred concurrent buyers of twenty units, over HTTP on the deployed local cloud."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import pytest

from infra.demo.stage import Product, Stage, has_failed, is_paid
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Json, Refused, Session, Shop
from infra.replay import ledger
from infra.replay.parallel import each
from tests.chaos.badday import faulty_shop
from tests.chaos.cases import Record

BUYERS, UNITS = 200, 20
SIGNING_UP = 8  # concurrent registrations: hashing their passwords takes all processors
PRICE = 700
WITHIN = 600.0
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Outcome:
    """`total` is what the mug and its delivery cost. `seconds` is the time from placing the order until the buyer sees
    it settled.
    """

    sold: bool
    reason: str | None
    total: int
    captured: int
    seconds: float


def order_at_last(stage: Stage, customer: Session, product: Product) -> Json:
    """Orders as a buyer does who tries again whenever the shop says that it is busy. The key makes it one order."""
    key, ends = stage.new_key(), time.monotonic() + WITHIN
    while True:
        try:
            return stage.order(customer, product, 1, key=key)
        except Refused as refused:  # after minutes of pauses and retries
            if refused.status not in BUSY or time.monotonic() > ends:
                raise


def rush_over_http(stage: Stage) -> tuple[Counter[str], list[float]]:
    """Runs the buyers and checks the books. Returns how the orders ended, and their times in seconds, sorted."""
    product = stage.new_product("Rare mug", PRICE, UNITS)
    customers = each(lambda number: stage.new_customer(f"Buyer{number}"), range(BUYERS), SIGNING_UP)

    def buy(customer: Session) -> Outcome:
        began = time.monotonic()
        order = order_at_last(stage, customer, product)
        ended = customer.wait_for_order(
            order["order_id"], lambda seen: is_paid(seen) or has_failed(seen), what="settled", within=WITHIN
        )
        seconds = time.monotonic() - began
        payment = ledger.payment_of(stage.admin, order["order_id"])
        kept = payment.captured - payment.refunded if payment else 0
        return Outcome(not has_failed(ended), ended["reason"], ended["total"]["amount"], kept, seconds)

    outcomes = each(buy, customers, BUYERS)
    assert sum(outcome.sold for outcome in outcomes) == UNITS
    assert all(outcome.captured == (outcome.total if outcome.sold else 0) for outcome in outcomes)
    assert all(outcome.total > PRICE for outcome in outcomes)
    stock = stage.wait_for(lambda: stage.stock(product), lambda found: found["available"] == 0)
    assert (stock["available"], stock["on_hand"] - stock["reserved"]) == (0, 0)
    heard = Counter("confirmed" if outcome.sold else str(outcome.reason) for outcome in outcomes)
    return heard, sorted(outcome.seconds for outcome in outcomes)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalShop]:
    yield from faulty_shop(0, tmp_path_factory)


@pytest.mark.long
@pytest.mark.e2e
def test_two_hundred_buyers_over_http(running: LocalShop, record_property: Record) -> None:
    found = target.load()
    shop = Shop(found.base_url)
    stage = Stage(shop, shop.login(found.admin.email, found.admin.password), found.endpoint, WITHIN)
    heard, seconds = rush_over_http(stage)
    shop.close()
    p50, p95 = statistics.median(seconds), seconds[int(len(seconds) * 0.95)]
    told = f"the rush over HTTP, {BUYERS} buyers on {UNITS} units: {dict(heard)}, p50 {p50:.1f} s, p95 {p95:.1f} s"
    record_property("figures", told)
    assert heard == {"confirmed": UNITS, "out-of-stock": BUYERS - UNITS}
