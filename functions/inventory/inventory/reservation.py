"""A reservation: an order's lines, held a chunk at a time, as many as fit into one transaction.

    reserving ──► reserved ──► shipping ──► shipped
        │             │
        └──► releasing ┴──► released

`held` counts the lines whose stock is reserved, `handed_over` those whose goods have shipped. Each step changes the
stock of some lines and the record in one transaction, so that after any crash the record says what is done and what is
next. `released` is also the tombstone of a release that came first, and of a refusal: no step leaves it.

A reservation has an expiry time until it is kept. After that time any process may release it, whatever the state of the
saga. The saga keeps it before the order is confirmed; then only an undo or the parcel ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from inventory.domain import ROOT, Line, Movement, OutOfStock, Shortage, UnknownProduct, hand_over, hold, let_go
from mercato.dataclass import dataclass
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
    """The order's stock was released. A late reserve must not take it again."""


class ReservationExpired(Conflict):
    """The reservation expired before it was kept. Its stock is available again."""


class AlreadyShipped(Conflict):
    """The goods have shipped or are being shipped, so their stock cannot be released."""


class NotReserved(NotFound):
    """The order that shipped holds no stock."""


@dataclass(frozen=True)
class Reservation:
    """`revision` is 0 until it is stored; every step adds one. `refusal` names the lines that could not be reserved.

    `expires_at` is None for a kept reservation. `shares`: the shards of a hot product that gave units, and how many.
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
    """One transaction: the record before and after, and the movements of the stock.

    `takes`: the movements still have to be placed on shards with enough goods.
    """

    before: Reservation
    after: Reservation
    movements: tuple[Movement, ...] = ()
    takes: bool = False


def hold_next(reservation: Reservation, most: int) -> Step:
    """Reserves the next lines. `place` chooses the shards of hot products later."""
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
    """Removes the expiry. Raises for a reservation that is released or incomplete."""
    if reservation.state in (State.RELEASING, State.RELEASED):
        raise refused(reservation)
    if reservation.state is not State.RESERVED:
        raise NotReserved(
            f"The stock of order {reservation.order_id} is {reservation.state}: there is nothing to keep."
        )
    return Step(reservation, replace(reservation, expires_at=None, revision=reservation.revision + 1))


def is_expired(reservation: Reservation, now: datetime) -> bool:
    return reservation.expires_at is not None and reservation.expires_at <= now and not reservation.is_over


def release_next(reservation: Reservation, most: int, reason: str, refusal: tuple[Shortage, ...] = ()) -> Step:
    """Releases the last lines that are held. The first reason stays. With none held, only writes the tombstone."""
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
    """Each line's movements on the shards that gave its units."""
    return tuple(
        replace(act(Line(line.product_id, quantity)), shard=shard)
        for line in lines
        for shard, quantity in reservation.shares.get(line.product_id, ((ROOT, line.quantity),))
    )


def refused(reservation: Reservation) -> DomainError:
    """The error of a released reservation: its stored refusal, the same at each retry, or that it was released."""
    if not reservation.refusal and reservation.reason == EXPIRED:
        return ReservationExpired("We could not hold the goods of this order any longer. Please order again.")
    if not reservation.refusal:
        return ReservationReleased(f"The stock of order {reservation.order_id} was released ({reservation.reason}).")
    return refusal_of(reservation.refusal)


def refusal_of(short: tuple[Shortage, ...]) -> DomainError:
    unknown = [found.product_id for found in short if found.available is None]
    return UnknownProduct(unknown) if unknown else OutOfStock(short)
