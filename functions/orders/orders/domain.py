"""The rules of an order. A decision reads the order and returns the new facts, none if nothing is left to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mercato.charges import Charge
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound, SagaEnd, TransientError
from mercato.languages import Language
from mercato.money import MAX_AMOUNT, Money
from orders.facts import (
    CancellationNotNeeded,
    CancellationRequested,
    CustomerLeft,
    Fact,
    OrderAnonymised,
    OrderCancelled,
    OrderClaimed,
    OrderConfirmed,
    OrderDelivered,
    OrderNeedsAttention,
    OrderPlaced,
    OrderRefunded,
    OrderShipped,
    PaymentAnswered,
    PaymentAttempted,
    PaymentAwaited,
    PaymentRecorded,
    apply,
)
from orders.order import (
    DELIVERY,
    MAX_ANSWERED,
    Awaited,
    ClaimedCoupons,
    Delivery,
    Line,
    Order,
    OrderedCart,
    PaymentStatus,
    Request,
    Shipment,
    Status,
)

MAX_LINES = 500
MAX_QUANTITY = 100_000
CUSTOMER_CANCELLED = "You cancelled this order."
# From here on the next attempt at the payment is made and the reservation kept, by the saga's time budget.
TO_KEEP = timedelta(minutes=8)
MOST_ATTEMPTS = 5  # cards for one order
MOST_ANSWERS = 20  # of the buyer, confirmations included
_UNFINISHED = (Status.PENDING, Status.CONFIRMED, Status.CANCELLING, Status.SHIPPED, Status.NEEDS_ATTENTION)
_LEFT = (Status.SHIPPED, Status.DELIVERED, Status.REFUNDED)


class OrderNotFound(NotFound):
    """The order does not exist, or belongs to another customer."""


class VersionNotFound(NotFound):
    """The order has fewer facts than the version that was asked for."""


class UnknownProduct(Invalid):
    """Some products are not for sale."""


class PriceChanged(Conflict):
    """A price has changed since the customer saw it."""


class CartAlreadyOrdered(Conflict):
    """Another request has already ordered this version of the cart."""

    def __init__(self, order_id: str) -> None:
        super().__init__(
            f"This cart was ordered already, as order {order_id}. To order the same again, put it into the cart again, "
            "or order it without naming the cart.",
            order_id=order_id,
        )


class QuoteChanged(Conflict):
    """Something in the quote has changed since the buyer saw it."""

    def __init__(self, differences: list[dict[str, Any]]) -> None:
        super().__init__(
            "Something has changed since you saw this total. Please look at the checkout once more.",
            differences=differences,
        )


class QuoteExpired(Conflict):
    """The quote is older than a quote may be."""


class QuoteAlreadyOrdered(Conflict):
    """Another request has already ordered this version of the checkout, with another card."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"This checkout was ordered already, as order {order_id}.", order_id=order_id)


class InvalidQuote(Invalid):
    """The quote was not signed by this shop, or for another buyer."""


class MixedCurrencies(Invalid):
    """All lines of an order must have the same currency."""


class NoRateForDestination(Invalid):
    """No delivery service goes there."""


class ParcelTooHeavy(Invalid):
    """The goods weigh more than any delivery service takes to this address."""


class ServiceNotOffered(Invalid):
    """The delivery service is not offered for these goods to this address."""


class NoTaxRate(Invalid):
    """There is no tax rate for these goods at the destination."""


class OrderTooLarge(Invalid):
    """The order is larger than the largest order."""


class OrderNotConfirmable(Conflict):
    """The order is being undone, or is undone."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"The order is {order.status}.", order_status=order.status)


class OrderNotCancellable(Conflict):
    """The parcel has been shipped, or an operator is handling the order."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"The order is {order.status}.", order_status=order.status)


class PaymentNotCompleted(Conflict):
    """The payment was not completed while its goods were reserved."""


class OrderAlreadyPaid(Conflict):
    """The order needs no further payment."""


class PaymentTooLate(Conflict):
    """The order waits for no payment any more, since its time is up or it is cancelled."""


class PaymentUnderWay(Conflict):
    """An attempt at the payment is being made, and its outcome is not known yet."""


class NothingToConfirm(Conflict):
    """The bank does not ask for the buyer: the last card was declined, and another one is needed."""


class NothingAwaited(Conflict):
    """The order does not wait for its buyer."""


class TooManyPayments(Conflict):
    """The buyer has tried as often as one order may be tried."""


class NotYetShipped(TransientError):
    """The delivery's event came before the dispatch's. A retry succeeds once the order is shipped."""


@dataclass(frozen=True)
class Wanted:
    """A line as the customer orders it, with the price that the customer saw."""

    product_id: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True)
