"""Many concurrent buyers of few units: exactly as many orders are confirmed as there are units, and the books agree.

The buyers are threads. Each operation on a table is atomic, as in DynamoDB, and the threads interleave between them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from inventory import resharding
from inventory import saga as inventory_saga
from inventory import usecases as inventory_usecases
from inventory.domain import Adjustment, Adjustments, Level, level_of
from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from mercato.ids import derived_id
from mercato.money import Money
from orders import domain as orders_domain
from orders import saga as orders_saga
from orders.order import Address, Line, Status
from payments import saga as payments_saga
from tests.chaos.cases import Record
from tests.chaos.shop import CUSTOMER, Mall, Shop
from tests.chaos.tables import Contention
from tests.kit import aws_events

PRICE = Money(amount=500, currency="GBP")
BUYERS_AT_ONCE = 16
LOW_AT = 1  # the low-stock threshold of the shop in tests/chaos/shop.py
_LEVELS = ("inventory.low_stock", "inventory.restocked")
TRIES = 12  # attempts of a step after transient errors; the saga's own retries wait in between
TRANSACTION = 0.02  # seconds that a transaction of DynamoDB takes


@pytest.fixture(autouse=True)
def restless_threads() -> Iterator[None]:
    """Makes Python switch threads often, so that they interleave within each other's steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


class Buyer:
    """Calls the saga's steps and their undo directly, without a state machine."""

    def __init__(self, shop: Shop, products: list[str]) -> None:
        self.shop = shop
        self.products = products
        self.order_id = str(uuid.uuid4())
        self.seconds = 0.0

    def buy(self) -> str:
        lines = tuple(
            Line(product_id=product, sku=product, name=product, quantity=1, unit_price=PRICE)
            for product in self.products
        )
        address = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
        facts = orders_domain.place(self.order_id, CUSTOMER, lines, "tok_ok", "print")
        total = orders_domain.total_of(lines).model_dump()
        began = time.perf_counter()
        self.shop.orders.place(self.order_id, facts, address, utc_now())
        wanted = [{"product_id": product, "quantity": 1} for product in self.products]
        asked = {"customer_id": CUSTOMER, "amount": total, "payment_token": "tok_ok"}
        try:
            self._step(inventory_saga, "ReserveInventory", lines=wanted)
            paid = self._step(payments_saga, "AuthorizePayment", **asked)
            self._step(inventory_saga, "KeepReservation")
            self._step(orders_saga, "ConfirmOrder", payment_id=paid["payment_id"])
            self._step(payments_saga, "CapturePayment")
            return "confirmed"
        except DomainError as error:
            said = type(error).__name__
            self._step(inventory_saga, "ReleaseInventory", reason=said)
            self._step(orders_saga, "CancelOrder", step="ReserveInventory", error={"Error": said, "Cause": ""})
            return said
        finally:
            self.seconds = time.perf_counter() - began

    def _step(self, module: Any, task: str, **task_input: Any) -> Any:
        for _ in range(TRIES - 1):
            try:
                return module.handler(aws_events.task(task, {"order_id": self.order_id} | task_input), None)
            except TransientError:
                continue
        return module.handler(aws_events.task(task, {"order_id": self.order_id} | task_input), None)


def stock_up(shop: Shop, products: list[str], units: int) -> None:
    for number, product in enumerate(products):
        inventory_usecases.open_stock(product, shop.stock)
        parts = (Adjustment(product, units, "delivery"),)
        inventory_usecases.adjust(Adjustments(f"rush-{number}", "print", "boss", parts, utc_now()), shop.stock)


def rush(
    mall: Mall,
    buyers: int,
    products: list[str],
    units: int,
    *,
    shards: int = 1,
    contention: Contention | None = None,
    at_once: int = BUYERS_AT_ONCE,
) -> tuple[Counter[str], list[float]]:
    """Runs the buyers and checks the books. Returns the results, and each buyer's time in seconds, sorted.

    Each product's stock is split into `shards`.
    """
    shop = mall.open()
    stock_up(shop, products, units)
    for product in products:
        resharding.set_shards(product, shards, "boss", utc_now(), shop.stock)
    crowd = [Buyer(shop, products) for _ in range(buyers)]
    shop.watch.contention = contention
    with ThreadPoolExecutor(at_once) as pool:
        heard = Counter(pool.map(Buyer.buy, crowd))
    shop.watch.contention = None
    for product in products:
        stock, audit = shop.stock.stock(product), shop.stock.audit(product)
        assert stock
        assert audit
        assert (stock.on_hand, stock.reserved, audit.balanced) == (units, heard["confirmed"], True)
        assert all(min(place.on_hand, place.reserved, place.available) >= 0 for place in stock.places)
        assert len(stock.places) == (1 if shards == 1 else shards + 1)
        told = levels_told(shop, product)
        assert all(before is not after for before, after in pairwise(told))
        assert told[-1] is level_of(stock.available, LOW_AT)
    taken = 0
    for buyer in crowd:
        order, payment = shop.orders.load(buyer.order_id), shop.payments.get(derived_id("payment", buyer.order_id))
        assert order
        assert order.status in (Status.CONFIRMED, Status.CANCELLED)
        captured = payment.captured if payment else 0
        assert captured == (order.total.amount if order.status is Status.CONFIRMED else 0)
        taken += captured
    assert taken == heard["confirmed"] * PRICE.amount * len(products)
    return heard, sorted(buyer.seconds for buyer in crowd)


