"""The facts of an order, and how each one changes the order. Applying a fact never fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from mercato.charges import Charge
from mercato.money import Money
from orders.order import (
    MAX_ANSWERED,
    Answered,
    Delivery,
    Line,
    Order,
    OrderedCart,
    PaymentStatus,
    Request,
    Return,
    ReturnedLine,
    Shipment,
    Status,
    Step,
)


class Fact(BaseModel):
    """Its class name is the stored type. A new field needs a default, so that old facts still read."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


@dataclass(frozen=True)
class Recorded:
    """A fact with its place in the order's history."""

    version: int
    at: datetime
    fact: Fact
    correlation_id: str
    actor: str | None = None


class OrderPlaced(Fact):
    order_id: str
    customer_id: str
    lines: tuple[Line, ...]
    total: Money
    payment_token: str
    fingerprint: str
    cart: OrderedCart | None = None
    charges: tuple[Charge, ...] = ()
    delivery: Delivery | None = None
    number: str | None = None


class OrderConfirmed(Fact):
    payment_id: str


class PaymentRecorded(Fact):
    status: PaymentStatus
    payment_id: str
    detail: str | None = None


class OrderShipped(Fact):
    shipment_id: str
    carrier: str
    tracking_number: str


class OrderDelivered(Fact):
    shipment_id: str


class CancellationRequested(Fact):
    """By the customer. From here on the order cannot be confirmed, and the saga undoes its steps."""

    reason: str
    request: Request


class CancellationNotNeeded(Fact):
    """The order is already being cancelled. Changes nothing; stored so that a retry gets the same response."""

    reason: str
    request: Request


class OrderCancelled(Fact):
    reason: str
    detail: str


class OrderNeedsAttention(Fact):
    step: str
    reason: str


class ReturnAccepted(Fact):
    """`amount` is refunded for it by the refund `refund_id`.

    `charges` are the parts of the order's charges that the return undoes. Their sum is `amount`, unless earlier refunds
    leave less.
    """

    return_id: str
    refund_id: str
    lines: tuple[ReturnedLine, ...]
    amount: Money
    reason: str
    request: Request
    charges: tuple[Charge, ...] = ()


class OrderRefunded(Fact):
    refund_id: str
    amount: Money
    reason: str


class CustomerLeft(Fact):
    """The account is closed, but the order still needs its address."""


class OrderAnonymised(Fact):
    """The order is finished and its customer's account is closed. The address is erased with this fact."""


def _placed(_: Order | None, fact: OrderPlaced, at: datetime) -> Order:
    return Order(
        id=fact.order_id,
        customer_id=fact.customer_id,
        lines=fact.lines,
        total=fact.total,
        payment_token=fact.payment_token,
        fingerprint=fact.fingerprint,
        placed_at=at,
        updated_at=at,
        refunded=Money.zero(fact.total.currency),
        version=0,
        timeline=(Step(at, Status.PENDING),),
        frozen=fact.charges,
        delivery=fact.delivery,
        number=fact.number,
    )


def _confirmed(order: Order, fact: OrderConfirmed, at: datetime) -> Order:
    paid = order.payment_status
    return replace(
        order,
        status=Status.CONFIRMED,
        payment_id=fact.payment_id,
        payment_status=PaymentStatus.AUTHORIZED if paid is PaymentStatus.NONE else paid,
        timeline=(*order.timeline, Step(at, Status.CONFIRMED)),
    )


def _payment_recorded(order: Order, fact: PaymentRecorded, at: datetime) -> Order:
    step = Step(at, f"payment_{fact.status}", fact.detail)
    return replace(order, payment_status=fact.status, payment_id=fact.payment_id, timeline=(*order.timeline, step))


def _shipped(order: Order, fact: OrderShipped, at: datetime) -> Order:
    shipment = Shipment(shipment_id=fact.shipment_id, carrier=fact.carrier, tracking_number=fact.tracking_number)
    too_late = "; it had left when you cancelled" if order.status is Status.CANCELLING else ""
    step = Step(at, Status.SHIPPED, f"{fact.carrier} {fact.tracking_number}{too_late}")
    return replace(order, status=Status.SHIPPED, shipment=shipment, timeline=(*order.timeline, step))


def _delivered(order: Order, _: OrderDelivered, at: datetime) -> Order:
    return replace(order, status=Status.DELIVERED, timeline=(*order.timeline, Step(at, Status.DELIVERED)))


