"""Returns: goods of a delivered order come back, all or some, and what was paid for them is refunded.

    requested ──► approved ──► received ──► refunded
        ├──► refused    │
        └──► cancelled ◄┘

Money and stock move when the goods are received: nobody pays for goods that nobody has seen. What was requested and did
not come is not refunded, and may be requested again.

The charge for delivery, less its discount, is refunded with the last piece: EU Directive 2011/83, article 13, gives a
buyer who withdraws from a whole order the cost of delivery back, and nothing of it for a part.

An order whose parcel was given up ends in the same way, by an operator: its goods come back undelivered, or are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from mercato.charges import Charge, refund_of, total_of
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound
from mercato.money import Money
from orders.domain import MAX_LINES, finish
from orders.facts import Fact, ReturnApproved, ReturnCancelled, ReturnReceived, ReturnRefused, ReturnRequested
from orders.order import Order, ReceivedLine, Request, Return, ReturnedLine, ReturnStatus, Status

LOST = "lost"  # no goods come back, but the money is refunded
# In all returns of one order: twice the lines of an order. Limits the size of the order's history.
MAX_RETURNED_LINES = 2 * MAX_LINES
OPERATORS = frozenset({"undelivered", LOST})  # reasons that only an operator knows


class Approval(StrEnum):
    """Who approves the returns that customers request."""

    STAFF = "staff"
    AUTOMATIC = "automatic"


class OrderNotReturnable(Conflict):
    """Only delivered goods can be returned, and only once. An operator handles goods whose delivery was given up."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"The order is {order.status}.", order_status=order.status)


class ReturnWindowClosed(Conflict):
    """The time in which the customer may request a return is over."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"A return could be requested until {until:%d %B %Y}. Please ask us.", until=until.isoformat())


class ReturnNotFound(NotFound):
    """The order has no such return."""


class ReturnNotChangeable(Conflict):
    """The return's status does not allow this."""

    def __init__(self, made: Return) -> None:
        super().__init__(f"The return is {made.status}.", return_status=made.status)


class NotInOrder(Invalid):
    """The order does not contain these products."""


class TooManyReturns(Conflict):
    """The order has the most returns that an order can have."""


class ReturnTooLarge(Conflict):
    """The quantity is larger than what was bought and is neither returned nor to be returned."""


class MoreThanRequested(Conflict):
    """The quantity is larger than what the return was requested for."""


class NothingReceived(Invalid):
    """A receipt needs at least one unit."""


@dataclass(frozen=True)
class Terms:
    """The shop's rules for a request. `window` is how long after the delivery a customer may request a return.

    A request by staff is approved, and may come later, and for goods whose return was refused.
    """

    window: timedelta
    approval: Approval
    by_staff: bool = False

    def until(self, order: Order) -> datetime | None:
        """When the window closes. None before the delivery."""
        return order.delivered_at + self.window if order.delivered_at else None


def request_return(
    order: Order, lines: Iterable[ReturnedLine], reason: str, terms: Terms, request: Request, now: datetime
) -> list[Fact]:
    until = terms.until(order)
    if order.status is not Status.DELIVERED or until is None:
        raise OrderNotReturnable(order)
    if now >= until and not terms.by_staff:
        raise ReturnWindowClosed(until)
    wanted = _merge(lines)
    _check(order, wanted, by_staff=terms.by_staff)
    return [
        ReturnRequested(
            return_id=request.id,
            lines=tuple(ReturnedLine(product_id=one, quantity=quantity) for one, quantity in wanted.items()),
            amount=_amount(order, _undone(order, wanted)),
            reason=reason,
            is_approved=terms.by_staff or terms.approval is Approval.AUTOMATIC,
            request=request,
        )
    ]


def approve_return(order: Order, return_id: str, request: Request) -> list[Fact]:
    _expect(order, return_id, ReturnStatus.REQUESTED)
    return [ReturnApproved(return_id=return_id, request=request)]


def refuse_return(order: Order, return_id: str, refusal: str, request: Request) -> list[Fact]:
    _expect(order, return_id, ReturnStatus.REQUESTED)
    return [ReturnRefused(return_id=return_id, refusal=refusal, request=request)]


def cancel_return(order: Order, return_id: str, request: Request) -> list[Fact]:
    """By the customer, or by staff for goods that do not come."""
    _expect(order, return_id, ReturnStatus.REQUESTED, ReturnStatus.APPROVED)
    return [ReturnCancelled(return_id=return_id, request=request)]


