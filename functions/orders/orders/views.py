"""The request and response bodies of orders."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field

from mercato.addresses import region_of, require_postcode
from mercato.charges import Charge, tax_of
from mercato.clock import rfc3339
from mercato.countries import Country
from mercato.http import Body, Cursor, Day, Moment, Query, View
from mercato.ids import fingerprint
from mercato.languages import Language
from mercato.money import MAX_AMOUNT, Money
from mercato.text import TOKEN, AddressLine, EmailAddress, Exact, Phone, Postcode, RegionName, Text
from orders.day_sums import Days, Sums
from orders.domain import MAX_LINES, MAX_QUANTITY, Wanted
from orders.facts import Fact, OrderPlaced, Recorded
from orders.open_returns import OpenReturn
from orders.order import (
    Action,
    Address,
    Awaited,
    Delivery,
    Order,
    OrderedCart,
    PostalAddress,
    ReceivedLine,
    Return,
    ReturnedLine,
    ReturnStatus,
    Shipment,
    Status,
)
from orders.returns import Terms
from orders.staff_list import Wanted as WantedOrders
from orders.store import Summary
from orders.usecases import History, Placement

_AMOUNTS = ("gross", "cancelled_amount", "refunded")


class LineWanted(Body):
    """`unit_price` is the price that the customer saw."""

    product_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
    unit_price: Money


class ShippingAddress(Body):
    """`region` is a code, such as CA, or a name. `postcode` is needed where the country uses one."""

    name: AddressLine
    company: AddressLine | None = None
    line1: AddressLine
    line2: AddressLine | None = None
    city: AddressLine
    region: Annotated[RegionName, Field(examples=["Midlothian"])] | None = None
    postcode: Postcode = ""
    country: Country
    phone: Phone | None = None

    def as_address(self) -> Address:
        """Clients of the first release know no region and send any postcode. Raises InvalidAddress."""
        require_postcode(self.country, self.postcode, "shipping_address")
        return Address(**self.model_dump() | {"region": region_of(self.country, self.region)})


class NamedCart(Body):
    """The cart and the version of it that the customer saw."""

    id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    version: Annotated[int, Field(ge=1, le=2**53 - 1)]


class PlaceOrder(Body):
    """Delivery and tax are charged as in a checkout. `service` is the code of a delivery service, by default the
    cheapest. `seen_total` is the total that the buyer saw; if it differs, nothing is ordered.

    One version of a cart can be ordered once; a second order of it is 409 cart-already-ordered. Lines put into the
    cart after that version stay there.

    `waits_for_buyer`: where the bank asks for the buyer or declines the card, the order waits for POST
    /api/orders/{order_id}/payments while its goods are reserved. Without it, such an order is cancelled.

    `language` is that of the messages about the order, for as long as there are any. Without it, it is the shop's own.
    """

    lines: Annotated[list[LineWanted], Field(min_length=1, max_length=MAX_LINES)]
    payment_token: Annotated[str, Field(min_length=1, max_length=256, pattern=TOKEN)]
    shipping_address: ShippingAddress
    cart: NamedCart | None = None
    waits_for_buyer: bool = False
    service: Annotated[str, Exact(), Field(min_length=1, max_length=64, examples=["standard"])] | None = None
    seen_total: Money | None = None
    language: Language | None = None

    def as_placement(self) -> Placement:
        # What a release did not know yet, and the order does not have, is not in its fingerprint.
        new = {name for name in ("company", "region", "phone") if getattr(self.shipping_address, name) is None}
        absent = {
            name: True
            for name in ("cart", "waits_for_buyer", "service", "seen_total", "language")
            if not getattr(self, name)
        }
        unnamed: dict[str, Any] = {"shipping_address": new} | absent
        return Placement(
            wanted=tuple(Wanted(line.product_id, line.quantity, line.unit_price) for line in self.lines),
            shipping_address=self.shipping_address.as_address(),
            payment_token=self.payment_token,
            fingerprint=fingerprint(self.model_dump(mode="json", exclude=unnamed)),
            cart=OrderedCart(**self.cart.model_dump()) if self.cart else None,
            waits_for_buyer=self.waits_for_buyer,
            service=self.service,
            seen_total=self.seen_total,
            language=self.language,
        )


class PlaceQuoted(Body):
    """`quote` is the token of a checkout's quote. One version of a checkout is one order, however often it is sent.
    `waits_for_buyer` and `language` are those of POST /api/orders.
    """

    quote: Annotated[str, Field(min_length=1, max_length=200_000, pattern=TOKEN)]
    payment_token: Annotated[str, Field(min_length=1, max_length=256, pattern=TOKEN)]
    waits_for_buyer: bool = False
    language: Language | None = None


class PayAgain(Body):
    """`payment_token` is another card, for the next attempt. Without it, the buyer has confirmed the attempt at the
    bank.
    """

    payment_token: Annotated[str, Field(min_length=1, max_length=256, pattern=TOKEN)] | None = None


class PlaceForGuest(Body):
    """`cart_id` is the secret id of the guest's cart, for which the quote was given. With `waits_for_buyer` the order
    waits for another card, or for the buyer's confirmation at the bank.
    """

    quote: Annotated[str, Field(min_length=1, max_length=200_000, pattern=TOKEN)]
    payment_token: Annotated[str, Field(min_length=1, max_length=256, pattern=TOKEN)]
    cart_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    waits_for_buyer: bool = False
    language: Language | None = None


class CancelOrder(Body):
    reason: Literal["changed_mind", "ordered_by_mistake", "found_cheaper", "too_slow", "other"] = "other"


class LineReturned(Body):
    product_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


class ReturnGoods(Body):
    lines: Annotated[list[LineReturned], Field(min_length=1, max_length=MAX_LINES)]
    reason: Literal["changed_mind", "damaged", "not_as_described", "wrong_item", "undelivered", "lost", "other"] = (
        "other"
    )

    def as_lines(self) -> list[ReturnedLine]:
        return [ReturnedLine(**line.model_dump()) for line in self.lines]


class RefuseReturn(Body):
    """`refusal` is why, for the customer to read."""

    refusal: Annotated[str, Text(300, at_least=3)]


class LineReceived(Body):
    """Units that came: those to put in stock again, and those that cannot be sold again."""

    product_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    restock: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] = 0
    write_off: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] = 0


class ReceiveReturn(Body):
    """What came of the return. What is not named did not come, and is not refunded."""

    lines: Annotated[list[LineReceived], Field(min_length=1, max_length=MAX_LINES)]

    def as_lines(self) -> list[ReceivedLine]:
        return [ReceivedLine(quantity=line.restock + line.write_off, **line.model_dump()) for line in self.lines]


class ReturnsQuery(Query):
    """`state` is what the returns wait for: `requested` for an approval, `approved` for the goods."""

    state: Literal["requested", "approved"] = "requested"
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class OrdersQuery(Query):
    status: Status | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class StaffQuery(Query):
    """An order must match all filters. `email` is a whole address. `order_id` is an order's id or its first part, at
    least four characters: orders are then sorted by id, else the newest comes first. `number` is an order's number as
    people type it. Days are in UTC, both inclusive. Amounts are minor units of the order's currency.
    """

    state: Status | None = None
    first_day: Annotated[Day | None, Field(alias="from")] = None
    last_day: Annotated[Day | None, Field(alias="to")] = None
    customer_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)] | None = None
    email: EmailAddress | None = None
    min_total: Annotated[int, Field(ge=0, le=MAX_AMOUNT)] | None = None
    max_total: Annotated[int, Field(ge=0, le=MAX_AMOUNT)] | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    order_id: Annotated[str, Exact(), Field(pattern="^[0-9a-f-]{4,36}$")] | None = None
    number: Annotated[str, Exact(), Field(min_length=1, max_length=40)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None

    def wanted(self, customer_id: str | None, number: str | None) -> WantedOrders:
        return WantedOrders(
            status=self.state,
            first_day=self.first_day,
            last_day=self.last_day,
            customer_id=customer_id,
            least=self.min_total,
            most=self.max_total,
            currency=self.currency,
            id_prefix=self.order_id,
            number=number,
        )


class DaysQuery(Query):
    """The days are UTC's, both inclusive, and at most 366."""

    first_day: Annotated[Day, Field(alias="from")]
    last_day: Annotated[Day, Field(alias="to")]


