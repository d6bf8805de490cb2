"""Returns: goods of a delivered order come back, all or some, and what was paid for them is refunded.

The charge for delivery is refunded with the last piece: EU Directive 2011/83, article 13, gives a buyer who withdraws
from a whole order the cost of delivery back, and nothing of it for a part.

An order whose parcel was given up ends in the same way, by an operator: its goods come back undelivered, or are lost.
"""

from __future__ import annotations

from collections.abc import Iterable

from mercato.charges import Charge, Kind, refund_of, total_of
from mercato.errors import Conflict, Invalid
from mercato.money import Money
from orders.domain import MAX_LINES, finish
from orders.facts import Fact, ReturnAccepted
from orders.order import Order, Request, ReturnedLine, Status

LOST = "lost"  # no goods come back, but the money is refunded
# In all returns of one order: twice the lines of an order. Limits the size of the order's history.
MAX_RETURNED_LINES = 2 * MAX_LINES
OPERATORS = frozenset({"undelivered", LOST})  # reasons that only an operator knows


class OrderNotReturnable(Conflict):
    """Only delivered goods can be returned, and only once. An operator handles goods whose delivery was given up."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"The order is {order.status}.", order_status=order.status)


class NotInOrder(Invalid):
    """The order does not contain these products."""


class TooManyReturns(Conflict):
    """The order has the most returns that an order can have."""


class ReturnTooLarge(Conflict):
    """The quantity is larger than what was bought and not yet returned."""


def accept_return(
    order: Order, lines: Iterable[ReturnedLine], reason: str, refund_id: str, request: Request
) -> list[Fact]:
    """Refunds what was paid for the lines, at most what is not refunded yet."""
    is_undelivered = order.is_given_up and order.has_left and reason in OPERATORS
    if order.status is not Status.DELIVERED and not is_undelivered:
        raise OrderNotReturnable(order)
    wanted = _merge(lines)
    _check(order, wanted)
    if sum(len(made.lines) for made in order.returns) + len(wanted) > MAX_RETURNED_LINES:
        raise TooManyReturns(
            f"The returns of one order take {MAX_RETURNED_LINES} lines in all. Please ask us for the rest.",
            limit=MAX_RETURNED_LINES,
        )
    charges = _undone(order, wanted)
    amount = Money(amount=min(total_of(charges).amount, _refundable(order)), currency=order.total.currency)
    returned = tuple(ReturnedLine(product_id=product_id, quantity=quantity) for product_id, quantity in wanted.items())
    fact = ReturnAccepted(
        return_id=request.id,
        refund_id=refund_id,
        lines=returned,
        amount=amount,
        reason=reason,
        request=request,
        charges=charges if order.frozen else (),
    )
    return finish(order, fact)


def _undone(order: Order, wanted: dict[str, int]) -> tuple[Charge, ...]:
    """The parts of the order's charges that the return of these pieces undoes."""
    before = order.returned_pieces
    after = before | {product_id: before.get(product_id, 0) + quantity for product_id, quantity in wanted.items()}
    goods = [refund_of(order.charges, one, before.get(one, 0), after[one]) for one in wanted]
    is_last = all(after.get(line.product_id, 0) == line.quantity for line in order.lines)
    shipping = [charge for charge in order.charges if charge.kind is Kind.SHIPPING] if is_last else []
    return (*goods, *shipping)


def _merge(lines: Iterable[ReturnedLine]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return quantities


def _check(order: Order, wanted: dict[str, int]) -> None:
    bought = {line.product_id: line.quantity for line in order.lines}
    unknown = sorted(wanted.keys() - bought.keys())
    if unknown:
        raise NotInOrder("Some of these products are not in this order.", product_ids=unknown)
    returned = order.returned_pieces
    left = {product_id: bought[product_id] - returned.get(product_id, 0) for product_id in wanted}
    if any(quantity > left[product_id] for product_id, quantity in wanted.items()):
        returnable = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in left.items()]
        raise ReturnTooLarge("More than is left to return of this order.", returnable=returnable)


def _refundable(order: Order) -> int:
    """The paid amount less refunds made and pending."""
    under_way = sum(made.amount.amount for made in order.returns if made.refunded is None)
    return max(0, order.total.amount - order.refunded.amount - under_way)