class Quoted:
    """What a quote of the checkout sells, and for what. `lines` are the goods, without their charges."""

    lines: tuple[Line, ...]
    charges: tuple[Charge, ...]
    delivery: Delivery | None = None
    cart: OrderedCart | None = None
    coupons: ClaimedCoupons | None = None


class Obstacle(StrEnum):
    """Why goods that are for sale have no price at an address, as the checkout names it."""

    NO_RATE = "no-rate-for-destination"
    TOO_HEAVY = "parcel-too-heavy"
    NOT_OFFERED = "service-not-offered"
    NO_TAX_RATE = "no-tax-rate"
    MIXED_CURRENCIES = "mixed-currencies"


@dataclass(frozen=True)
class Priced:
    """What goods cost now. `lines` are those for sale. With `obstacles`, each with its text for the buyer, the order
    cannot be placed.
    """

    lines: tuple[Line, ...]
    charges: tuple[Charge, ...]
    delivery: Delivery | None
    obstacles: tuple[tuple[Obstacle, str], ...] = ()


def merge(wanted: Iterable[Wanted]) -> list[Wanted]:
    """One line per product. Lines of one product at different prices stay separate, since one of the prices is
    stale.
    """
    quantities: dict[tuple[str, Money], int] = {}
    for line in wanted:
        key = (line.product_id, line.unit_price)
        quantities[key] = quantities.get(key, 0) + line.quantity
    if max(quantities.values()) > MAX_QUANTITY:
        raise OrderTooLarge(f"An order takes at most {MAX_QUANTITY} of one product.", limit=MAX_QUANTITY)
    return [Wanted(product_id, quantity, price) for (product_id, price), quantity in quantities.items()]


def quote(wanted: Iterable[Wanted], priced: Priced, seen: Money | None, cart: OrderedCart | None) -> Quoted:
    """The order at the prices of now. Raises PriceChanged if the customer saw other prices, and QuoteChanged if it saw
    another total than that.
    """
    lines = check_lines(wanted, {line.product_id: line for line in priced.lines})
    total_of(lines)
    for obstacle, detail in priced.obstacles:
        _refuse(obstacle, detail)
    total = Money.sum((one.amount for one in priced.charges), lines[0].unit_price.currency)
    if seen and seen != total:
        moved = {"what": "total", "product_id": None, "was": seen.model_dump(), "is_now": total.model_dump()}
        raise QuoteChanged([moved])
    return Quoted(lines, priced.charges, priced.delivery, cart)


def _refuse(obstacle: Obstacle, detail: str) -> None:
    match obstacle:
        case Obstacle.NO_RATE:
            raise NoRateForDestination(detail)
        case Obstacle.TOO_HEAVY:
            raise ParcelTooHeavy(detail)
        case Obstacle.NOT_OFFERED:
            raise ServiceNotOffered(detail)
        case Obstacle.NO_TAX_RATE:
            raise NoTaxRate(detail)
        case Obstacle.MIXED_CURRENCIES:
            raise MixedCurrencies(detail)


def check_lines(wanted: Iterable[Wanted], for_sale: Mapping[str, Line]) -> tuple[Line, ...]:
    """The lines at current prices. Raises UnknownProduct and PriceChanged."""
    wanted = list(wanted)
    unknown = sorted({line.product_id for line in wanted} - for_sale.keys())
    if unknown:
        raise UnknownProduct("Some products in this order are not for sale any more.", product_ids=unknown)
    changed = [
        {
            "product_id": line.product_id,
            "seen": line.unit_price.model_dump(),
            "now": for_sale[line.product_id].unit_price.model_dump(),
        }
        for line in wanted
        if line.unit_price != for_sale[line.product_id].unit_price
    ]
    if changed:
        raise PriceChanged("Some prices have changed; please look at them and order again.", changed=changed)
    return tuple(for_sale[line.product_id] for line in wanted)


def total_of(lines: Iterable[Line]) -> Money:
    lines = list(lines)
    currencies = sorted({line.unit_price.currency for line in lines})
    if len(currencies) > 1:
        raise MixedCurrencies("One order is paid in one currency.", currencies=currencies)
    amount = sum(line.unit_price.amount * line.quantity for line in lines)
    if amount > MAX_AMOUNT:
        raise OrderTooLarge("The total of this order is more than we can take.", limit=MAX_AMOUNT)
    return Money(amount=amount, currency=currencies[0])