def receive_return(
    order: Order, return_id: str, lines: Iterable[ReceivedLine], refund_id: str, request: Request
) -> list[Fact]:
    """Records what came of an approved return, and refunds it."""
    made = _expect(order, return_id, ReturnStatus.APPROVED)
    received = _merge_received(lines)
    if not received:
        raise NothingReceived("Nothing was received. Cancel the return if nothing comes.")
    requested = {line.product_id: line.quantity for line in made.lines}
    over = [line for line in received if line.quantity > requested.get(line.product_id, 0)]
    if over:
        most = [{"product_id": one.product_id, "quantity": requested.get(one.product_id, 0)} for one in over]
        raise MoreThanRequested("More came than was requested. Receive the rest with a return of its own.", most=most)
    return _receive(order, return_id, received, made.reason, refund_id, request)


def settle_parcel(
    order: Order, lines: Iterable[ReturnedLine], reason: str, refund_id: str, request: Request
) -> list[Fact]:
    """An operator says that goods came back undelivered, or that they are lost. They are refunded at once."""
    is_undelivered = order.is_given_up and order.has_left
    if order.status is not Status.DELIVERED and not is_undelivered:
        raise OrderNotReturnable(order)
    wanted = _merge(lines)
    _check(order, wanted, by_staff=True)
    received = tuple(
        ReceivedLine(product_id=one, quantity=quantity, restock=0 if reason == LOST else quantity)
        for one, quantity in wanted.items()
    )
    return _receive(order, request.id, received, reason, refund_id, request)


def _receive(
    order: Order, return_id: str, lines: tuple[ReceivedLine, ...], reason: str, refund_id: str, request: Request
) -> list[Fact]:
    charges = _undone(order, {line.product_id: line.quantity for line in lines})
    fact = ReturnReceived(
        return_id=return_id,
        refund_id=refund_id,
        lines=lines,
        amount=_amount(order, charges),
        reason=reason,
        request=request,
        charges=charges if order.frozen else (),
    )
    return finish(order, fact)


def _expect(order: Order, return_id: str, *statuses: ReturnStatus) -> Return:
    made = order.find_return(return_id)
    if made is None:
        raise ReturnNotFound("The order has no such return.")
    if made.status not in statuses:
        raise ReturnNotChangeable(made)
    return made


def _undone(order: Order, wanted: Mapping[str, int]) -> tuple[Charge, ...]:
    """The parts of the order's charges that the return of these pieces undoes."""
    before = order.returned_pieces
    after = before | {product_id: before.get(product_id, 0) + quantity for product_id, quantity in wanted.items()}
    goods = [refund_of(order.charges, one, before.get(one, 0), after[one]) for one in wanted]
    is_last = all(after.get(line.product_id, 0) == line.quantity for line in order.lines)
    shipping = [charge for charge in order.charges if charge.product_id is None] if is_last else []
    return (*goods, *shipping)


def _amount(order: Order, charges: tuple[Charge, ...]) -> Money:
    """What was paid for these charges, at most what is not refunded yet. In orders of releases that rounded each
    discount for itself, a product may cost less than nothing: nothing is refunded for it.
    """
    return Money(amount=max(0, min(total_of(charges).amount, _refundable(order))), currency=order.total.currency)


def _merge(lines: Iterable[ReturnedLine]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return quantities


def _merge_received(lines: Iterable[ReceivedLine]) -> tuple[ReceivedLine, ...]:
    """One line per product, without products of which nothing came."""
    found: dict[str, ReceivedLine] = {}
    for line in lines:
        known = found.get(line.product_id, ReceivedLine(product_id=line.product_id, quantity=0))
        restock, write_off = known.restock + line.restock, known.write_off + line.write_off
        found[line.product_id] = ReceivedLine(
            product_id=line.product_id, quantity=restock + write_off, restock=restock, write_off=write_off
        )
    return tuple(line for line in found.values() if line.quantity)


def _check(order: Order, wanted: Mapping[str, int], *, by_staff: bool) -> None:
    left = order.requestable_pieces(by_staff=by_staff)
    unknown = sorted(wanted.keys() - left.keys())
    if unknown:
        raise NotInOrder("Some of these products are not in this order.", product_ids=unknown)
    if any(quantity > left[product_id] for product_id, quantity in wanted.items()):
        returnable = [{"product_id": product_id, "quantity": left[product_id]} for product_id in wanted]
        raise ReturnTooLarge("More than is left to return of this order.", returnable=returnable)
    if sum(len(made.lines) for made in order.returns) + len(wanted) > MAX_RETURNED_LINES:
        raise TooManyReturns(
            f"The returns of one order take {MAX_RETURNED_LINES} lines in all. Please ask us for the rest.",
            limit=MAX_RETURNED_LINES,
        )


def _refundable(order: Order) -> int:
    """The paid amount less refunds made and pending."""
    under_way = sum(made.amount.amount for made in order.returns if made.status is ReturnStatus.RECEIVED)
    return max(0, order.total.amount - order.refunded.amount - under_way)