def levels_told(shop: Shop, product: str) -> list[Level]:
    """The product's stock levels as its events state them, ordered by `sequence`."""
    events = [json.loads(item["event"]) for item in shop.watch.outbox]
    told = [event for event in events if event["subject"] == product and event["type"] in _LEVELS]
    told.sort(key=lambda event: int(event["sequence"]))
    return [level_of(event["data"]["available"], LOW_AT) for event in told]


def figures(title: str, heard: Counter[str], seconds: list[float]) -> str:
    p50, p95 = statistics.median(seconds), seconds[int(len(seconds) * 0.95)]
    return f"{title}: {dict(heard)}, p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"


def test_a_hundred_buyers_on_ten_units(mall: Mall, record_property: Record) -> None:
    heard, seconds = rush(mall, 100, ["rare"], 10)
    record_property("figures", figures("the rush, 100 buyers on 10 units", heard, seconds))
    assert heard == {"confirmed": 10, "OutOfStock": 90}


def test_a_hundred_buyers_on_ten_units_of_a_hot_product(mall: Mall, record_property: Record) -> None:
    heard, seconds = rush(mall, 100, ["rare"], 10, shards=4)
    record_property("figures", figures("the rush, 100 buyers on 10 units over 4 shards", heard, seconds))
    assert heard == {"confirmed": 10, "OutOfStock": 90}


@pytest.mark.parametrize("shards", [1, 4])
def test_a_hundred_buyers_whose_transactions_overlap(
    mall: Mall, shards: int, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB cancels one of two transactions that overlap on the stock item. No order is undone because of that."""
    monkeypatch.setattr(sys.modules[__name__], "TRIES", 4)  # as many as the saga has, without its waits
    contention = Contention("InventoryTable", TRANSACTION)  # elsewhere all orders are of one customer
    heard, seconds = rush(mall, 100, ["rare"], 30, shards=shards, contention=contention, at_once=50)
    title = f"the rush, 50 at once over {shards} items, {contention.done} writes, {contention.cancelled} conflicts"
    record_property("figures", figures(title, heard, seconds))
    assert heard == {"confirmed": 30, "OutOfStock": 70}
    assert contention.cancelled > 100


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_a_thousand_buyers_on_a_hundred_units(mall: Mall, record_property: Record) -> None:
    heard, seconds = rush(mall, 1000, ["rare"], 100)
    record_property("figures", figures("the rush, 1,000 buyers on 100 units", heard, seconds))
    assert heard == {"confirmed": 100, "OutOfStock": 900}


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_a_thousand_buyers_on_a_hundred_units_of_a_hot_product(mall: Mall, record_property: Record) -> None:
    heard, seconds = rush(mall, 1000, ["rare"], 100, shards=8)
    record_property("figures", figures("the rush, 1,000 buyers on 100 units over 8 shards", heard, seconds))
    assert heard == {"confirmed": 100, "OutOfStock": 900}


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_a_thousand_buyers_of_an_order_of_ten_lines(mall: Mall, record_property: Record) -> None:
    products = [f"line-{number:03}" for number in range(10)]
    heard, seconds = rush(mall, 1000, products, 100)
    record_property("figures", figures("the rush, 1,000 buyers of 10 lines, 100 of each", heard, seconds))
    assert heard == {"confirmed": 100, "OutOfStock": 900}


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_forty_buyers_of_an_order_of_many_lines(mall: Mall, record_property: Record) -> None:
    """110 lines take three transactions. A buyer who is refused in a later one releases what the first ones took."""
    products = [f"line-{number:03}" for number in range(110)]
    heard, seconds = rush(mall, 40, products, 8)
    record_property("figures", figures("the rush, 40 buyers of 110 lines, 8 of each", heard, seconds))
    assert heard == {"confirmed": 8, "OutOfStock": 32}


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_twelve_buyers_of_an_order_of_many_hot_lines(mall: Mall, record_property: Record) -> None:
    """A line may be split over several shards, so fewer lines fit into a transaction."""
    products = [f"line-{number:03}" for number in range(30)]
    heard, seconds = rush(mall, 12, products, 6, shards=3)
    record_property("figures", figures("the rush, 12 buyers of 30 hot lines, 6 of each over 3 shards", heard, seconds))
    assert heard == {"confirmed": 6, "OutOfStock": 6}