def place(
    order_id: str,
    customer_id: str,
    lines: tuple[Line, ...],
    payment_token: str,
    fingerprint: str,
    cart: OrderedCart | None = None,
) -> list[Fact]:
    return [
        OrderPlaced(
            order_id=order_id,
            customer_id=customer_id,
            lines=lines,
            total=total_of(lines),
            payment_token=payment_token,
            fingerprint=fingerprint,
            cart=cart,
        )
    ]


def place_quoted(order_id: str, customer_id: str, quoted: Quoted, payment_token: str, fingerprint: str) -> list[Fact]:
    """Freezes the charges of the quote. The total is their sum."""
    return [
        OrderPlaced(
            order_id=order_id,
            customer_id=customer_id,
            lines=quoted.lines,
            total=Money.sum((one.amount for one in quoted.charges), quoted.charges[0].amount.currency),
            payment_token=payment_token,
            fingerprint=fingerprint,
            cart=quoted.cart,
            charges=quoted.charges,
            delivery=quoted.delivery,
            coupons=quoted.coupons,
        )
    ]


def with_number(facts: Iterable[Fact], number: str) -> list[Fact]:
    """The facts of a new order, which gets this number."""
    return [fact.model_copy(update={"number": number}) if isinstance(fact, OrderPlaced) else fact for fact in facts]


def in_language(placed: list[Fact], language: Language | None) -> list[Fact]:
    """The facts of an order about which messages are in this language."""
    spoken = {"language": language}
    return [fact.model_copy(update=spoken) if isinstance(fact, OrderPlaced) else fact for fact in placed]


def let_wait(placed: list[Fact]) -> list[Fact]:
    """The facts of an order that waits for its buyer where its payment is declined or must be confirmed."""
    waits = {"waits_for_buyer": True}
    return [fact.model_copy(update=waits) if isinstance(fact, OrderPlaced) else fact for fact in placed]


def await_buyer(order: Order, awaited: Awaited, now: datetime) -> list[Fact]:
    """Raises for an order that is being undone, and where no time is left. A retry of the same question, and a late one
    of an earlier question, change nothing.
    """
    if order.status is not Status.PENDING:
        raise OrderNotConfirmable(order)
    if order.awaited and awaited.asked_at <= order.awaited.asked_at:
        return []
    if awaited.until - now < timedelta(seconds=1):
        raise PaymentNotCompleted(awaited.detail or "The payment was not completed in time.")
    return [PaymentAwaited(awaited=awaited)]


def attempt_payment(order: Order, payment_token: str | None, request: Request, now: datetime) -> list[Fact]:
    """The buyer's answer: another card, or without one that the bank's question is answered."""
    awaited = order.awaited
    if order.status in (Status.CANCELLING, Status.CANCELLED, Status.NEEDS_ATTENTION):
        raise PaymentTooLate("This order is cancelled. Nothing was charged.", order_status=order.status)
    if order.status is not Status.PENDING:
        raise OrderAlreadyPaid("This order is paid already.", order_status=order.status)
    if awaited is None or awaited.is_answered:
        raise PaymentUnderWay("Your payment is being made. Please look at the order again in a moment.")
    if awaited.until <= now:
        raise PaymentTooLate("The time to pay this order is over. Nothing was charged.", order_status=order.status)
    if payment_token is None and awaited.state != "action_required":
        raise NothingToConfirm("Your bank declined the card. Please use another one.")
    if order.payment_answers >= MOST_ANSWERS or (payment_token is not None and order.attempt >= MOST_ATTEMPTS):
        raise TooManyPayments("This order was tried too often. Please order again.", limit=MOST_ATTEMPTS)
    attempt = order.attempt + (payment_token is not None)
    return [PaymentAttempted(attempt=attempt, payment_token=payment_token, request=request)]


def require_waiting(order: Order, now: datetime) -> None:
    """Raises NothingAwaited unless the order waits for its buyer."""
    if order.awaited is None or order.awaited.is_answered or order.awaited.until <= now:
        raise NothingAwaited("This order does not wait for its buyer.", order_status=order.status)


def hear_of_payment(order: Order, version: int) -> list[Fact]:
    """The provider has decided an attempt. Only an order that is not confirmed yet may wait for it."""
    seen = max(order.payment_version, order.awaited.version if order.awaited else 0)
    if order.status is not Status.PENDING or not order.waits_for_buyer or version <= seen:
        return []
    return [PaymentAnswered(version=version)]


def confirm(order: Order, payment_id: str) -> list[Fact]:
    """Raises for an order that is being cancelled, so that no money is captured for it."""
    if order.status in (Status.CONFIRMED, *_LEFT) or order.is_given_up:
        return []
    if order.status is not Status.PENDING:
        raise OrderNotConfirmable(order)
    return [OrderConfirmed(payment_id=payment_id)]


