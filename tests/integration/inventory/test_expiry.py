"""Unconfirmed reservations expire after half an hour. A confirmed one never does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from inventory import reservation, usecases
from inventory.reservation import NotReserved, ReservationExpired
from inventory.sweeper import handler
from inventory.wiring import ports
from mercato import clock
from mercato.errors import TransientError
from mercato.invocation import deadline
from tests.kit import aws_events


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def pass_time(self, **by: int) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Clock:
    found = Clock(noon)
    monkeypatch.setattr(clock, "utc_now", lambda: found.now)
    monkeypatch.setattr("inventory.sweeper.utc_now", lambda: found.now)
    return found


@pytest.fixture
def reserved(shop: Any, time: Clock) -> Any:
    shop.stocked(mug=10)
    shop.reserve("o-1", mug=3)
    return shop


def sweep() -> tuple[int, int]:
    answer = handler(aws_events.scheduled_event(), None)
    return answer["released"], answer["left"]


def test_a_reservation_lasts_half_an_hour_and_is_then_released(reserved: Any, time: Clock) -> None:
    time.pass_time(minutes=29, seconds=59)
    assert sweep() == (0, 0)
    assert reserved.counts("mug") == (10, 3, 7)
    time.pass_time(seconds=1)
    assert sweep() == (1, 0)
    assert reserved.counts("mug") == (10, 0, 10)
    assert reserved.events("o-1")[-1][1]["reason"] == "expired"
    assert sweep() == (0, 0)


def test_a_reservation_that_is_kept_never_expires_and_still_ships(reserved: Any, time: Clock) -> None:
    reserved.task("KeepReservation", order_id="o-1")
    reserved.task("KeepReservation", order_id="o-1")
    time.pass_time(days=3)
    assert sweep() == (0, 0)
    assert reserved.ship("o-1") == []
    assert reserved.counts("mug") == (7, 0, 7)


def test_a_saga_that_comes_back_after_the_expiry_is_told_so_at_every_step(reserved: Any, time: Clock) -> None:
    time.pass_time(minutes=30)
    sweep()
    with pytest.raises(ReservationExpired):
        reserved.task("KeepReservation", order_id="o-1")
    with pytest.raises(ReservationExpired):
        reserved.reserve("o-1", mug=3)
    reserved.release("o-1")
    assert reserved.counts("mug") == (10, 0, 10)
    assert [kind for kind, _ in reserved.events("o-1")] == ["inventory.reserved", "inventory.released"]


def test_nothing_is_kept_where_nothing_is_reserved(shop: Any, time: Clock) -> None:
    with pytest.raises(NotReserved):
        shop.task("KeepReservation", order_id="o-1")


def test_a_sweeper_that_was_away_for_days_finds_all(reserved: Any, time: Clock) -> None:
    sweep()
    time.pass_time(days=9)
    assert sweep() == (1, 0)
    assert reserved.counts("mug") == (10, 0, 10)


def test_a_keep_that_comes_between_the_look_and_the_release_wins(reserved: Any, time: Clock, faults: Any) -> None:
    time.pass_time(minutes=31)
    faults.count, faults.die_at = 0, 0
    faults.meanwhile = lambda: usecases.keep("o-1", ports().store, time.now)
    assert sweep() == (0, 0)
    assert reserved.counts("mug") == (10, 3, 7)


def test_a_release_that_comes_between_the_look_and_the_expiry_is_not_repeated(
    reserved: Any, time: Clock, faults: Any
) -> None:
    time.pass_time(minutes=31)
    faults.count, faults.die_at = 0, 0
    faults.meanwhile = lambda: reserved.release("o-1")
    assert sweep() == (0, 0)
    assert reserved.counts("mug") == (10, 0, 10)
    assert [kind for kind, _ in reserved.events("o-1")] == ["inventory.reserved", "inventory.released"]


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(3))
def test_a_sweep_that_dies_anywhere_is_finished_by_the_next(
    shop: Any, time: Clock, faults: Any, monkeypatch: pytest.MonkeyPatch, at: int, after_effect: bool
) -> None:
    monkeypatch.setattr(reservation, "LINES_PER_CHUNK", 1)
    shop.stocked(mug=50, cup=50, pot=50)
    shop.reserve("o-1", mug=1, cup=1, pot=1)
    time.pass_time(minutes=30)
    faults.count, faults.die_at, faults.after_effect = 0, at, after_effect
    assert sweep() == (0, 1)
    faults.die_at = -1
    sweep()
    assert [shop.counts(product) for product in ("mug", "cup", "pot")] == [(50, 0, 50)] * 3
    assert [kind for kind, _ in shop.events("o-1")].count("inventory.released") == 1


class Killed(BaseException):
    """Lambda ended the process."""


def runs_of(orders: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each run from now on time for this many reservations."""
    left = iter([60.0] * orders)
    monkeypatch.setattr(deadline, "left", lambda: next(left, 0.0))


def test_a_run_goes_on_behind_the_reservation_that_the_last_one_began(
    shop: Any, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two oldest always fail, and each run has time for three."""
    shop.stocked(mug=50)
    orders = [f"o-{number}" for number in range(8)]
    for order in orders:
        shop.reserve(order, mug=1)
        time.pass_time(minutes=20)  # so that they expire in different hours
    time.pass_time(minutes=30)
    expire = usecases.expire
    tried: list[str] = []

    def fail_some(order_id: str, *how: Any) -> bool:
        tried.append(order_id)
        if order_id in orders[:2]:
            raise TransientError("a defect of this reservation")
        return expire(order_id, *how)

    monkeypatch.setattr(usecases, "expire", fail_some)
    for _ in range(4):
        runs_of(3, monkeypatch)
        sweep()

    assert shop.counts("mug") == (50, 2, 48)
    assert tried == [*orders, "o-0", "o-1", "o-0"]  # the last run has time left, so it expires each once


def test_a_reservation_that_kills_each_run_does_not_keep_the_others_from_ending(
    shop: Any, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.stocked(mug=50)
    for order in ("o-0", "o-1", "o-2"):
        shop.reserve(order, mug=1)
        time.pass_time(seconds=1)
    time.pass_time(minutes=31)
    expire = usecases.expire

    def die(order_id: str, *how: Any) -> bool:
        if order_id == "o-0":
            raise Killed
        return expire(order_id, *how)

    monkeypatch.setattr(usecases, "expire", die)
    for _ in range(2):
        with pytest.raises(Killed):
            sweep()

    assert shop.counts("mug") == (50, 1, 49)


def test_a_reserve_that_dies_half_way_and_never_comes_back_leaks_nothing(
    shop: Any, time: Clock, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "LINES_PER_CHUNK", 1)
    shop.stocked(mug=50, cup=50)
    faults.count, faults.die_at = 0, 1
    with pytest.raises(TransientError):
        shop.reserve("o-1", mug=1, cup=1)
    faults.die_at = -1
    time.pass_time(minutes=30)
    assert sweep() == (1, 0)
    assert [shop.counts(product) for product in ("mug", "cup")] == [(50, 0, 50)] * 2
    assert shop.events("o-1") == []
