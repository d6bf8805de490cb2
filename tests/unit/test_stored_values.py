"""Every stored value is read back equal: a value that its table rounds would make a valid record look damaged."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory import store as inventory_store
from inventory.domain import Line as StockLine
from inventory.domain import Shortage
from inventory.reservation import Reservation, State, Step
from mercato import charges
from mercato.clock import utc_now
from mercato.money import MAX_AMOUNT, Money
from mercato.store.attributes import from_item, to_item
from mercato.store.payload import pack, unpack
from mercato.store.stored_event import NewEvent, read_event, write_event
from notifications import store as notification_store
from notifications.domain import Notification
from orders import facts, order
from orders import store as order_store
from orders.order import Order
from payments import store as payment_store
from payments.domain import Charge, ChargeStatus, Payment
from payments.refund import Refund
from shipping import store as shipping_store
from shipping.domain import Address, Shipment, Stop
from shipping.domain import Line as ParcelLine
from tests.kit.template import ROOT

MANY = settings(deadline=None, max_examples=50)
# Times as the clock reads them.
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda found: found.replace(microsecond=found.microsecond // 1000 * 1000)
)
MONEY = st.builds(
    Money, amount=st.integers(-MAX_AMOUNT, MAX_AMOUNT), currency=st.sampled_from(["GBP", "JPY", "KWD", "XXX"])
)
COUNTS = st.integers(0, 10**12)


charges.Charge.model_rebuild(force=True)
for model in (*facts.Fact.__subclasses__(), *order._Value.__subclasses__()):
    model.model_rebuild(force=True)  # which fields it has is known when it is built


def built(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


LINES = built(order.Line, unit_price=MONEY)
CHARGES = st.lists(
    built(charges.Charge, amount=MONEY, tax=MONEY, rate=st.sampled_from(["0.2000", "0.0000"])), max_size=2
).map(tuple)
FACTS: dict[type[facts.Fact], st.SearchStrategy[Any]] = {
    facts.OrderPlaced: built(
        facts.OrderPlaced, total=MONEY, lines=st.lists(LINES, max_size=3).map(tuple), charges=CHARGES
    ),
    facts.ReturnAccepted: built(facts.ReturnAccepted, amount=MONEY, charges=CHARGES),
    facts.ReturnRequested: built(facts.ReturnRequested, amount=MONEY),
    facts.ReturnReceived: built(facts.ReturnReceived, amount=MONEY, charges=CHARGES),
    facts.OrderRefunded: built(facts.OrderRefunded, amount=MONEY),
}
ORDERS = built(
    Order,
    lines=st.lists(LINES, max_size=3).map(tuple),
    total=MONEY,
    refunded=MONEY,
    placed_at=TIMES,
    updated_at=TIMES,
    returns=st.lists(
        built(order.Return, amount=MONEY, at=TIMES, since=TIMES, charges=CHARGES, refunded=st.none() | MONEY),
        max_size=2,
    ).map(tuple),
    timeline=st.lists(built(order.Step, at=TIMES), max_size=3).map(tuple),
    frozen=CHARGES,
)
SHIPMENTS = built(
    Shipment,
    shipment_id=st.text(),
    lines=st.lists(built(ParcelLine), max_size=3).map(tuple),
    address=st.none() | built(Address),
    history=st.lists(built(Stop, at=TIMES), max_size=3).map(tuple),
)
SHARES = st.dictionaries(st.text(), st.lists(st.tuples(COUNTS, COUNTS), max_size=2).map(tuple), max_size=2)
RESERVATIONS = built(
    Reservation,
    lines=st.lists(built(StockLine), max_size=3).map(tuple),
    refusal=st.lists(built(Shortage), max_size=2).map(tuple),
    expires_at=st.none() | TIMES,
    shares=SHARES,
)


def stored(item: dict[str, Any]) -> dict[str, Any]:
    return from_item(to_item(item))


@pytest.mark.parametrize("kind", facts._APPLY, ids=lambda kind: kind.__name__)
def test_a_fact(kind: type[facts.Fact]) -> None:
    @given(fact=FACTS.get(kind, built(kind)), at=TIMES)
    @MANY
    def comes_back(fact: facts.Fact, at: datetime) -> None:
        event = NewEvent("e-1", kind.__name__, 1, at, fact.model_dump(mode="json"))
        found = read_event(1, stored(write_event("order#1", 1, event)), {})
        assert (facts.read_fact(found.type, found.data), found.at) == (fact, at)

    comes_back()


@given(kept=ORDERS)
@MANY
def test_the_state_in_a_snapshot(kept: Order) -> None:
    assert order_store._restore(unpack(pack(order_store._dump(kept)))) == kept


@given(kept=ORDERS)
@MANY
def test_a_summary_row(kept: Order) -> None:
    row = stored(order_store._summary_item(kept))
    assert row == order_store._summary_item(kept)
    told = order_store._summary(row)
    names = ("status", "payment_status", "reason", "total", "placed_at", "updated_at", "version")
    assert [getattr(told, name) for name in names] == [getattr(kept, name) for name in names]


@given(kept=SHIPMENTS)
@MANY
def test_a_shipment(kept: Shipment) -> None:
    assert shipping_store._shipment(stored(shipping_store._item(kept, 1))) == kept


@given(kept=built(Payment, amount=MONEY, created_at=TIMES), now=TIMES)
@MANY
def test_a_payment(kept: Payment, now: datetime) -> None:
    assert payment_store._payment(stored(payment_store._payment_item(kept, now))) == kept


@given(kept=built(Refund, amount=MONEY, at=TIMES))
@MANY
def test_a_refund(kept: Refund) -> None:
    assert payment_store._refund(stored(payment_store._refund_item(kept))) == kept


@given(kept=built(Charge, status=st.sampled_from(ChargeStatus), amount=MONEY), now=TIMES)
@MANY
def test_a_stray_charge(kept: Charge, now: datetime) -> None:
    """Values that the provider is asked for each time are not stored."""
    found = payment_store._stray(stored(payment_store._stray_item(kept, now)))
    assert found == Charge(kept.charge_id, kept.reference, kept.status, kept.amount)


@given(begun=RESERVATIONS, moved=RESERVATIONS, now=TIMES)
@MANY
def test_a_reservation(begun: Reservation, moved: Reservation, now: datetime) -> None:
    """Its first record and the record of a later step: the order and its lines do not change."""
    new = Reservation(begun.order_id, begun.lines, state=State.NEW)
    item = inventory_store._reservation_write(Step(new, begun), now).parameters["Item"]
    assert inventory_store._reservation(from_item(item)) == begun

    later = Reservation(**vars(moved) | {"order_id": begun.order_id, "lines": begun.lines})
    update = inventory_store._reservation_write(Step(Reservation("o", revision=1), later), now).parameters
    changed = {
        name.removeprefix("#"): update["ExpressionAttributeValues"][f":{name.removeprefix('#')}"]
        for name in update["ExpressionAttributeNames"]
    }
    assert inventory_store._reservation(from_item(item | changed)) == later


@given(kept=built(Notification, created_at=TIMES, claimed_until=st.none()))
@MANY
def test_a_notification(kept: Notification) -> None:
    assert notification_store._notification(stored(notification_store._item(kept))) == kept


def test_the_clock_reads_no_more_than_is_stored() -> None:
    """One reading may be a whole millisecond by chance, a thousand are not."""
    assert {utc_now().microsecond % 1000 for _ in range(1000)} == {0}


def test_time_is_read_by_the_clock_alone() -> None:
    """Another source would have microseconds, which no table keeps."""
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "layers/common/mercato")
        for path in (ROOT / folder).rglob("*.py")
        if _reads_time(path)
    }
    assert readers == {"layers/common/mercato/clock.py"}


def _reads_time(path: Path) -> bool:
    text = path.read_text()
    if "now" not in text and "today" not in text:
        return False
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr in ("now", "utcnow", "today") for call in calls)
