"""Every transaction stays within DynamoDB's limits, whatever its lines are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import pytest

from inventory.domain import Adjustment, Adjustments, Level, Line, Stock, adjust_all
from inventory.product_stock import ProductStock
from inventory.reservation import LINES_PER_CHUNK, Reservation, State, Step, hand_over_next, hold_next, release_next
from inventory.store import InventoryStore
from mercato.store.dynamo import MAX_TRANSACTION, Table, Write


class Recorder:
    """A table that only records each transaction's size, and that no item is in it twice."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def transact(self, writes: list[Write], **_: Any) -> None:
        keys = [(write.parameters.get("Key") or write.parameters["Item"]) for write in writes]
        assert len({(key["pk"]["S"], key["sk"]["S"]) for key in keys}) == len(writes)
        self.sizes.append(len(writes))


def run(
    store: InventoryStore, decide: Callable[[Reservation], Step], found: Reservation, seen: Any, now: Any
) -> Reservation:
    end = {State.RESERVED, State.RELEASED, State.SHIPPED} - {found.state}
    while found.state not in end:
        step = decide(found)
        store.take(step, seen, now)
        found = step.after
    return found


@pytest.mark.parametrize("lines", [1, 48, 49, 96, 97, 265, 500])
def test_no_step_of_an_order_is_larger_than_a_transaction(lines: int, noon: datetime) -> None:
    recorder = Recorder()
    store = InventoryStore(cast(Table, recorder), low_at=5)
    wanted = tuple(Line(f"p-{number:03}", 2) for number in range(lines))
    plenty = {line.product_id: ProductStock(Stock(line.product_id, 7, 0, 1, 1, Level.OK)) for line in wanted}
    scarce = {line.product_id: ProductStock(Stock(line.product_id, 7, 2, 2, 1, Level.LOW)) for line in wanted}
    reserved = run(store, lambda found: hold_next(found, LINES_PER_CHUNK), Reservation("o-1", wanted), plenty, noon)
    run(store, lambda found: hand_over_next(found, LINES_PER_CHUNK), reserved, scarce, noon)
    run(store, lambda found: release_next(found, LINES_PER_CHUNK, "cancelled"), reserved, scarce, noon)
    assert max(recorder.sizes) <= MAX_TRANSACTION
    assert len(recorder.sizes) == 3 * -(-lines // 48)


def test_forty_products_are_restocked_in_one_transaction(noon: datetime) -> None:
    recorder = Recorder()
    store = InventoryStore(cast(Table, recorder), low_at=5)
    parts = tuple(Adjustment(f"p-{number}", 100, "delivery") for number in range(40))
    seen = {part.product_id: ProductStock(Stock(part.product_id)) for part in parts}
    store.adjust(Adjustments("a-1", "f", "u-admin", parts, noon), seen, adjust_all(seen, parts))
    assert recorder.sizes == [81]