def _cancellation_requested(order: Order, fact: CancellationRequested, at: datetime) -> Order:
    return replace(
        order,
        status=Status.CANCELLING,
        cancellation=fact.reason,
        answered=_answered(order, fact.request),
        timeline=(*order.timeline, Step(at, Status.CANCELLING)),
    )


def _cancellation_not_needed(order: Order, fact: CancellationNotNeeded, _: datetime) -> Order:
    """Ignores requests beyond the limit. Old orders may have more; the first ones count, so folding stays linear."""
    if len(order.answered) >= MAX_ANSWERED:
        return order
    return replace(order, answered=_answered(order, fact.request))


def _cancelled(order: Order, fact: OrderCancelled, at: datetime) -> Order:
    """The saga voids the payment before it cancels. A captured payment ends with its refund's event instead."""
    paid = order.payment_status
    step = Step(at, Status.CANCELLED, fact.detail)
    return replace(
        order,
        status=Status.CANCELLED,
        payment_status=PaymentStatus.FAILED if paid is PaymentStatus.AUTHORIZED else paid,
        reason=fact.reason,
        detail=fact.detail,
        stuck_at=None,
        timeline=(*order.timeline, step),
    )


def _needs_attention(order: Order, fact: OrderNeedsAttention, at: datetime) -> Order:
    step = Step(at, Status.NEEDS_ATTENTION, "We are looking into this order.")
    return replace(order, status=Status.NEEDS_ATTENTION, stuck_at=fact.step, timeline=(*order.timeline, step))


def _return_accepted(order: Order, fact: ReturnAccepted, at: datetime) -> Order:
    made = Return(
        fact.return_id,
        fact.refund_id,
        fact.lines,
        fact.amount,
        fact.reason,
        at,
        refunded=None if fact.amount.amount else fact.amount,  # nothing is left to give back: nothing is waited for
        charges=fact.charges,
    )
    pieces = sum(line.quantity for line in fact.lines)
    changed = replace(
        order,
        returns=(*order.returns, made),
        answered=_answered(order, fact.request),
        timeline=(
            *order.timeline,
            Step(at, "return_accepted", f"{pieces} {'piece' if pieces == 1 else 'pieces'}, {fact.amount}"),
        ),
    )
    return replace(changed, status=_status_after_return(changed))


def _refunded(order: Order, fact: OrderRefunded, at: datetime) -> Order:
    refunded = order.refunded + fact.amount
    changed = replace(
        order,
        refunded=refunded,
        refund_ids=order.refund_ids | {fact.refund_id},
        returns=tuple(
            replace(made, refunded=fact.amount) if made.refund_id == fact.refund_id else made for made in order.returns
        ),
        payment_status=PaymentStatus.REFUNDED if order.total <= refunded else order.payment_status,
        timeline=(*order.timeline, Step(at, "refunded", str(fact.amount))),
    )
    return replace(changed, status=_status_after_return(changed))


def _status_after_return(order: Order) -> Status:
    """An order whose parcel was given up ends as returned."""
    may_end = order.status is Status.DELIVERED or order.is_given_up
    return Status.REFUNDED if may_end and order.is_returned else order.status


def _answered(order: Order, request: Request) -> tuple[Answered, ...]:
    return (*order.answered, Answered(request, order.version + 1))


def _customer_left(order: Order, _: CustomerLeft, at: datetime) -> Order:
    return replace(order, customer_left=True)


def _anonymised(order: Order, _: OrderAnonymised, at: datetime) -> Order:
    return replace(order, customer_left=True, is_anonymous=True)


_APPLY: dict[type[Fact], Callable[[Any, Any, datetime], Order]] = {
    OrderPlaced: _placed,
    OrderConfirmed: _confirmed,
    PaymentRecorded: _payment_recorded,
    OrderShipped: _shipped,
    OrderDelivered: _delivered,
    CancellationRequested: _cancellation_requested,
    CancellationNotNeeded: _cancellation_not_needed,
    OrderCancelled: _cancelled,
    OrderNeedsAttention: _needs_attention,
    ReturnAccepted: _return_accepted,
    OrderRefunded: _refunded,
    CustomerLeft: _customer_left,
    OrderAnonymised: _anonymised,
}
_BY_NAME = {fact.__name__: fact for fact in _APPLY}


def read_fact(type_name: str, data: dict[str, Any]) -> Fact:
    """Reads a stored fact. Raises KeyError for an unknown type: no decision may rest on an incomplete history."""
    return _BY_NAME[type_name].model_validate(data)


def apply(order: Order | None, fact: Fact, at: datetime) -> Order:
    changed = _APPLY[type(fact)](order, fact, at)
    return replace(changed, version=changed.version + 1, updated_at=at)
