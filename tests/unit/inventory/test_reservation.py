"""The steps of a reservation, one chunk at a time."""

from __future__ import annotations

import pytest

from inventory.domain import Line, Movement, OutOfStock, Shortage, UnknownProduct
from inventory.reservation import (
    LINES_PER_CHUNK,
    AlreadyShipped,
    NotReserved,
    Reservation,
    ReservationReleased,
    State,
    hand_over_next,
    hold_next,
    refused,
    release_next,
)


def of_lines(count: int, **state: object) -> Reservation:
    lines = tuple(Line(f"p-{number:03}", 2) for number in range(count))
    return Reservation("o-1", lines, **state)  # type: ignore[arg-type]


def reserved(count: int) -> Reservation:
    found = of_lines(count)
    while found.state is not State.RESERVED:
        found = hold_next(found, LINES_PER_CHUNK).after
    return found


def test_a_small_order_is_reserved_in_one_step() -> None:
    step = hold_next(of_lines(2), LINES_PER_CHUNK)
    assert (step.after.state, step.after.held, step.after.revision) == (State.RESERVED, 2, 1)
    assert step.movements == (Movement("p-000", reserved=2), Movement("p-001", reserved=2))


def test_a_large_order_holds_each_line_once_over_its_chunks() -> None:
    found, moved, states = of_lines(265), [], []
    while found.state is not State.RESERVED:
        step = hold_next(found, LINES_PER_CHUNK)
        moved += [movement.product_id for movement in step.movements]
        found = step.after
        states.append(found.state)
    assert states == [State.RESERVING] * 5 + [State.RESERVED]
    assert moved == [line.product_id for line in found.lines]


@pytest.mark.parametrize("lines", [1, LINES_PER_CHUNK, LINES_PER_CHUNK + 1, 265, 500])
def test_a_release_gives_back_exactly_what_is_held(lines: int) -> None:
    found, moved = reserved(lines), []
    while found.state is not State.RELEASED:
        step = release_next(found, LINES_PER_CHUNK, "payment-declined")
        moved += [(movement.product_id, movement.reserved) for movement in step.movements]
        found = step.after
    assert sorted(moved) == [(line.product_id, -2) for line in found.lines]
    assert found.reason == "payment-declined"


def test_a_release_of_what_was_never_reserved_moves_nothing_and_is_final() -> None:
    step = release_next(Reservation("o-1"), LINES_PER_CHUNK, "cancelled")
    assert (step.after.state, step.movements) == (State.RELEASED, ())


def test_the_first_reason_of_a_release_stays() -> None:
    first = release_next(reserved(60), LINES_PER_CHUNK, "payment-declined").after
    assert first.state is State.RELEASING
    assert release_next(first, LINES_PER_CHUNK, "refused").after.reason == "payment-declined"


def test_goods_leave_chunk_by_chunk() -> None:
    first = hand_over_next(reserved(60), LINES_PER_CHUNK)
    second = hand_over_next(first.after, LINES_PER_CHUNK)
    assert (first.after.state, second.after.state) == (State.SHIPPING, State.SHIPPED)
    assert first.movements[0] == Movement("p-000", on_hand=-2, reserved=-2)
    assert [len(step.movements) for step in (first, second)] == [LINES_PER_CHUNK, 60 - LINES_PER_CHUNK]


def test_what_is_leaving_cannot_be_released() -> None:
    with pytest.raises(AlreadyShipped):
        release_next(hand_over_next(reserved(60), LINES_PER_CHUNK).after, LINES_PER_CHUNK, "cancelled")


@pytest.mark.parametrize("state", [State.RESERVING, State.RELEASING, State.RELEASED])
def test_only_what_is_reserved_can_leave(state: State) -> None:
    with pytest.raises(NotReserved):
        hand_over_next(of_lines(2, state=state), LINES_PER_CHUNK)


def test_a_released_reservation_says_why_it_is_no_more() -> None:
    assert isinstance(refused(of_lines(1, state=State.RELEASED, reason="cancelled")), ReservationReleased)
    assert isinstance(refused(of_lines(1, refusal=(Shortage("p-000", 2, 1),))), OutOfStock)
    unknown = refused(of_lines(2, refusal=(Shortage("p-000", 2, 1), Shortage("p-001", 2, None))))
    assert isinstance(unknown, UnknownProduct)
    assert unknown.product_ids == ("p-001",)
