"""A reservation: an order's lines, held in chunks that each fit into one transaction.

    reserving ──► reserved ──► shipping ──► shipped
        │             │
        └──► releasing ┴──► released

`held` counts the chunks that hold their stock, `handed_over` those whose goods have left. A step moves one chunk and
the record together, so that whoever finds the record, after any crash, knows what is done and what is next. `released`
is also the tombstone of a release that came first, and of a refusal: no later step leads out of it.

Until it is kept, a reservation has a time at which it expires: then anybody may release it, whatever became of the saga
that made it. The saga keeps it before the order is confirmed; from there on only an undo or the parcel ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from inventory.domain import Line, Movement, OutOfStock, Shortage, UnknownProduct, hand_over, hold, let_go
from mercato.errors import Conflict, DomainError, NotFound

# Each line may need two writes (its stock, and its event or ledger entry), plus the record and the order's own event.
LINES_PER_CHUNK = 48
# Longer than the saga's steps up to KeepReservation can take; see the time budget in infra/order_saga.asl.json.
RESERVED_FOR = timedelta(minutes=30)
EXPIRED = "expired"


class State(StrEnum):
    NEW = "new"
    RESERVING = "reserving"
    RESERVED = "reserved"
    RELEASING = "releasing"
    RELEASED = "released"
    SHIPPING = "shipping"
    SHIPPED = "shipped"


class ReservationReleased(Conflict):
    """The order's stock was released; a reserve that comes late must not take it again."""


class ReservationExpired(Conflict):
    """Nobody kept the reservation in time, and its goods are free for others again."""


class AlreadyShipped(Conflict):
    """The goods have left, or are leaving: there is nothing to release."""


class NotReserved(NotFound):
    """The order that shipped holds no stock."""


@dataclass(frozen=True)
class Reservation:
    """`revision` is 0 until it is stored; every step adds one. `refusal` says why nothing could be reserved.

    `expires_at` is None for one that is kept.
    """

    order_id: str
    lines: tuple[Line, ...] = ()
    state: State = State.NEW
    held: int = 0
    handed_over: int = 0
    revision: int = 0
    was_reserved: bool = False
    reason: str = ""
    refusal: tuple[Shortage, ...] = ()
    expires_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        return self.state in (State.RELEASED, State.SHIPPING, State.SHIPPED)

    @property
    def is_kept(self) -> bool:
        return self.state in (State.SHIPPING, State.SHIPPED) or (
            self.state is State.RESERVED and self.expires_at is None
        )

    @property
    def chunks(self) -> int:
        return -(-len(self.lines) // LINES_PER_CHUNK)

    def chunk(self, index: int) -> tuple[Line, ...]:
        return self.lines[index * LINES_PER_CHUNK : (index + 1) * LINES_PER_CHUNK]

    @property
    def not_held(self) -> tuple[Line, ...]:
        return self.lines[self.held * LINES_PER_CHUNK :]


@dataclass(frozen=True)
class Step:
    """What one transaction does: the record before and after, and the stock that moves with it."""

    before: Reservation
    after: Reservation
    movements: tuple[Movement, ...] = ()


def hold_next(reservation: Reservation) -> Step:
    held = reservation.held + 1
    done = held == reservation.chunks
    after = replace(
        reservation,
        state=State.RESERVED if done else State.RESERVING,
        held=held,
        revision=reservation.revision + 1,
        was_reserved=done,
    )
    return Step(reservation, after, tuple(hold(line) for line in reservation.chunk(reservation.held)))


def keep(reservation: Reservation) -> Step:
    """It expires no more. One that is released, or is not whole yet, cannot be kept."""
    if reservation.state in (State.RELEASING, State.RELEASED):
        raise refused(reservation)
    if reservation.state is not State.RESERVED:
        raise NotReserved(
            f"The stock of order {reservation.order_id} is {reservation.state}: there is nothing to keep."
        )
    return Step(reservation, replace(reservation, expires_at=None, revision=reservation.revision + 1))


def is_expired(reservation: Reservation, now: datetime) -> bool:
    return reservation.expires_at is not None and reservation.expires_at <= now and not reservation.is_over


def let_go_next(reservation: Reservation, reason: str, refusal: tuple[Shortage, ...] = ()) -> Step:
    """Undo the last chunk that holds. The first reason stays. With none held this only leaves the tombstone."""
    if reservation.state in (State.SHIPPING, State.SHIPPED):
        raise AlreadyShipped(f"Order {reservation.order_id} has shipped; its stock cannot be released.")
    held = max(reservation.held - 1, 0)
    after = replace(
        reservation,
        state=State.RELEASING if held else State.RELEASED,
        held=held,
        revision=reservation.revision + 1,
        reason=reservation.reason or reason,
        refusal=reservation.refusal or refusal,
    )
    lines = reservation.chunk(held) if reservation.held else ()
    return Step(reservation, after, tuple(let_go(line) for line in lines))


def hand_over_next(reservation: Reservation) -> Step:
    if reservation.state not in (State.RESERVED, State.SHIPPING):
        raise NotReserved(f"Order {reservation.order_id} shipped, but its reservation is {reservation.state}.")
    handed_over = reservation.handed_over + 1
    after = replace(
        reservation,
        state=State.SHIPPED if handed_over == reservation.chunks else State.SHIPPING,
        handed_over=handed_over,
        revision=reservation.revision + 1,
    )
    return Step(reservation, after, tuple(hand_over(line) for line in reservation.chunk(reservation.handed_over)))


def refused(reservation: Reservation) -> DomainError:
    """The error of a released reservation: the refusal it was given, the same each time, or that it is over."""
    if not reservation.refusal and reservation.reason == EXPIRED:
        return ReservationExpired("We could not hold the goods of this order any longer. Please order again.")
    if not reservation.refusal:
        return ReservationReleased(f"The stock of order {reservation.order_id} was released ({reservation.reason}).")
    return refusal_of(reservation.refusal)


def refusal_of(short: tuple[Shortage, ...]) -> DomainError:
    unknown = [found.product_id for found in short if found.available is None]
    return UnknownProduct(unknown) if unknown else OutOfStock(short)
