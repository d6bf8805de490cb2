"""The facts of an order, and how each one changes the order. Applying a fact never fails."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from mercato.charges import Charge
from mercato.dataclass import dataclass
from mercato.guests import is_guest
from mercato.languages import KnownLanguage
from mercato.money import Money
from orders.order import (
    MAX_ANSWERED,
    Answered,
    Awaited,
    ClaimedCoupons,
    Delivery,
    Line,
    Order,
    OrderedCart,
    PaymentStatus,
    ReceivedLine,
    Request,
    Return,
    ReturnedLine,
    ReturnStatus,
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
    waits_for_buyer: bool = False
    coupons: ClaimedCoupons | None = None
    language: KnownLanguage = None


class PaymentAwaited(Fact):
    """The saga waits for the buyer."""

    awaited: Awaited


class PaymentAttempted(Fact):
    """The buyer has confirmed the attempt at the bank, or brings another card for the next one."""

    attempt: int
    payment_token: str | None
    request: Request


class PaymentAnswered(Fact):
    """The provider has decided the attempt, in this version of the payment."""

    version: int


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
    tracking_url: str | None = None


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
    """A return of before returns were approved and received: it was refunded at once. No new one is recorded.

    `amount` is refunded for it by the refund `refund_id`. `charges` are the parts of the order's charges that the
    return undoes. Their sum is `amount`, unless earlier refunds leave less.
    """

    return_id: str
    refund_id: str
    lines: tuple[ReturnedLine, ...]
    amount: Money
    reason: str
    request: Request
    charges: tuple[Charge, ...] = ()


class ReturnRequested(Fact):
    """`amount` would be refunded if all of it were received now. `is_approved`: nobody has to approve it."""

    return_id: str
    lines: tuple[ReturnedLine, ...]
    amount: Money
    reason: str
    is_approved: bool
    request: Request


class ReturnApproved(Fact):
    return_id: str
    request: Request


class ReturnRefused(Fact):
    """`refusal` is why, in the words of staff for the customer."""

    return_id: str
    refusal: str
    request: Request


class ReturnCancelled(Fact):
    return_id: str
    request: Request


class ReturnReceived(Fact):
    """The goods of an approved return, or of a parcel that was given up, which nobody requests.

    `amount` is refunded for it by the refund `refund_id`. `charges` are the parts of the order's charges that the
    return undoes. Their sum is `amount`, unless earlier refunds leave less.
    """

    return_id: str
    refund_id: str
    lines: tuple[ReceivedLine, ...]
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


class OrderClaimed(Fact):
    """An account whose owner has proved access to the guest's mailbox has the order from here on."""

    customer_id: str


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
        waits_for_buyer=fact.waits_for_buyer,
        coupons=fact.coupons,
        language=fact.language,
        guest_id=fact.customer_id if is_guest(fact.customer_id) else "",
    )


def _payment_awaited(order: Order, fact: PaymentAwaited, at: datetime) -> Order:
    """The provider's decision may have come before the question."""
    awaited = fact.awaited.model_copy(update={"is_answered": order.payment_version > fact.awaited.version})
    step = Step(at, f"payment_{awaited.state}", awaited.detail)
    return replace(order, awaited=awaited, timeline=(*order.timeline, step))


def _payment_attempted(order: Order, fact: PaymentAttempted, at: datetime) -> Order:
    changed = replace(
        order,
        attempt=fact.attempt,
        payment_token=fact.payment_token or order.payment_token,
        payment_answers=order.payment_answers + 1,
        answered=_answered(order, fact.request),
        timeline=(*order.timeline, Step(at, "payment_attempted")),
    )
    return _with_answer(changed)


def _payment_answered(order: Order, fact: PaymentAnswered, _: datetime) -> Order:
    return _with_answer(replace(order, payment_version=fact.version))


def _with_answer(order: Order) -> Order:
    awaited = order.awaited and order.awaited.model_copy(update={"is_answered": True})
    return replace(order, awaited=awaited)


