"""Many concurrent buyers with one coupon of few uses: its uses are the confirmed orders, never more than its limit, and
none is lost, whatever is declined, repeated, or ends in the middle.

The buyers are threads. Each operation on a table is atomic, as in DynamoDB, and the threads interleave between them.
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.contract import events
from inventory import resharding
from inventory import saga as inventory_saga
from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from orders import domain as orders_domain
from orders import saga as orders_saga
from orders.order import Address, ClaimedCoupons, Line, Status
from payments import saga as payments_saga
from promotions import saga as promotions_saga
from promotions import usecases as promotions_usecases
from promotions.claim import CouponExhausted
from promotions.domain import Coupon, Kind
from tests.chaos.cases import Record
from tests.chaos.shop import CUSTOMER, Mall, Shop
from tests.chaos.tables import Contention
from tests.chaos.test_rush import PRICE, TRANSACTION, TRIES, stock_up
from tests.integration.promotions.conftest import balanced
from tests.kit import aws_events

SEED = 20261129
BUYERS_AT_ONCE = 16
CODE = "RUSH"
PRODUCTS = ["plenty"]
AFTER_EXPIRY = timedelta(minutes=46)


@pytest.fixture(autouse=True)
def restless_threads() -> Iterator[None]:
    """Makes Python switch threads often, so that they interleave within each other's steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


class Buyer:
    """Calls the saga's steps and their undo without a state machine. Some cards are declined, some steps are done
    twice, and of some orders nothing runs any more after the claim.
    """

    def __init__(self, shop: Shop, number: int) -> None:
        self.shop = shop
        self.order_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{SEED} {number}"))
        self.customer = f"account:{number}"
        self._random = random.Random(SEED + number)
        self.token = "tok_declined" if self._random.random() < 0.3 else "tok_ok"
        self.is_lost = self._random.random() < 0.1

    def buy(self) -> str:
        coupons = ClaimedCoupons(codes=(CODE,), customer=self.customer)
        self._place(coupons)
        wanted = [{"product_id": product, "quantity": 1} for product in PRODUCTS]
        asked = {"customer_id": CUSTOMER, "amount": PRICE.model_dump(), "payment_token": self.token}
        try:
            self._step(promotions_saga, "ClaimCoupon", coupons=coupons.model_dump(mode="json"))
            if self.is_lost:
                return "lost"
            self._step(inventory_saga, "ReserveInventory", lines=wanted)
            paid = self._step(payments_saga, "AuthorizePayment", **asked)
            self._step(inventory_saga, "KeepReservation")
            self._step(promotions_saga, "KeepCoupon")
            self._step(orders_saga, "ConfirmOrder", payment_id=paid["payment_id"])
            self._step(payments_saga, "CapturePayment")
            return "confirmed"
        except DomainError as error:
            said = type(error).__name__
            self._step(inventory_saga, "ReleaseInventory", reason=said)
            self._step(promotions_saga, "ReleaseCoupon", reason=said)
            self._step(orders_saga, "CancelOrder", step="ClaimCoupon", error={"Error": said, "Cause": ""})
            return said

    def _place(self, coupons: ClaimedCoupons) -> None:
        lines = tuple(
            Line(product_id=product, sku=product, name=product, quantity=1, unit_price=PRICE) for product in PRODUCTS
        )
        address = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
        (placed,) = orders_domain.place(self.order_id, CUSTOMER, lines, self.token, "print")
        facts = [placed.model_copy(update={"coupons": coupons})]
        self.shop.orders.place(self.order_id, facts, address, utc_now())

    def _step(self, module: Any, task: str, **task_input: Any) -> Any:
        """A step that is retried after transient errors. One in six is done again, as after a lost response."""
        again = self._random.random() < 1 / 6
        for attempt in range(TRIES):
            try:
                answer = module.handler(aws_events.task(task, {"order_id": self.order_id} | task_input), None)
            except TransientError:
                if attempt == TRIES - 1:
                    raise
                continue
            if not again:
                return answer
            again = False
        raise AssertionError("unreachable")


