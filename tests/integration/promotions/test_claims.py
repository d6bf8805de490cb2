"""An order's claim on coupons: whole or not at all, once per order, freed exactly once, and final once confirmed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.store.dynamo import Table, Write
from promotions.claim import ClaimExpired, ClaimReleased, CouponExhausted, CouponUsedUp, NotClaimed
from promotions.usecases import UnknownCoupon
from tests.integration.promotions.conftest import COUPONS, Desk, items


def test_a_claim_is_counted_once_however_often_it_is_made(desk: Desk) -> None:
    desk.add(limit=1, limit_per_customer=1)
    for _ in range(3):
        desk.claim("ord-1")
    desk.keep("ord-1")
    desk.claim("ord-1")
    assert (desk.used(), desk.states()) == (1, {"ord-1": "final"})


def test_of_several_coupons_all_are_claimed_or_none(desk: Desk) -> None:
    desk.add(limit=5)
    desk.add(code="LAST", limit=1)
    desk.claim("ord-1", "LAST")
    with pytest.raises(CouponExhausted):
        desk.claim("ord-2", "TEN", "LAST")
    assert (desk.used("TEN"), desk.used("LAST"), desk.states()) == (0, 1, {"ord-1": "claimed"})
    with pytest.raises(UnknownCoupon):
        desk.claim("ord-3", "TEN", "NOBODY")


def test_a_customer_has_no_more_uses_than_the_limit_of_each(desk: Desk) -> None:
    desk.add(limit_per_customer=2)
    desk.claim("ord-1")
    desk.claim("ord-2")
    with pytest.raises(CouponUsedUp):
        desk.claim("ord-3")
    desk.claim("ord-4", customer="account:bob")
    desk.release("ord-1")
    desk.claim("ord-3")
    assert desk.used() == 3


@pytest.mark.parametrize("finish", [False, True])
def test_a_release_frees_once_and_no_late_claim_takes_it_again(desk: Desk, finish: bool) -> None:
    desk.add(limit=1, limit_per_customer=1)
    desk.claim("ord-1")
    if finish:
        desk.keep("ord-1")
    for _ in range(2):
        desk.release("ord-1")
    with pytest.raises(ClaimReleased):
        desk.claim("ord-1")
    with pytest.raises(ClaimReleased):
        desk.keep("ord-1")
    assert (desk.used(), desk.states()) == (0, {"ord-1": "released"})
    desk.claim("ord-2")
    assert desk.used() == 1


def test_a_release_that_comes_first_is_a_tombstone(desk: Desk) -> None:
    desk.add()
    desk.release("ord-1")
    with pytest.raises(ClaimReleased):
        desk.claim("ord-1")
    with pytest.raises(NotClaimed):
        desk.keep("ord-2")
    assert desk.used() == 0


def test_a_claim_that_is_not_final_is_freed_after_three_quarters_of_an_hour(desk: Desk) -> None:
    desk.add(limit=2)
    desk.claim("ord-1")
    desk.claim("ord-2")
    desk.keep("ord-2")
    desk.wait(minutes=44, seconds=59)
    assert desk.sweep() == {"released": 0, "left": 0}
    desk.wait(seconds=1)
    assert desk.sweep() == {"released": 1, "left": 0}
    assert desk.sweep() == {"released": 0, "left": 0}
    assert (desk.used(), desk.states()) == (1, {"ord-1": "released", "ord-2": "final"})
    with pytest.raises(ClaimExpired):
        desk.keep("ord-1")


def test_a_claim_that_becomes_final_while_the_sweeper_runs_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add()
    desk.claim("ord-1")
    desk.wait(hours=1)
    interrupt(monkeypatch, 1, lambda: desk.keep("ord-1"))  # write 0 is the sweeper's turn
    assert desk.sweep() == {"released": 0, "left": 0}
    assert desk.states() == {"ord-1": "final"}


def test_uses_without_a_limit_are_spread_over_several_counters(desk: Desk) -> None:
    desk.add()
    for number in range(30):
        desk.claim(f"ord-{number}")
    counters = [item["used"] for item in items(desk.table.name) if item["sk"].startswith("USES#")]
    assert (len(counters), sum(counters), desk.used()) == (8, 30, 30)
    assert max(counters) < 12


def test_an_order_keeps_its_claim_when_staff_ends_or_narrows_the_coupon(desk: Desk) -> None:
    desk.add(limit=5)
    desk.claim("ord-1")
    desk.call("PATCH", f"{COUPONS}/TEN", {"version": 1, "limit": 1})
    desk.call("DELETE", f"{COUPONS}/TEN")
    desk.keep("ord-1")
    with pytest.raises(CouponExhausted):
        desk.claim("ord-2")
    assert desk.used() == 1


def interrupt(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object], *, after: bool = False) -> None:
    """Runs an act once, just before or after the table's write with this number."""
    count, real = [0], Table._call

    def call(self: Table, operation: str, **parameters: Any) -> Any:
        if operation not in ("put_item", "update_item", "delete_item", "transact_write_items"):
            return real(self, operation, **parameters)
        count[0] += 1
        if count[0] != number + 1:
            return real(self, operation, **parameters)
        if not after:
            act()
        answer = real(self, operation, **parameters)
        if after:
            act()
        return answer

    monkeypatch.setattr(Table, "_call", call)


def die() -> None:
    raise TransientError("the process ends")


STEPS: dict[str, Callable[[Desk], object]] = {
    "claim": lambda desk: desk.claim("ord-1"),
    "keep": lambda desk: desk.keep("ord-1"),
    "release": lambda desk: desk.release("ord-1"),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_dies_before_or_after_its_write_is_done_once_by_its_retry(
    desk: Desk, step: str, after: bool
) -> None:
    desk.add(limit=3, limit_per_customer=3)
    if step != "claim":
        desk.claim("ord-1")
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, 0, die, after=after)
        with pytest.raises(TransientError):
            STEPS[step](desk)
    STEPS[step](desk)
    assert desk.states() == {"ord-1": {"claim": "claimed", "keep": "final", "release": "released"}[step]}
    assert desk.used() == (0 if step == "release" else 1)


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
def test_two_steps_of_one_order_at_once_leave_the_books_right(desk: Desk, first: str, second: str) -> None:
    desk.add(limit=3, limit_per_customer=3)
    if "claim" not in (first, second):
        desk.claim("ord-1")

    def other() -> None:
        with suppress(ClaimReleased, NotClaimed):
            STEPS[second](desk)

    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, 0, other)
        with suppress(ClaimReleased, NotClaimed):
            STEPS[first](desk)
    state = desk.states().get("ord-1")  # None where it was made final before it was claimed, and so refused
    assert desk.used() == (1 if state in ("claimed", "final") else 0)
    if "release" in (first, second):
        assert state == "released"


def test_every_write_of_a_claim_is_conditional_on_its_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add(limit=3)
    seen: list[list[Write]] = []
    transact = Table.transact

    def watch(self: Table, writes: list[Write], **more: Any) -> None:
        seen.append(writes)
        transact(self, writes, **more)

    monkeypatch.setattr(Table, "transact", watch)
    for step in STEPS.values():
        step(desk)
    assert [len(writes) for writes in seen] == [2, 1, 2]
    assert all("ConditionExpression" in writes[0].parameters for writes in seen)