def _confirmed(order: Order, fact: OrderConfirmed, at: datetime) -> Order:
    paid = order.payment_status
    return replace(
        order,
        status=Status.CONFIRMED,
        payment_id=fact.payment_id,
        payment_status=PaymentStatus.AUTHORIZED if paid is PaymentStatus.NONE else paid,
        awaited=None,
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
        awaited=None,
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
        awaited=None,
        timeline=(*order.timeline, step),
    )


def _needs_attention(order: Order, fact: OrderNeedsAttention, at: datetime) -> Order:
    step = Step(at, Status.NEEDS_ATTENTION, "We are looking into this order.")
    return replace(
        order, status=Status.NEEDS_ATTENTION, stuck_at=fact.step, awaited=None, timeline=(*order.timeline, step)
    )


def _return_accepted(order: Order, fact: ReturnAccepted, at: datetime) -> Order:
    restocked = 0 if fact.reason == "lost" else 1
    lines = tuple(
        ReceivedLine(product_id=line.product_id, quantity=line.quantity, restock=line.quantity * restocked)
        for line in fact.lines
    )
    made = Return(fact.return_id, fact.refund_id, fact.lines, fact.amount, fact.reason, at, ReturnStatus.RECEIVED, at)
    return _received(order, made, lines, fact, Step(at, "return_accepted", _told(fact.lines, fact.amount)))


def _return_requested(order: Order, fact: ReturnRequested, at: datetime) -> Order:
    status = ReturnStatus.APPROVED if fact.is_approved else ReturnStatus.REQUESTED
    made = Return(fact.return_id, "", fact.lines, fact.amount, fact.reason, at, status, at)
    steps = [Step(at, "return_requested", _told(fact.lines, fact.amount))]
    if fact.is_approved:
        steps.append(Step(at, "return_approved"))
    return replace(
        order,
        returns=(*order.returns, made),
        answered=_answered(order, fact.request),
        timeline=(*order.timeline, *steps),
    )


def _return_approved(order: Order, fact: ReturnApproved, at: datetime) -> Order:
    return _move_return(order, fact, ReturnStatus.APPROVED, Step(at, "return_approved"))


def _return_refused(order: Order, fact: ReturnRefused, at: datetime) -> Order:
    return _move_return(order, fact, ReturnStatus.REFUSED, Step(at, "return_refused", fact.refusal), fact.refusal)


def _return_cancelled(order: Order, fact: ReturnCancelled, at: datetime) -> Order:
    return _move_return(order, fact, ReturnStatus.CANCELLED, Step(at, "return_cancelled"))


def _move_return(
    order: Order,
    fact: ReturnApproved | ReturnRefused | ReturnCancelled,
    status: ReturnStatus,
    step: Step,
    refusal: str | None = None,
) -> Order:
    return replace(
        order,
        returns=tuple(
            replace(made, status=status, since=step.at, refusal=refusal) if made.return_id == fact.return_id else made
            for made in order.returns
        ),
        answered=_answered(order, fact.request),
        timeline=(*order.timeline, step),
    )


def _return_received(order: Order, fact: ReturnReceived, at: datetime) -> Order:
    lines = tuple(ReturnedLine(product_id=line.product_id, quantity=line.quantity) for line in fact.lines)
    made = order.find_return(fact.return_id) or Return(
        fact.return_id, fact.refund_id, lines, fact.amount, fact.reason, at, ReturnStatus.RECEIVED, at
    )
    return _received(order, made, fact.lines, fact, Step(at, "return_received", _told(fact.lines, fact.amount)))


def _received(
    order: Order,
    made: Return,
    lines: tuple[ReceivedLine, ...],
    fact: ReturnAccepted | ReturnReceived,
    step: Step,
) -> Order:
    """If nothing is left to refund, nothing is waited for."""
    received = replace(
        made,
        refund_id=fact.refund_id,
        received=lines,
        amount=fact.amount,
        charges=fact.charges,
        status=ReturnStatus.RECEIVED if fact.amount.amount else ReturnStatus.REFUNDED,
        since=step.at,
        refunded=None if fact.amount.amount else fact.amount,
    )
    others = order.returns if order.find_return(made.return_id) else (*order.returns, made)
    changed = replace(
        order,
        returns=tuple(received if one.return_id == made.return_id else one for one in others),
        answered=_answered(order, fact.request),
        timeline=(*order.timeline, step),
    )
    return replace(changed, status=_status_after_return(changed))


