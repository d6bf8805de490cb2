"""Every accepted order can be stored, sent and consumed by all services, in every script; a larger one is refused
before a charge.

The real handlers run from the request to the delivery, on tables that report their item sizes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from carts import consumers as cart_consumers
from carts import wiring as cart_wiring
from carts.store import Carts
from inventory import usecases as inventory_usecases
from inventory.domain import MOST_AT_ONCE, Adjustment, Adjustments
from mercato.charges import Charge, Kind
from mercato.clock import utc_now
from mercato.ids import derived_id
from mercato.money import Money
from mercato.store.item_size import MAX_ITEM, size_of
from orders import api
from orders import wiring as orders_wiring
from orders.domain import MAX_LINES, Priced
from orders.order import Address, Delivery, Line, Status
from orders.workflow import saga_input
from payments import usecases as payment_usecases
from shipping.usecases import shipment_id_of
from tests.chaos.bus import CONSUMERS
from tests.chaos.shop import CUSTOMER, Mall, Shop
from tests.integration.orders.conftest import _answer
from tests.kit import aws_events

EVENT = 256 * 1024  # bytes of an entry at EventBridge and of a message at SQS, in regions with the smaller limit
INPUT = 256 * 1024  # bytes of an execution's input at Step Functions
PRICE = Money(amount=1_999_999_999, currency="GBP")
LETTERS = 200  # letters of a product's name
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
ALPHABETS = {
    "ASCII": "a",
    "Latin-1": "é",
    "Cyrillic": "ж",
    "CJK": "字",
    "CJK beyond the first plane": "𠀀",
    "joined emoji": FAMILY,
    "quotes": '"',
    "backslashes": "\\",
    "signs of HTML": "<&>",
    "the last that is taken": "\U0003fffd",
}


class Counter:
    """A shop with a catalogue of these names, in which one customer orders everything."""

    def __init__(self, shop: Shop, patch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.lines: dict[str, Line] = {}
        vars(orders_wiring.ports()).update(orders=shop.orders, quotes=self)

    def price_goods(self, units: Mapping[str, int], address: Address, service: str | None) -> Priced:
        lines = tuple(self.lines[product_id] for product_id in units)
        charges = (
            *(_charge(Kind.GOODS, line.unit_price, line) for line in lines),
            _charge(Kind.SHIPPING, Money(amount=395, currency="GBP")),
        )
        return Priced(lines, charges, Delivery(carrier="c" * 64, service="s" * 64, name="n" * 64, days=3))

    def list_products(self, names: Sequence[str]) -> None:
        for number, name in enumerate(names):
            product_id = derived_id("product", str(number))
            self.lines[product_id] = Line(product_id=product_id, sku="S" * 64, name=name, quantity=1, unit_price=PRICE)

    def stock_up(self) -> None:
        stock, product_ids = self.shop.stock, list(self.lines)
        for product_id in product_ids:
            inventory_usecases.open_stock(product_id, stock)
        for first in range(0, len(product_ids), MOST_AT_ONCE):
            parts = tuple(Adjustment(one, 10, "delivery") for one in product_ids[first : first + MOST_AT_ONCE])
            delivery = Adjustments(derived_id("delivery", str(first)), "print", "boss", parts, utc_now())
            inventory_usecases.adjust(delivery, stock)

    def ask(self, count: int, letter: str) -> tuple[int, Any]:
        """Orders this many of the products, to the longest address with that letter."""
        line = (letter * 120)[:120]
        address = dict.fromkeys(("name", "company", "line1", "line2", "city"), line)
        address |= {"region": (letter * 60)[:60], "phone": (letter * 32)[:32]}
        asked = {
            "lines": [
                {"product_id": product_id, "quantity": 1, "unit_price": PRICE.model_dump()}
                for product_id in list(self.lines)[:count]
            ],
            "payment_token": "tok_ok",
            "shipping_address": address | {"postcode": (letter * 16)[:16], "country": "GB"},
        }
        headers = {"X-Request-Id": "r" * 128, "Idempotency-Key": f"key-{count}"}
        event = aws_events.rest_request("POST", "/api/orders", asked, user=CUSTOMER, headers=headers)
        status, answer, _ = _answer(api.handler(event, None))
        return status, answer

    def ask_most(self, letter: str) -> str:
        """Places the largest accepted order of these products. One line more is refused and leaves nothing behind."""
        taken, refused = 1, len(self.lines) + 1
        order_id = self._accepted(*self.ask(taken, letter))
        while refused - taken > 1:
            count = (taken + refused) // 2 if refused <= len(self.lines) else len(self.lines)
            before = sum(1 for _ in items("OrdersTable"))
            status, answer = self.ask(count, letter)
            if status == 422:
                assert answer["type"] == "urn:mercato:problem:order-too-large", answer
                assert sum(1 for _ in items("OrdersTable")) == before
                refused = count
            else:
                taken, order_id = count, self._accepted(status, answer)
        return order_id

    def _accepted(self, status: int, answer: Any) -> str:
        assert status == 202, answer
        return str(answer["order_id"])


def _charge(kind: Kind, amount: Money, line: Line | None = None) -> Charge:
    about = {"rate": "0.2000", "tax_class": "standard", "jurisdiction": "GB-ABCDEF"}
    tax = Money(amount=amount.amount // 6, currency=amount.currency)
    of = {"product_id": line.product_id, "description": line.name} if line else {"description": "n" * 64}
    return Charge(kind=kind, quantity=1, amount=amount, tax=tax, **about, **of)


def items(table: str) -> Iterator[dict[str, Any]]:
    for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table):
        yield from page["Items"]


@pytest.fixture
def mall(cloud: None, make_table: Any, monkeypatch: pytest.MonkeyPatch) -> Mall:
    carts = Carts(make_table("CartsTable"))
    vars(cart_wiring.ports()).update(carts=carts)
    return Mall(monkeypatch)


def check_that_all_goes_well(
    mall: Mall, patch: pytest.MonkeyPatch, names: Sequence[str], letter: str, *, with_stock: bool = False
) -> None:
    """Inventory gets only ids and quantities, whatever the names, and takes most of the time, so it runs once."""
    shop = mall.open()
    counter = Counter(shop, patch)
    counter.list_products(names)
    if with_stock:
        counter.stock_up()
    else:
        patch.setitem(shop.world.handlers, "InventorySaga", lambda _: {})
        patch.delitem(CONSUMERS, "inventory", raising=False)
    order_id = counter.ask_most(letter)
    order = shop.orders.load(order_id)
    assert order is not None
    assert len(json.dumps(saga_input(order)).encode()) < INPUT
    heard = shop.watch.outbox  # of the other orders nothing need come
    heard[:] = [item for item in heard if json.loads(item["event"])["subject"] == order_id]
    assert shop.run(order_id) == "SUCCEEDED"

    assert shop.bus.dead == []
    found, shipment = shop.orders.load(order_id), shop.shipments.load(shipment_id_of(order_id)).shipment
    payment = shop.payments.get(payment_usecases.payment_id_of(order_id))
    assert found is not None
    assert shipment is not None
    assert payment is not None
    wanted = list(names)[: len(order.lines)]
    assert (found.status, payment.status, shipment.status) == (Status.DELIVERED, "captured", "delivered")
    assert [line.name for line in found.lines] == [line.name for line in shipment.lines] == wanted
    mail = next(body for subject, body in shop.mailbox.sent if subject == "Your order is confirmed")
    assert all(name in mail for name in wanted[:50])
    told = {"order.created", "order.confirmed", "order.shipped"} | ({"inventory.reserved"} if with_stock else set())
    assert told <= {event["type"] for event in shop.bus.published}
    for event in shop.bus.published:
        message = json.dumps(aws_events.bus_event(event) | {"region": "eu-central-1"}, ensure_ascii=False)
        assert len(message.encode()) < EVENT, event["type"]
        batch = aws_events.records(aws_events.sqs_record(message, "shop-carts"))
        if cart_consumers.consumer.subscription_to(event["type"]):
            assert cart_consumers.handler(batch, None) == {"batchItemFailures": []}
    for table in ("Orders", "Payments", "Inventory", "Shipping", "Notifications", "Carts"):
        assert max((size_of(item) for item in items(f"{table}Table")), default=0) < MAX_ITEM, table


@pytest.mark.parametrize("letter", ALPHABETS.values(), ids=ALPHABETS)
def test_the_largest_order_of_each_alphabet_is_delivered(
    mall: Mall, monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    name = letter * (LETTERS // len(letter))
    check_that_all_goes_well(mall, monkeypatch, [name] * MAX_LINES, letter)


def test_the_largest_order_is_reserved_and_handed_over(mall: Mall, monkeypatch: pytest.MonkeyPatch) -> None:
    check_that_all_goes_well(mall, monkeypatch, ["Mug"] * MAX_LINES, "a", with_stock=True)


def test_an_order_whose_names_no_compression_makes_smaller_is_delivered(
    mall: Mall, monkeypatch: pytest.MonkeyPatch
) -> None:
    printable, chance = [chr(code) for code in range(0x21, 0x7F)], random.Random(1)
    names = ["x" + "".join(chance.choices(printable, k=LETTERS - 2)) + "x" for _ in range(MAX_LINES)]
    check_that_all_goes_well(mall, monkeypatch, names, '"')


NAMES = st.lists(
    st.tuples(st.sampled_from([*ALPHABETS.values()]), st.integers(1, LETTERS)).map(
        lambda made: (made[0] * LETTERS)[: made[1]]
    ),
    min_size=1,
    max_size=8,
)


@given(names=NAMES, letter=st.sampled_from([*ALPHABETS.values()]), lines=st.integers(60, MAX_LINES))
@settings(
    deadline=None,
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],  # each is a whole order: what fails need not be small
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_accepted_is_delivered(
    mall: Mall, monkeypatch: pytest.MonkeyPatch, names: list[str], letter: str, lines: int
) -> None:
    check_that_all_goes_well(mall, monkeypatch, (names * lines)[:lines], letter)
