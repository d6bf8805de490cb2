"""Returns: goods of a delivered order come back, all or some, and their price is refunded.

An order whose parcel was given up ends in the same way, by an operator: its goods come back undelivered, or are lost.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    """Refunds the price of the lines, at most what was paid and not refunded yet."""
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
    prices = {line.product_id: line.unit_price.amount for line in order.lines}
    value = sum(prices[product_id] * quantity for product_id, quantity in wanted.items())
    amount = Money(amount=min(value, _refundable(order)), currency=order.total.currency)
    returned = tuple(ReturnedLine(product_id=product_id, quantity=quantity) for product_id, quantity in wanted.items())
    fact = ReturnAccepted(
        return_id=request.id, refund_id=refund_id, lines=returned, amount=amount, reason=reason, request=request
    )
    return finish(order, fact)


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