def _told(lines: Iterable[ReturnedLine | ReceivedLine], amount: Money) -> str:
    pieces = sum(line.quantity for line in lines)
    return f"{pieces} {'piece' if pieces == 1 else 'pieces'}, {amount}"


def _refunded(order: Order, fact: OrderRefunded, at: datetime) -> Order:
    refunded = order.refunded + fact.amount
    is_all = order.total <= refunded
    # A return is ended by a refund of 0 where the bank, or an operator at the provider, has given the money back.
    paid_back = [Step(at, "refunded", str(fact.amount))] if fact.amount.amount else []
    changed = replace(
        order,
        refunded=refunded,
        refund_ids=order.refund_ids | {fact.refund_id},
        returns=tuple(_refunded_return(made, fact, at, is_all=is_all) for made in order.returns),
        payment_status=PaymentStatus.REFUNDED if is_all else order.payment_status,
        timeline=(*order.timeline, *paid_back),
    )
    return replace(changed, status=_status_after_return(changed))


def _refunded_return(made: Return, fact: OrderRefunded, at: datetime, *, is_all: bool) -> Return:
    """Once all money is refunded, a return that still waits gets nothing more: other refunds took its part."""
    if made.refund_id == fact.refund_id:
        return replace(made, refunded=fact.amount, status=ReturnStatus.REFUNDED, since=at)
    if is_all and made.status is ReturnStatus.RECEIVED:
        return replace(made, refunded=Money.zero(fact.amount.currency), status=ReturnStatus.REFUNDED, since=at)
    return made


def _status_after_return(order: Order) -> Status:
    """An order whose parcel was given up ends as returned."""
    may_end = order.status is Status.DELIVERED or order.is_given_up
    return Status.REFUNDED if may_end and order.is_returned else order.status


def _answered(order: Order, request: Request) -> tuple[Answered, ...]:
    return (*order.answered, Answered(request, order.version + 1))


def _customer_left(order: Order, _: CustomerLeft, at: datetime) -> Order:
    return replace(order, customer_left=True)


def _claimed(order: Order, fact: OrderClaimed, at: datetime) -> Order:
    return replace(order, customer_id=fact.customer_id)


def _anonymised(order: Order, _: OrderAnonymised, at: datetime) -> Order:
    return replace(order, customer_left=True, is_anonymous=True)


_APPLY: dict[type[Fact], Callable[[Any, Any, datetime], Order]] = {
    OrderPlaced: _placed,
    PaymentAwaited: _payment_awaited,
    PaymentAttempted: _payment_attempted,
    PaymentAnswered: _payment_answered,
    OrderConfirmed: _confirmed,
    PaymentRecorded: _payment_recorded,
    OrderShipped: _shipped,
    OrderDelivered: _delivered,
    CancellationRequested: _cancellation_requested,
    CancellationNotNeeded: _cancellation_not_needed,
    OrderCancelled: _cancelled,
    OrderNeedsAttention: _needs_attention,
    ReturnAccepted: _return_accepted,
    ReturnRequested: _return_requested,
    ReturnApproved: _return_approved,
    ReturnRefused: _return_refused,
    ReturnCancelled: _return_cancelled,
    ReturnReceived: _return_received,
    OrderRefunded: _refunded,
    CustomerLeft: _customer_left,
    OrderClaimed: _claimed,
    OrderAnonymised: _anonymised,
}
_BY_NAME = {fact.__name__: fact for fact in _APPLY}


def read_fact(type_name: str, data: dict[str, Any]) -> Fact:
    """Reads a stored fact. Raises KeyError for an unknown type: no decision may rest on an incomplete history."""
    return _BY_NAME[type_name].model_validate(data)


def apply(order: Order | None, fact: Fact, at: datetime) -> Order:
    changed = _APPLY[type(fact)](order, fact, at)
    return replace(changed, version=changed.version + 1, updated_at=at)