class HistoryQuery(Query):
    """The history ends at the time `as_of` and at the fact number `version`, whichever comes first."""

    as_of: Moment | None = None
    version: Annotated[int, Field(ge=1, le=2**53 - 1)] | None = None


class LineView(View):
    """`returnable` is the quantity for which a customer may request a return, within the time for it."""

    product_id: str
    sku: str
    name: str
    quantity: int
    returned: int
    returnable: int
    unit_price: Money


class AddressView(View):
    """`postcode` is empty where the country has none."""

    name: str
    company: str | None
    line1: str
    line2: str | None
    city: str
    region: str | None
    postcode: str
    country: str
    phone: str | None

    @classmethod
    def of(cls, address: PostalAddress | None) -> Self | None:
        return cls(**address.model_dump(include=set(cls.model_fields))) if address else None


class ReturnView(View):
    """`lines` were requested. `received` is what came: of `quantity` units `restock` can be sold again and `write_off`
    cannot; units of a lost parcel are neither. `status` is requested, approved, refused, cancelled, received or
    refunded, and `since` when it became so.

    `amount` is what would be refunded for `lines` until they are received, and then what is to be refunded. `refunded`
    is null until it is. `charges` are the parts of the order's charges that the receipt undoes; none for a return that
    is older than they are. `refusal` is why staff refused the return. `refund_id` is the refund's id, and
    empty until the return is received.
    """

    return_id: str
    refund_id: str
    lines: list[ReturnedLine]
    reason: str
    amount: Money
    refunded: Money | None
    at: str
    charges: list[Charge]
    status: ReturnStatus
    since: datetime
    received: list[ReceivedLine]
    refusal: str | None

    @classmethod
    def of(cls, made: Return) -> Self:
        return cls(
            return_id=made.return_id,
            refund_id=made.refund_id,
            lines=list(made.lines),
            reason=made.reason,
            amount=made.amount,
            refunded=made.refunded,
            at=rfc3339(made.at),
            charges=list(made.charges),
            status=made.status,
            since=made.since,
            received=list(made.received),
            refusal=made.refusal,
        )