def give(shop: Shop, limit: int | None) -> None:
    new = Coupon(CODE, "10 % off", Kind.PERCENTAGE, utc_now(), basis_points=1000)
    shop.coupons.insert(replace(new, limit=limit), CODE)


def used(shop: Shop) -> int:
    return balanced(shop.tables["Promotions"].name)[CODE]


def sweep(shop: Shop) -> int:
    later = utc_now() + AFTER_EXPIRY
    due = [one.order_id for one in shop.claims.due(later)]
    return sum(promotions_usecases.expire(order_id, shop.claims, later) for order_id in due)


def rush(mall: Mall, buyers: int, limit: int) -> Counter[str]:
    """Runs the buyers, in two crowds, with a sweep of lost claims after each. Checks the books."""
    for published in events.publications():  # a sandbox has one thread; many must not build a model at its first use
        published.model.model_rebuild()
    shop = mall.open()
    stock_up(shop, PRODUCTS, 2 * buyers)
    resharding.set_shards(PRODUCTS[0], 8, "boss", utc_now(), shop.stock)
    give(shop, limit)
    heard = Counter[str]()
    crowd = [Buyer(shop, number) for number in range(buyers)]
    for some in (crowd[: buyers // 2], crowd[buyers // 2 :]):
        with ThreadPoolExecutor(BUYERS_AT_ONCE) as pool:
            outcomes = Counter(pool.map(Buyer.buy, some))
        heard += outcomes
        assert used(shop) == heard["confirmed"] + outcomes["lost"] <= limit
        assert sweep(shop) == outcomes["lost"]
        assert used(shop) == heard["confirmed"]
    orders = [shop.orders.load(buyer.order_id) for buyer in crowd]
    confirmed = [order for order in orders if order and order.status is Status.CONFIRMED]
    assert len(confirmed) == heard["confirmed"] <= limit
    number = buyers
    while used(shop) < limit:  # what was freed can be used: none of the uses is lost
        number += 1
        last = Buyer(shop, number)
        last.token, last.is_lost = "tok_ok", False
        assert last.buy() == "confirmed"
    last = Buyer(shop, number + 1)
    assert last.buy() == CouponExhausted.__name__
    assert used(shop) == limit
    return heard


def test_eighty_buyers_with_a_coupon_of_ten_uses(mall: Mall, record_property: Record) -> None:
    heard = rush(mall, 80, 10)
    record_property("figures", f"the coupon, 80 buyers on 10 uses: {dict(heard)}")
    assert heard["PaymentDeclined"]
    assert heard["lost"]


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_a_thousand_buyers_with_a_coupon_of_a_hundred_uses(mall: Mall, record_property: Record) -> None:
    heard = rush(mall, 1000, 100)
    record_property("figures", f"the coupon, 1,000 buyers on 100 uses: {dict(heard)}")


@pytest.mark.parametrize("limit", [60, None])
def test_claims_whose_transactions_overlap(mall: Mall, limit: int | None, record_property: Record) -> None:
    """DynamoDB cancels one of two transactions that overlap on a counter. No claim fails because of that."""
    shop = mall.open()
    give(shop, limit)

    def claim(number: int) -> str:
        asked = {"coupons": {"codes": [CODE], "customer": f"account:{number}"}, "order_id": f"order-{number}"}
        try:
            promotions_saga.handler(aws_events.task("ClaimCoupon", asked), None)
        except CouponExhausted:
            return "exhausted"
        return "claimed"

    shop.watch.contention = contention = Contention("PromotionsTable", TRANSACTION)
    began = time.perf_counter()
    with ThreadPoolExecutor(50) as pool:
        heard = Counter(pool.map(claim, range(100)))
    seconds = time.perf_counter() - began
    shop.watch.contention = None
    title = f"100 claims, 50 at once, {'a limit' if limit else 'no limit'}, {contention.cancelled} conflicts"
    record_property("figures", f"the coupon, {title}: {dict(heard)}, {heard['claimed'] / seconds:.0f} claims a second")
    assert heard == ({"claimed": limit, "exhausted": 100 - limit} if limit else {"claimed": 100})
    assert used(shop) == heard["claimed"]
    assert contention.cancelled > 10
