"""A customer cancels at any moment of an order's way, and everything that can befall the undoing befalls it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

import pytest

from orders.domain import OrderNotCancellable
from orders.order import Status
from tests.chaos.books import disagreements
from tests.chaos.cases import Story, Tally
from tests.chaos.faults import UNDO, Fault, faults_of
from tests.chaos.shop import Mall, Shop
from tests.chaos.tables import Stretch

Record = Callable[[str, object], None]
SHARDS = 4
AT_CAPTURE = 7  # the write of a good order at which the saga is capturing


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


def play_all(mall: Mall, name: str, faults: Sequence[tuple[Fault, ...]], writes: Iterable[int], record: Record) -> None:
    """Events at once: the cancellation runs beside the saga."""
    tally, failed, ends = Tally(name), [], set()
    for hit in faults:
        for write in writes:
            shop, order_id, _ = play(mall, write, hit, eager=True)
            tally.cases += 1
            tally.reached += shop.injector.met == set(hit)
            order = shop.orders.load(order_id)
            assert order
            ends.add(order.status)
            wrong = disagreements(shop, order_id)
            if wrong:
                tally.failures += 1
                failed.append(f"cancelled before write {write}; {hit}\n    " + "\n    ".join(wrong))
    record("tally", vars(tally))
    assert not failed, f"{len(failed)} of {tally.cases} failed:\n" + "\n".join(failed[:8])
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
    play_all(mall, "cancelled before each write", [()], range(writes), record_property)


def test_each_fault_in_the_undoing_a_sample(mall: Mall, record_property: Record) -> None:
    faults = [(fault,) for task in UNDO for fault in faults_of(task)]
    play_all(mall, "cancelled, faults in the undoing", faults[::2], [AT_CAPTURE], record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_each_fault_in_the_undoing_at_each_moment(mall: Mall, record_property: Record, shard: int) -> None:
    *_, writes = play(mall, -1, (), eager=True)
    faults = [(fault,) for task in UNDO for fault in faults_of(task)]
    play_all(mall, "cancelled, faults in the undoing", faults[shard::SHARDS], range(writes), record_property)