class OpenReturnView(View):
    """A return that waits for staff, `since` when. `amount` would be refunded for all its `units`. `number` is the
    order's number for people; orders of earlier releases have none.
    """

    order_id: str
    number: str | None
    customer_id: str
    return_id: str
    status: ReturnStatus
    reason: str
    units: int
    amount: Money
    at: datetime
    since: datetime

    @classmethod
    def of(cls, found: OpenReturn) -> Self:
        return cls(**vars(found))


class ReturnPage(View):
    items: list[OpenReturnView]
    next_cursor: str | None


class StepView(View):
    at: str
    status: str
    detail: str | None


class PaymentWaitView(View):
    """What the buyer does, until a time. `state` is action_required (the bank asks: see `action`), declined (another
    card is needed) or processing (an attempt is being made, or the bank's `action` comes in a moment; look again).
    `attempts` counts the cards.
    """

    state: str
    action: Action | None
    attempts: int
    until: str
    reason: str
    detail: str

    @classmethod
    def of(cls, order: Order, awaited: Awaited, action: Action | None, *, is_buyer: bool) -> Self:
        is_action_missing = is_buyer and awaited.state == "action_required" and action is None
        return cls(
            state="processing" if awaited.is_answered or is_action_missing else awaited.state,
            action=action,
            attempts=order.attempt,
            until=rfc3339(awaited.until),
            reason=awaited.reason,
            detail=awaited.detail,
        )


class OrderView(View):
    """`charges` add up to `total`, and their taxes to `tax`. `delivery` is the service that the parcel takes.
    An order of an earlier release that names no quote has its lines as charges, without tax, and no `delivery`.
    `number` is for people; orders of earlier releases have none. `return_until` is when the time to request a return is
    over; null before the delivery. `payment` is given while the order waits for its buyer. `codes` are those of its
    coupons.
    """

    order_id: str
    number: str | None
    customer_id: str
    status: str
    payment: PaymentWaitView | None
    payment_status: str
    payment_id: str | None
    reason: str | None
    detail: str | None
    lines: list[LineView]
    charges: list[Charge]
    tax: Money
    total: Money
    delivery: Delivery | None
    codes: list[str]
    refunded: Money
    returns: list[ReturnView]
    return_until: datetime | None
    shipping_address: AddressView | None  # None once its customer's account is closed
    billing_address: AddressView | None  # if it is another one
    shipment: Shipment | None
    placed_at: str
    updated_at: str
    version: int
    timeline: list[StepView]

    @classmethod
    def of(
        cls,
        order: Order,
        address: Address | None,
        terms: Terms,
        action: Action | None = None,
        *,
        is_buyer: bool = False,
    ) -> Self:
        returned, returnable, until = order.returned_pieces, order.requestable_pieces(), terms.until(order)
        return cls(
            order_id=order.id,
            number=order.number,
            customer_id=order.customer_id,
            status=order.status,
            payment=PaymentWaitView.of(order, order.awaited, action, is_buyer=is_buyer) if order.awaited else None,
            payment_status=order.payment_status,
            payment_id=order.payment_id,
            reason=order.reason,
            detail=order.detail,
            lines=[
                LineView(
                    **line.model_dump(),
                    returned=returned.get(line.product_id, 0),
                    returnable=returnable[line.product_id] if order.status is Status.DELIVERED else 0,
                )
                for line in order.lines
            ],
            charges=list(order.charges),
            tax=tax_of(order.charges),
            total=order.total,
            delivery=order.delivery,
            codes=list(order.coupons.codes) if order.coupons else [],
            refunded=order.refunded,
            returns=[ReturnView.of(made) for made in order.returns],
            return_until=until,
            shipping_address=AddressView.of(address),
            billing_address=AddressView.of(address.billing if address else None),
            shipment=order.shipment,
            placed_at=rfc3339(order.placed_at),
            updated_at=rfc3339(order.updated_at),
            version=order.version,
            timeline=[StepView(at=rfc3339(step.at), status=step.status, detail=step.detail) for step in order.timeline],
        )


