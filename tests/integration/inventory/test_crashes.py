"""The process ends at every possible point, and other processes act concurrently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inventory import reservation
from inventory.domain import OutOfStock
from inventory.reservation import ReservationReleased
from mercato.errors import TransientError

CHUNKS = 3
MANY = {"p0": 1, "p1": 1, "p2": 1, "p3": 1, "p4": 1}
LAST = "p4"


@pytest.fixture
def stocked(shop: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Five products in chunks of two lines, so an order of all of them takes three transactions."""
    monkeypatch.setattr(reservation, "LINES_PER_CHUNK", 2)
    shop.stocked(**dict.fromkeys(MANY, 20))
    return shop


def totals(shop: Any) -> tuple[int, int]:
    counts = [shop.counts(product_id) for product_id in MANY]
    return sum(count[0] for count in counts), sum(count[1] for count in counts)


def dies(faults: Any, at: int, after_effect: bool, act: Callable[[], object]) -> None:
    faults.die_at, faults.after_effect, faults.count = at, after_effect, 0
    with pytest.raises(TransientError):
        act()
    faults.die_at = -1


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(CHUNKS))
def test_a_reserve_that_dies_anywhere_goes_on_when_tried_again(
    stocked: Any, faults: Any, at: int, after_effect: bool
) -> None:
    dies(faults, at, after_effect, lambda: stocked.reserve("o-1", **MANY))
    stocked.reserve("o-1", **MANY)
    assert totals(stocked) == (100, 5)
    assert [kind for kind, _ in stocked.events("o-1")] == ["inventory.reserved"]


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(CHUNKS))
def test_a_reserve_that_dies_anywhere_leaks_nothing_when_released(
    stocked: Any, faults: Any, at: int, after_effect: bool
) -> None:
    dies(faults, at, after_effect, lambda: stocked.reserve("o-1", **MANY))
    stocked.release("o-1")
    with pytest.raises(ReservationReleased):
        stocked.reserve("o-1", **MANY)
    assert totals(stocked) == (100, 0)
    was_reserved = at == CHUNKS - 1 and after_effect
    assert [kind for kind, _ in stocked.events("o-1")] == (
        ["inventory.reserved", "inventory.released"] if was_reserved else []
    )


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(CHUNKS))
def test_a_release_that_dies_anywhere_is_finished_by_the_next(
    stocked: Any, faults: Any, at: int, after_effect: bool
) -> None:
    stocked.reserve("o-1", **MANY)
    dies(faults, at, after_effect, lambda: stocked.release("o-1"))
    stocked.release("o-1")
    assert totals(stocked) == (100, 0)
    assert [kind for kind, _ in stocked.events("o-1")] == ["inventory.reserved", "inventory.released"]


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(CHUNKS))
def test_shipping_that_dies_anywhere_takes_the_goods_once(
    stocked: Any, faults: Any, at: int, after_effect: bool
) -> None:
    stocked.reserve("o-1", **MANY)
    faults.die_at, faults.after_effect, faults.count = at, after_effect, 0
    assert stocked.ship("o-1") == [{"itemIdentifier": "m-1"}]
    faults.die_at = -1
    assert stocked.ship("o-1") == []
    assert stocked.ship("o-1") == []
    assert totals(stocked) == (95, 0)
    assert stocked.state("o-1") == "shipped"


@pytest.mark.parametrize(("at", "after_effect"), [(2, False), (3, False), (3, True), (4, False), (4, True)])
def test_a_refusal_in_the_last_chunk_undoes_the_others_wherever_it_dies(
    stocked: Any, faults: Any, at: int, after_effect: bool
) -> None:
    """The transactions: two chunks are reserved, the third is refused, two are undone."""
    dies(faults, at, after_effect, lambda: stocked.reserve("o-1", **(MANY | {LAST: 21})))
    with pytest.raises(OutOfStock) as refused:
        stocked.reserve("o-1", **(MANY | {LAST: 21}))
    assert refused.value.extra["products"] == [{"product_id": LAST, "requested": 21, "available": 20}]
    assert totals(stocked) == (100, 0)
    assert stocked.state("o-1") == "released"
    assert stocked.events("o-1") == []


@pytest.mark.parametrize("at", range(CHUNKS))
def test_a_release_in_the_middle_of_a_reserve_wins(stocked: Any, faults: Any, at: int) -> None:
    faults.count, faults.die_at, faults.meanwhile = 0, at, lambda: stocked.release("o-1")
    with pytest.raises(ReservationReleased):
        stocked.reserve("o-1", **MANY)
    assert totals(stocked) == (100, 0)


@pytest.mark.parametrize("at", range(CHUNKS))
def test_two_reserves_of_one_order_at_once_hold_it_once(stocked: Any, faults: Any, at: int) -> None:
    faults.count, faults.die_at, faults.meanwhile = 0, at, lambda: stocked.reserve("o-1", **MANY)
    assert stocked.reserve("o-1", **MANY)["order_id"] == "o-1"
    assert totals(stocked) == (100, 5)
    assert len(stocked.events("o-1")) == 1


@pytest.mark.parametrize("at", range(CHUNKS))
def test_two_releases_at_once_give_back_once(stocked: Any, faults: Any, at: int) -> None:
    stocked.reserve("o-1", **MANY)
    faults.count, faults.die_at, faults.meanwhile = 0, at, lambda: stocked.release("o-1")
    assert stocked.release("o-1") == {"order_id": "o-1"}
    assert totals(stocked) == (100, 0)


def test_the_last_goods_go_to_whoever_comes_first(stocked: Any, faults: Any) -> None:
    faults.count, faults.die_at, faults.meanwhile = 0, 2, lambda: stocked.reserve("o-2", **{LAST: 20})
    with pytest.raises(OutOfStock):
        stocked.reserve("o-1", **MANY)
    assert totals(stocked) == (100, 20)
    assert (stocked.state("o-1"), stocked.state("o-2")) == ("released", "reserved")


def test_a_refusal_that_another_attempt_has_overtaken_is_forgotten(shop: Any, faults: Any) -> None:
    """The first attempt is about to write its refusal. Stock arrives, and a second attempt of the same order reserves
    everything.
    """
    shop.stocked(a=1)

    def second_attempt() -> None:
        shop.adjust("a", 10)
        shop.reserve("o-1", a=2)

    faults.count, faults.die_at, faults.meanwhile = 0, 1, second_attempt
    assert shop.reserve("o-1", a=2)["order_id"] == "o-1"
    assert shop.counts("a") == (11, 2, 9)


def test_an_order_over_two_transactions_is_reserved_shipped_and_proven(shop: Any) -> None:
    """Every line crosses a threshold, so the first transaction has the largest possible size."""
    products = [f"q{number:02}" for number in range(60)]
    for product_id in products:
        shop.publish("product.created", product_id, {"product_id": product_id})
    for some in (products[:40], products[40:]):
        parts = [{"product_id": product_id, "delta": 7, "reason": "delivery"} for product_id in some]
        assert shop.call("POST", "/inventory/adjustments", {"adjustments": parts}, key=some[0])[0] == 201
    shop.reserve("o-1", **dict.fromkeys(products, 2))
    assert shop.state("o-1") == "reserved"
    assert shop.ship("o-1") == []
    assert {shop.counts(product_id) for product_id in products} == {(5, 0, 5)}
    assert [kind for kind, _ in shop.events("q59")] == ["inventory.restocked", "inventory.low_stock"]