def request_cancellation(order: Order, reason: str, request: Request) -> list[Fact]:
    """The customer's request to cancel. The saga grants it unless the parcel leaves first.

    An order whose parcel was given up before it left waits for this request.
    """
    if order.status in (Status.CANCELLING, Status.CANCELLED) and len(order.answered) >= MAX_ANSWERED:
        return []
    if order.status in (Status.CANCELLING, Status.CANCELLED):
        return [CancellationNotNeeded(reason=reason, request=request)]
    is_waiting = order.is_given_up and not order.has_left
    if order.status not in (Status.PENDING, Status.CONFIRMED) and not is_waiting:
        raise OrderNotCancellable(order)
    return [CancellationRequested(reason=reason, request=request)]


def cancel(order: Order, reason: str, detail: str) -> list[Fact]:
    """Ends the order after the undo. A customer's request is the reason even if something else failed as well."""
    if order.status is Status.CANCELLED:
        return []
    if order.status in _LEFT or order.has_left:
        raise OrderNotCancellable(order)
    if order.cancellation is not None:
        reason, detail = SagaEnd.CANCELLED_BY_CUSTOMER.slug, CUSTOMER_CANCELLED
    return [OrderCancelled(reason=reason, detail=detail), *_last_of(order)]


def mark_needs_attention(order: Order, step: str, reason: str) -> list[Fact]:
    """One fact for each step at which the order is stuck. A shipped or finished order keeps its status."""
    if order.status in (Status.PENDING, Status.CONFIRMED, Status.CANCELLING):
        return [OrderNeedsAttention(step=step, reason=reason)]
    if order.status is Status.NEEDS_ATTENTION and order.stuck_at != step and not order.has_left:
        return [OrderNeedsAttention(step=step, reason=reason)]
    return []


def record_payment(order: Order, status: PaymentStatus, payment_id: str, detail: str | None = None) -> list[Fact]:
    if not order.payment_status.may_become(status):
        return []
    return [PaymentRecorded(status=status, payment_id=payment_id, detail=detail)]


def refund(order: Order, refund_id: str, amount: Money, reason: str) -> list[Fact]:
    if refund_id in order.refund_ids:
        return []
    return finish(order, OrderRefunded(refund_id=refund_id, amount=amount, reason=reason))


def ship(order: Order, shipment: Shipment, tracking_url: str | None = None) -> list[Fact]:
    """Records the dispatch even if the order is being cancelled, since the parcel has left."""
    if order.status in (*_LEFT, Status.CANCELLED) or order.has_left:
        return []
    return [OrderShipped(**shipment.model_dump(), tracking_url=tracking_url)]


def deliver(order: Order, shipment_id: str) -> list[Fact]:
    if order.status in (Status.DELIVERED, Status.REFUNDED, Status.CANCELLED):
        return []
    if order.status is not Status.SHIPPED and not (order.is_given_up and order.has_left):
        raise NotYetShipped(f"order {order.id} is {order.status}")
    return [OrderDelivered(shipment_id=shipment_id), *_last_of(order)]


def give_up(order: Order, *, has_left: bool) -> list[Fact]:
    """The carrier has given up the parcel. Its message is not kept, since it may name a person.

    An order that is already being cancelled needs no attention for this.
    """
    if order.status in (Status.DELIVERED, Status.REFUNDED, Status.CANCELLED):
        return []
    if has_left and not order.has_left:
        raise NotYetShipped(f"order {order.id} is {order.status}")
    if order.status is Status.SHIPPED:
        return [OrderNeedsAttention(step=DELIVERY, reason="undelivered")]
    if order.status in (Status.PENDING, Status.CONFIRMED):
        return [OrderNeedsAttention(step=DELIVERY, reason="not-collected")]
    return []


def claim(order: Order, customer_id: str) -> OrderClaimed | None:
    """The first account that claims the order of a guest has it. None where an account has it already."""
    return OrderClaimed(customer_id=customer_id) if order.is_guests else None


def forget_customer(order: Order) -> list[Fact]:
    """The account is closed. The order keeps its address until the parcel has arrived."""
    if order.is_anonymous:
        return []
    if order.status not in _UNFINISHED:
        return [OrderAnonymised()]
    return [] if order.customer_left else [CustomerLeft()]


def finish(order: Order, fact: Fact) -> list[Fact]:
    """The fact, and the anonymisation if the fact finishes an order that was given up."""
    is_last = order.is_given_up and apply(order, fact, order.updated_at).status is Status.REFUNDED
    return [fact, *(_last_of(order) if is_last else [])]


def _last_of(order: Order) -> list[Fact]:
    """The facts that follow the one that finishes an order."""
    return [OrderAnonymised()] if order.customer_left else []