class OrdersOfAddress(Body):
    """The e-mail address in its canonical form."""

    email: EmailAddress
    since: AwareDatetime


class OrderedView(View):
    ordered: bool


class GuestOrderView(View):
    """`token` opens the order at /api/orders/guests/{token}. A link with another token is mailed to the contact."""

    order: OrderView
    token: str


class SummaryView(View):
    """An order in a list. GET /api/orders/{order_id} returns its lines."""

    order_id: str
    number: str | None
    status: str
    payment_status: str
    reason: str | None
    total: Money
    line_count: int
    placed_at: str
    updated_at: str
    version: int

    @classmethod
    def of(cls, summary: Summary) -> Self:
        return cls(**_told(summary))


def _told(summary: Summary) -> dict[str, Any]:
    times = {"placed_at": rfc3339(summary.placed_at), "updated_at": rfc3339(summary.updated_at)}
    return {name: value for name, value in vars(summary).items() if name != "customer_id"} | times


class StaffOrderView(SummaryView):
    customer_id: str

    @classmethod
    def of(cls, summary: Summary) -> Self:
        return cls(**_told(summary), customer_id=summary.customer_id)


class StaffPage(View):
    """A page may hold fewer than `limit`, or none, and still have a cursor: filters select among the orders read."""

    items: list[StaffOrderView]
    next_cursor: str | None


class DayView(View):
    """The orders placed on the day and their total, the orders cancelled and the money that went back on it.

    What is cancelled or refunded counts on its own day, whenever the order was placed.
    """

    day: str
    orders: int
    gross: Money
    cancelled: int
    cancelled_amount: Money
    refunded: Money

    @classmethod
    def of(cls, day: str, currency: str, sums: Sums) -> Self:
        amounts = {name: Money(amount=getattr(sums, name), currency=currency) for name in _AMOUNTS}
        return cls(day=day, orders=sums.orders, cancelled=sums.cancelled, **amounts)


class DaysView(View):
    """One item for each day and currency in which something happened, the newest first."""

    items: list[DayView]

    @classmethod
    def of(cls, days: Days) -> Self:
        return cls(items=[DayView.of(*key, sums) for key, sums in sorted(days.items(), reverse=True)])


class OrderPage(View):
    items: list[SummaryView]
    next_cursor: str | None


class ActorView(View):
    """`kind` is customer, admin, peer, saga or event. `name` is the user's id, the saga's step or the event's type; the
    id of an admin is for admins only.
    """

    kind: str
    name: str | None

    @classmethod
    def of(cls, actor: str, *, tells_staff: bool) -> Self:
        kind, _, name = actor.partition(":")
        return cls(kind=kind, name=name if name and (kind != "admin" or tells_staff) else None)


class FactView(View):
    """`correlation_id` is the id of the request that the fact goes back to. `actor` is null for facts that are older
    than the recording of actors.
    """

    version: int
    at: str
    type: str
    data: dict[str, Any]
    correlation_id: str
    actor: ActorView | None

    @classmethod
    def of(cls, recorded: Recorded, *, tells_staff: bool) -> Self:
        return cls(
            actor=ActorView.of(recorded.actor, tells_staff=tells_staff) if recorded.actor else None,
            version=recorded.version,
            at=rfc3339(recorded.at),
            type=type(recorded.fact).__name__,
            data=_shown(recorded.fact),
            correlation_id=recorded.correlation_id,
        )


class HistoryView(View):
    """The facts up to `as_of` and `version`, and the order after them. `last_version` is the order's last of all."""

    order: OrderView
    facts: list[FactView]
    as_of: str | None
    last_version: int

    @classmethod
    def of(
        cls, history: History, address: Address | None, as_of: datetime | None, terms: Terms, *, tells_staff: bool
    ) -> Self:
        return cls(
            order=OrderView.of(history.order, address, terms),
            facts=[FactView.of(recorded, tells_staff=tells_staff) for recorded in history.facts],
            as_of=rfc3339(as_of) if as_of else None,
            last_version=history.last_version,
        )


def _shown(fact: Fact) -> dict[str, Any]:
    """The fact's fields without the payment token, and without lines and charges, which the order already shows."""
    hidden = {"payment_token", "fingerprint", "request"}
    if isinstance(fact, OrderPlaced):
        hidden |= {"lines", "charges"}
    return fact.model_dump(mode="json", exclude=hidden)
