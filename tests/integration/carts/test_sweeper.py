from __future__ import annotations

from typing import Any

import pytest

from carts.idle import IdleCart, IdleCarts
from carts.usecases import cart_of
from mercato.errors import TransientError
from mercato.invocation import deadline
from tests.integration.interrupter import Interrupter

ABANDONED = ("cart.abandoned", {"cart_id": cart_of("ada"), "customer_id": "ada"})


def test_a_cart_left_for_a_day_is_announced_once(service: Any) -> None:
    service.put("lantern", 1)
    service.wait(hours=23, minutes=59)
    assert service.sweep() == 0

    service.wait(minutes=1)

    assert [service.sweep() for _ in range(3)] == [1, 0, 0]
    assert service.announced() == [ABANDONED]


@pytest.mark.parametrize(("days", "waited"), [(3, 3), (0, 1), (30, 30)])
def test_the_shop_says_after_how_many_days(
    service: Any, monkeypatch: pytest.MonkeyPatch, days: int, waited: int
) -> None:
    monkeypatch.setenv("CART_REMINDER_DAYS", str(days))
    service.put("lantern", 1)
    service.wait(days=waited, minutes=-1)
    assert service.sweep() == 0

    service.wait(minutes=1)

    assert service.sweep() == 1


def test_a_touch_begins_the_day_anew(service: Any) -> None:
    service.put("lantern", 1)
    service.wait(hours=20)
    service.put("mug", 1)
    service.wait(hours=20)

    assert service.sweep() == 0
    assert service.announced() == []


def test_a_cart_that_is_left_again_is_announced_again(service: Any) -> None:
    service.put("lantern", 1)
    service.wait(hours=25)
    service.sweep()
    service.put("lantern", 2)
    service.wait(hours=25)

    assert service.sweep() == 1
    assert service.announced() == [ABANDONED, ABANDONED]


def test_neither_an_empty_nor_an_ordered_nor_a_guests_cart_is_announced(service: Any) -> None:
    service.put("lantern", 1)
    service.call("DELETE", "/mine/items/lantern")
    service.put("lantern", 1, user="bob")
    service.is_ordered("lantern", at=service.now, user="bob")
    service.open_guest_cart(lantern=1)
    service.wait(hours=25)

    assert service.sweep() == 0
    assert service.announced() == service.announced("bob") == []


def test_many_carts_of_several_days_are_found_in_one_sweep(service: Any) -> None:
    for number in range(12):
        service.put("mug", 1, user=f"user-{number}")
        service.wait(hours=14)
    service.wait(hours=11)

    assert service.sweep() == 12
    assert all(len(service.announced(f"user-{number}")) == 1 for number in range(12))


def test_a_cart_that_is_touched_while_it_is_swept_is_not_announced(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.put("lantern", 1)
    service.wait(hours=25)
    announce = IdleCarts.announce

    def interrupted(idle: IdleCarts, *arguments: Any) -> bool:
        service.put("mug", 1)
        return announce(idle, *arguments)

    monkeypatch.setattr(IdleCarts, "announce", interrupted)

    assert service.sweep() == 0
    assert service.announced() == []


@pytest.mark.parametrize("call", range(6))
def test_a_cart_that_is_ordered_while_it_is_swept_is_not_announced_after_that(service: Any, call: int) -> None:
    seen = service.put("lantern", 1)
    service.wait(hours=25)
    (found,) = IdleCarts(service.table).untouched_since(service.now)
    interrupter, before = Interrupter(), list[int]()

    def order() -> None:
        before.append(len(service.announced()))
        named = {"id": seen["cart_id"], "version": seen["version"]}
        service.is_ordered("lantern", at=service.now, cart=named)

    interrupter.at(call, order)
    IdleCarts(service.table).announce(found, service.now)
    interrupter.act = None

    assert service.announced() == ([ABANDONED] if before in ([], [1]) else [])
    assert service.sweep() == 0


def test_two_sweepers_at_once_announce_a_cart_once(service: Any) -> None:
    service.put("lantern", 1)
    service.wait(hours=25)
    idle = IdleCarts(service.table)
    (found,) = idle.untouched_since(service.now)

    assert [idle.announce(found, service.now) for _ in range(2)] == [True, False]
    assert service.announced() == [ABANDONED]


def test_a_cart_that_cannot_be_announced_keeps_no_other_from_it(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        service.put("mug", 1, user=f"user-{number}")
    service.wait(hours=25)
    announce = IdleCarts.announce

    def refusing(idle: IdleCarts, cart: IdleCart, *rest: Any) -> bool:
        if cart.customer_id == "user-2":
            raise TransientError("not now")
        return announce(idle, cart, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(IdleCarts, "announce", refusing)
        assert service.sweep() == 5
    assert service.announced("user-2") == []
    assert service.sweep() == 1
    assert len(service.announced("user-2")) == 1


def test_a_run_that_ends_in_a_cart_is_followed_by_one_that_begins_behind_it(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        service.put("mug", 1, user=f"user-{number}")
        service.wait(hours=9)
    service.wait(hours=25)
    announce = IdleCarts.announce

    def dying(idle: IdleCarts, cart: IdleCart, *rest: Any) -> bool:
        if cart.customer_id in ("user-0", "user-3"):
            raise KeyError("a defect of this cart alone")
        return announce(idle, cart, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(IdleCarts, "announce", dying)
        for _ in range(3):
            with pytest.raises(KeyError):
                service.sweep()
    told = [bool(service.announced(f"user-{number}")) for number in range(6)]
    assert told == [False, True, True, False, True, True]
    assert service.sweep() == 2


def test_a_run_without_time_leaves_the_rest_to_the_next(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        service.put("mug", 1, user=f"user-{number}")
    service.wait(hours=25)
    with monkeypatch.context() as patch:
        left = iter([60.0, 60.0, 14.0])
        patch.setattr(deadline, "left", lambda: next(left))
        assert service.sweep() == 2
    assert service.sweep() == 4
