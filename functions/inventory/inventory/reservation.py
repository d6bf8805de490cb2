"""A reservation: an order's lines, held a chunk at a time, as many as fit into one transaction.

    reserving ──► reserved ──► shipping ──► shipped
        │             │
        └──► releasing ┴──► released

`held` counts the lines that hold their stock, `handed_over` those whose goods have left. A step moves some lines and
the record together, so that whoever finds the record, after any crash, knows what is done and what is next. `released`
is also the tombstone of a release that came first, and of a refusal: no later step leads out of it.

Until it is kept, a reservation has a time at which it expires: then anybody may release it, whatever became of the saga
that made it. The saga keeps it before the order is confirmed; from there on only an undo or the parcel ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from inventory.domain import ROOT, Line, Movement, OutOfStock, Shortage, UnknownProduct, hand_over, hold, let_go
from mercato.errors import Conflict, DomainError, NotFound

# Each line may need two writes (its stock, and its event or ledger entry), plus the record and the order's own event.
LINES_PER_CHUNK = 48
# Longer than the saga's steps up to KeepReservation can take; see the time budget in order_saga.asl.json.
RESERVED_FOR = timedelta(minutes=30)
EXPIRED = "expired"

Shares = tuple[tuple[int, int], ...]  # (shard, quantity)


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
    """The reservation expired before it was kept. Its stock is available again."""


class AlreadyShipped(Conflict):
    """The goods have left, or are leaving: there is nothing to release."""


class NotReserved(NotFound):
    """The order that shipped holds no stock."""


@dataclass(frozen=True)
class Reservation:
    """`revision` is 0 until it is stored; every step adds one. `refusal` says why nothing could be reserved.

    `expires_at` is None for one that is kept. `shares`: where a hot product's units were taken from, and how many.
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
    shares: Mapping[str, Shares] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state in (State.RELEASED, State.SHIPPING, State.SHIPPED)

    @property
    def is_kept(self) -> bool:
        return self.state in (State.SHIPPING, State.SHIPPED) or (
            self.state is State.RESERVED and self.expires_at is None
        )

    @property
    def not_held(self) -> tuple[Line, ...]:
        return self.lines[self.held :]


@dataclass(frozen=True)
class Step:
    """What one transaction does: the record before and after, and the stock that moves with it.

    `takes`: the movements are to be placed on the shards that have the goods.
    """

    before: Reservation
    after: Reservation
    movements: tuple[Movement, ...] = ()
    takes: bool = False


def hold_next(reservation: Reservation, most: int) -> Step:
    """The next lines, anywhere: which shard of a hot product they come from is yet to be chosen."""
    lines = reservation.not_held[:most]
    held = reservation.held + len(lines)
    done = held == len(reservation.lines)
    after = replace(
        reservation,
        state=State.RESERVED if done else State.RESERVING,
        held=held,
        revision=reservation.revision + 1,
        was_reserved=done,
    )
    return Step(reservation, after, tuple(hold(line) for line in lines), takes=True)


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


def let_go_next(reservation: Reservation, most: int, reason: str, refusal: tuple[Shortage, ...] = ()) -> Step:
    """Undo the last lines that hold. The first reason stays. With none held this only leaves the tombstone."""
    if reservation.state in (State.SHIPPING, State.SHIPPED):
        raise AlreadyShipped(f"Order {reservation.order_id} has shipped; its stock cannot be released.")
    held = max(reservation.held - most, 0)
    after = replace(
        reservation,
        state=State.RELEASING if held else State.RELEASED,
        held=held,
        revision=reservation.revision + 1,
        reason=reservation.reason or reason,
        refusal=reservation.refusal or refusal,
    )
    lines = reservation.lines[held : reservation.held]
    return Step(reservation, after, _per_share(reservation, lines, let_go))


def hand_over_next(reservation: Reservation, most: int) -> Step:
    if reservation.state not in (State.RESERVED, State.SHIPPING):
        raise NotReserved(f"Order {reservation.order_id} shipped, but its reservation is {reservation.state}.")
    lines = reservation.lines[reservation.handed_over : reservation.handed_over + most]
    handed_over = reservation.handed_over + len(lines)
    after = replace(
        reservation,
        state=State.SHIPPED if handed_over == len(reservation.lines) else State.SHIPPING,
        handed_over=handed_over,
        revision=reservation.revision + 1,
    )
    return Step(reservation, after, _per_share(reservation, lines, hand_over))


def _per_share(
    reservation: Reservation, lines: Iterable[Line], act: Callable[[Line], Movement]
) -> tuple[Movement, ...]:
    """Each line's movements, in the places that it was taken from."""
    return tuple(
        replace(act(Line(line.product_id, quantity)), shard=shard)
        for line in lines
        for shard, quantity in reservation.shares.get(line.product_id, ((ROOT, line.quantity),))
    )


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
