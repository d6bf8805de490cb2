"""The event store's bench runs on a table of its own, which must take what the store writes."""

from __future__ import annotations

from tests.bench.bench_eventstore import measure_list, measure_order


def test_a_short_order_and_a_short_list_are_measured() -> None:
    order, orders = measure_order(12, rounds=1), measure_list(3, rounds=1)
    assert (order["calls"], orders["calls"]) == (1, 1)
    assert order["units"] > 0
