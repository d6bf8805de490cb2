"""A customer cancels before each write of an order, and every fault is injected into the undo."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from orders.domain import OrderNotCancellable
from orders.order import Status
from tests.chaos.books import disagreements
from tests.chaos.cases import Outcome, Record, Story, play_all, with_each_trait
from tests.chaos.faults import UNDO, Fault, faults_of
from tests.chaos.shop import Mall, Shop
from tests.chaos.tables import Stretch
from tests.kit.state_machine import NothingCame

SEED = 20261129
SHARDS = 4
FAULTS = [fault for task in UNDO for fault in faults_of(task)]
AT_CAPTURE = 7  # the write of a good order during which the saga captures the payment


def play(mall: Mall, write: int, faults: tuple[Fault, ...], *, eager: bool) -> tuple[Shop, str, int]:
    shop = mall.open()
    order_id = shop.place(*Story.GOOD.value)
    shop.world.calls.clear()
    way = Stretch()

    def cancel() -> None:
        with contextlib.suppress(OrderNotCancellable):
            shop.cancel(order_id)

    if write >= 0:
        way.run_before(write, cancel)
    with shop.watch.counting(way):
        shop.run(order_id, faults, eager=eager)
    return shop, order_id, way.writes


@dataclass(frozen=True)
class Cancelled:
    """A cancellation before a write of the order, with the faults of its undo."""

    write: int
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return f"cancelled before write {self.write}; {'; '.join(map(str, self.faults))}"


def play_cancelled(mall: Mall, name: str, cases: Iterable[Cancelled], record: Record) -> None:
    """Plays the cases with eager events, so that the cancellation runs concurrently with the saga."""
    ends = set()

    def play_one(case: Cancelled) -> Outcome:
        try:
            shop, order_id, _ = play(mall, case.write, case.faults, eager=True)
        except NothingCame:
            return True, ["the saga or its cancellation never ended"]
        order = shop.orders.load(order_id)
        assert order
        ends.add(order.status)
        return shop.injector.met == set(case.faults), disagreements(shop, order_id)

    play_all(name, cases, play_one, record)
    assert Status.CANCELLED in ends


def test_before_the_saga_has_begun_nothing_is_reserved_or_charged(mall: Mall) -> None:
    shop = mall.open()
    order_id = shop.place(*Story.GOOD.value)
    shop.cancel(order_id)
    shop.bus.deliver()
    shop.finish_cancellation(order_id)
    order = shop.orders.load(order_id)
    assert order
    assert (order.status, order.reason) == (Status.CANCELLED, "cancelled-by-customer")
    assert "ReserveInventory" not in shop.world.calls
    assert disagreements(shop, order_id) == []


def test_before_each_write_of_a_good_order(mall: Mall, record_property: Record) -> None:
    *_, writes = play(mall, -1, (), eager=True)
    play_cancelled(mall, "cancelled before each write", map(Cancelled, range(writes)), record_property)


def test_each_fault_in_the_undoing_a_sample(mall: Mall, record_property: Record) -> None:
    """A sample that has each kind of fault, and each step with a fault that passes and with one that lasts."""

    def traits(case: Cancelled) -> Iterator[object]:
        (fault,) = case.faults
        yield from ((fault.kind, fault.lasting), (fault.task, fault.lasting))

    cases = with_each_trait([Cancelled(AT_CAPTURE, (fault,)) for fault in FAULTS], traits, SEED)
    play_cancelled(mall, "cancelled, faults in the undoing", cases, record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_each_fault_in_the_undoing_at_each_moment(mall: Mall, record_property: Record, shard: int) -> None:
    *_, writes = play(mall, -1, (), eager=True)
    cases = [Cancelled(write, (fault,)) for fault in FAULTS[shard::SHARDS] for write in range(writes)]
    play_cancelled(mall, "cancelled, faults in the undoing", cases, record_property)
