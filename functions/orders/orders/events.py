"""The events that orders publishes."""

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from mercato.charges import Charge
from mercato.clock import rfc3339
from mercato.events import EventModel
from mercato.languages import Language
from mercato.money import Money
from orders import facts
from orders.order import Address, Line, Order
from orders.order import Contact as OrderContact

_ORDER, _CUSTOMER = "9a1f0f0e-5b7c-5c1e-8f3e-2f1f0a6d4c11", "0193a1c2-7d00-7000-8000-00000000c0de"
_TOTAL = {"amount": 2500, "currency": "GBP"}
_LINE = {
    "product_id": "0193a1c2-7d00-7000-8000-00000000cafe",
    "sku": "MUG-RED",
    "name": "Red mug",
    "quantity": 2,
    "unit_price": {"amount": 1250, "currency": "GBP"},
}
_WHO = {"order_id": _ORDER, "customer_id": _CUSTOMER}
_NUMBER = {"number": "K7QF2-M9X40", "language": "de"}
_CHARGES: list[dict[str, Any]] = [
    {
        "kind": "goods",
        "product_id": _LINE["product_id"],
        "description": "Red mug",
        "quantity": 2,
        "amount": {"amount": 2500, "currency": "GBP"},
        "tax": {"amount": 417, "currency": "GBP"},
        "rate": "0.2000",
        "tax_class": "standard",
        "jurisdiction": "GB",
    },
    {
        "kind": "shipping",
        "product_id": None,
        "description": "Standard delivery",
        "quantity": 1,
        "amount": {"amount": 395, "currency": "GBP"},
        "tax": {"amount": 66, "currency": "GBP"},
        "rate": "0.2000",
        "tax_class": "standard",
        "jurisdiction": "GB",
    },
]
_PLACED = {
    "total": {"amount": 2895, "currency": "GBP"},
    "lines": [_LINE],
    "charges": _CHARGES,
    "delivery": {
        "carrier": "sandbox",
        "service": "standard",
        "name": "Standard delivery",
        "days": 3,
        "weight_grams": 1250,
    },
}
_SHIPMENT = "5d0d6a52-6a4c-5c55-9f0b-6e1e2b3c4d5e"


class OrderLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money


class Pieces(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    product_id: str
    quantity: int


class ShippingAddress(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    """`postcode` is empty where the country has none. `region` is its code, if it has one."""

    name: str
    company: str | None = None
    line1: str
    line2: str | None
    city: str
    region: str | None = None
    postcode: str
    country: str
    phone: str | None = None


class Cart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: str
    version: int


class Delivery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    carrier: str
    service: str
    name: str
    days: int
    weight_grams: int | None = None


class Contact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    email: str
    name: str


class OrderCreated(EventModel):
    """An order was placed. Nothing is reserved or paid yet. `cart` is the ordered cart, if the order names one.
    `contact` is whom to write to about the order of a guest, who has no account.

    `charges` add up to `total`, and `delivery` is the service that the parcel takes. Orders of earlier releases
    without a quote have neither: their lines are what is paid. `number` is the order's number for people, and
    `language` that of the messages about it, if the buyer named one; here and in the order's other events.
    """

    TYPE: ClassVar[str] = "order.created"
    EXAMPLE: ClassVar[dict[str, Any]] = (
        _WHO
        | _NUMBER
        | _PLACED
        | {
            "cart": {"id": "7d1f7d5e-3f6b-5a0e-8f6c-52d6a4b7c011", "version": 1795348803},
            "contact": {"email": "ada@example.com", "name": "Ada Lovelace"},
        }
    )

    order_id: str
    customer_id: str
    total: Money
    lines: list[OrderLine]
    cart: Cart | None = None
    charges: list[Charge] | None = None
    delivery: Delivery | None = None
    number: str | None = None
    language: Language | None = None
    contact: Contact | None = None


class OrderPaymentAwaited(EventModel):
    """The order waits for its buyer until a time: to confirm the attempt at the bank (`state` is action_required), or
    to bring another card (declined).
    """

    TYPE: ClassVar[str] = "order.payment_awaited"
    EXAMPLE: ClassVar[dict[str, Any]] = (
        _WHO
        | _NUMBER
        | {
            "attempt": 1,
            "state": "declined",
            "reason": "card_declined",
            "detail": "Your bank declined the card.",
            "until": "2026-11-22T12:22:00.000Z",
        }
    )

    order_id: str
    customer_id: str
    attempt: int
    state: str
    reason: str
    detail: str
    until: str
    number: str | None = None
    language: Language | None = None


class OrderPaymentAttempted(EventModel):
    """The buyer of an order that waits has confirmed the attempt, or brings another card for the next one."""

    TYPE: ClassVar[str] = "order.payment_attempted"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO | {"attempt": 2}

    order_id: str
    customer_id: str
    attempt: int


class OrderConfirmed(EventModel):
    """The goods are reserved and the payment is authorised. `charges` and `delivery` are as in order.created."""

    TYPE: ClassVar[str] = "order.confirmed"
    EXAMPLE: ClassVar[dict[str, Any]] = (
        _WHO
        | _NUMBER
        | _PLACED
        | {
            "shipping_address": {
                "name": "Ada Lovelace",
                "company": None,
                "line1": "12 St James's Square",
                "line2": None,
                "city": "London",
                "region": None,
                "postcode": "SW1Y 4JH",
                "country": "GB",
                "phone": "+44 20 7946 0958",
            },
        }
    )

    order_id: str
    customer_id: str
    total: Money
    lines: list[OrderLine]
    shipping_address: ShippingAddress
    charges: list[Charge] | None = None
    delivery: Delivery | None = None
    number: str | None = None
    language: Language | None = None


class OrderCancellationRequested(EventModel):
    """The customer has cancelled the order. The cancellation is under way."""

    TYPE: ClassVar[str] = "order.cancellation_requested"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO

    order_id: str
    customer_id: str


class OrderCancelled(EventModel):
    """The order is cancelled and undone. `reason` is a stable slug, `detail` is for the customer."""

    TYPE: ClassVar[str] = "order.cancelled"
    EXAMPLE: ClassVar[dict[str, Any]] = (
        _WHO
        | _NUMBER
        | {
            "total": _TOTAL,
            "reason": "out-of-stock",
            "detail": "Something in this order is out of stock.",
        }
    )

    order_id: str
    customer_id: str
    total: Money
    reason: str
    detail: str
    number: str | None = None
    language: Language | None = None


class OrderShipped(EventModel):
    """The parcel is on its way. `tracking_url` is the carrier's page about it, if there is one."""

    TYPE: ClassVar[str] = "order.shipped"
    EXAMPLE: ClassVar[dict[str, Any]] = (
        _WHO
        | _NUMBER
        | {
            "shipment_id": _SHIPMENT,
            "carrier": "sandbox",
            "tracking_number": "SBX000000001",
            "tracking_url": "https://track.example/SBX000000001",
            "lines": [{"product_id": _LINE["product_id"], "quantity": 2}],
        }
    )

    order_id: str
    customer_id: str
    shipment_id: str
    carrier: str
    tracking_number: str
    tracking_url: str | None = None
    lines: list[Pieces]
    number: str | None = None
    language: Language | None = None


class OrderDelivered(EventModel):
    """The parcel has arrived."""

    TYPE: ClassVar[str] = "order.delivered"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO | _NUMBER | {"shipment_id": _SHIPMENT}

    order_id: str
    customer_id: str
    shipment_id: str
    number: str | None = None
    language: Language | None = None


class OrderReturnAccepted(EventModel):
    """No longer published: order.return_received took its place. Its consumers stay for events that are replayed.

    Goods come back, or are `lost`. `amount` is to be refunded with the key `refund_id`; 0 if all is refunded.

    `charges` are the parts of the order's charges that this undoes. They add up to `amount`, unless earlier refunds
    left less.
    """

    TYPE: ClassVar[str] = "order.return_accepted"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO | {
        "return_id": "0f6d2f4e-97b6-5b57-a2a4-9a4c5a1f7e55",
        "refund_id": "7c3d9a51-2f0e-5d6b-8a41-66f0d1c2b3a4",
        "lines": [{"product_id": _LINE["product_id"], "quantity": 1}],
        "amount": {"amount": 1250, "currency": "GBP"},
        "reason": "damaged",
        "charges": [
            _CHARGES[0]
            | {
                "quantity": 1,
                "amount": {"amount": 1250, "currency": "GBP"},
                "tax": {"amount": 208, "currency": "GBP"},
            }
        ],
    }

    order_id: str
    customer_id: str
    return_id: str
    refund_id: str
    lines: list[Pieces]
    amount: Money
    reason: str
    charges: list[Charge] | None = None


_RETURN = _WHO | _NUMBER | {"return_id": "0f6d2f4e-97b6-5b57-a2a4-9a4c5a1f7e55"}


class OrderReturnApproved(EventModel):
    """The customer may send the goods back. `amount` would be refunded if all of them came now."""

    TYPE: ClassVar[str] = "order.return_approved"
    EXAMPLE: ClassVar[dict[str, Any]] = _RETURN | {
        "lines": [{"product_id": _LINE["product_id"], "quantity": 1}],
        "amount": {"amount": 1250, "currency": "GBP"},
    }

    order_id: str
    customer_id: str
    return_id: str
    lines: list[Pieces]
    amount: Money
    number: str | None = None
    language: Language | None = None


class OrderReturnRefused(EventModel):
    """The shop does not take the goods back. `refusal` is why, for the customer."""

    TYPE: ClassVar[str] = "order.return_refused"
    EXAMPLE: ClassVar[dict[str, Any]] = _RETURN | {"refusal": "Earrings cannot be returned."}

    order_id: str
    customer_id: str
    return_id: str
    refusal: str
    number: str | None = None
    language: Language | None = None


class ReceivedPieces(BaseModel):
    """Of `quantity` units `restock` go back into stock, and `write_off` cannot be sold again. Units of a lost parcel
    are neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    product_id: str
    quantity: int
    restock: int
    write_off: int


class OrderReturnReceived(EventModel):
    """Goods came back, or are `lost`. `amount` is to be refunded with the key `refund_id`; 0 if all is refunded.

    `charges` are the parts of the order's charges that this undoes. They add up to `amount`, unless earlier refunds
    left less.
    """

    TYPE: ClassVar[str] = "order.return_received"
    EXAMPLE: ClassVar[dict[str, Any]] = (
        OrderReturnAccepted.EXAMPLE
        | _NUMBER
        | {"lines": [{"product_id": _LINE["product_id"], "quantity": 1, "restock": 0, "write_off": 1}]}
    )

    order_id: str
    customer_id: str
    return_id: str
    refund_id: str
    lines: list[ReceivedPieces]
    amount: Money
    reason: str
    charges: list[Charge] | None = None
    number: str | None = None
    language: Language | None = None


class OrderRefunded(EventModel):
    """A refund of `amount` was made."""

    TYPE: ClassVar[str] = "order.refunded"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO | {"amount": _TOTAL}

    order_id: str
    customer_id: str
    amount: Money


class OrderClaimed(EventModel):
    """The order of a guest belongs to the account `customer_id` from here on."""

    TYPE: ClassVar[str] = "order.claimed"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO

    order_id: str
    customer_id: str


class OrderAnonymised(EventModel):
    """The order is finished and its customer's account is closed. Services that keep its address erase it.
    `guest_id` is the guest who had placed it, if one had.
    """

    TYPE: ClassVar[str] = "order.anonymised"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO | {"guest_id": "guest:8d0e1c9a-5b7f-5f0d-9a52-0f2f5c1b6d11"}

    order_id: str
    customer_id: str
    guest_id: str | None = None


class OrderNeedsAttention(EventModel):
    """The order could not be undone automatically, or its parcel was given up. An operator must act."""

    TYPE: ClassVar[str] = "order.needs_attention"
    EXAMPLE: ClassVar[dict[str, Any]] = _WHO | {"step": "ReleaseInventory", "reason": "TransientError"}

    order_id: str
    customer_id: str
    step: str
    reason: str


PUBLISHES: tuple[type[EventModel], ...] = (
    OrderCreated,
    OrderPaymentAwaited,
    OrderPaymentAttempted,
    OrderConfirmed,
    OrderCancellationRequested,
    OrderCancelled,
    OrderShipped,
    OrderDelivered,
    OrderReturnAccepted,
    OrderReturnApproved,
    OrderReturnRefused,
    OrderReturnReceived,
    OrderRefunded,
    OrderNeedsAttention,
    OrderAnonymised,
    OrderClaimed,
)


def _lines(lines: tuple[Line, ...]) -> list[OrderLine]:
    return [OrderLine(**line.model_dump()) for line in lines]


def _charged(order: Order) -> dict[str, Any]:
    return {
        "charges": list(order.frozen) or None,
        "delivery": Delivery(**order.delivery.model_dump()) if order.delivery else None,
    }


def _address(address: Address) -> ShippingAddress:
    return ShippingAddress(**address.model_dump(exclude={"billing"}))


def _created(order: Order, fact: facts.OrderPlaced, contact: OrderContact | None) -> EventModel:
    return OrderCreated(
        contact=Contact(**contact.model_dump()) if contact else None,
        order_id=order.id,
        customer_id=order.customer_id,
        total=order.total,
        lines=_lines(order.lines),
        cart=Cart(**fact.cart.model_dump()) if fact.cart else None,
        number=order.number,
        language=order.language,
        **_charged(order),
    )


def _confirmed(order: Order, _: facts.OrderConfirmed, address: Address | None) -> EventModel:
    if address is None:
        raise LookupError(f"order {order.id} has no address, though it is erased only after an order is finished")
    return OrderConfirmed(
        order_id=order.id,
        customer_id=order.customer_id,
        total=order.total,
        lines=_lines(order.lines),
        shipping_address=_address(address),
        number=order.number,
        language=order.language,
        **_charged(order),
    )


def _cancellation_requested(order: Order, _: facts.CancellationRequested, __: Address | None) -> EventModel:
    return OrderCancellationRequested(order_id=order.id, customer_id=order.customer_id)


def _cancelled(order: Order, fact: facts.OrderCancelled, _: Address | None) -> EventModel:
    about = {"order_id": order.id, "customer_id": order.customer_id, "number": order.number, "language": order.language}
    return OrderCancelled(**about, total=order.total, **fact.model_dump())


def _shipped(order: Order, fact: facts.OrderShipped, _: Address | None) -> EventModel:
    lines = [Pieces(product_id=line.product_id, quantity=line.quantity) for line in order.lines]
    about = {"order_id": order.id, "customer_id": order.customer_id, "number": order.number, "language": order.language}
    return OrderShipped(**about, lines=lines, **fact.model_dump())


def _delivered(order: Order, fact: facts.OrderDelivered, _: Address | None) -> EventModel:
    about = {"order_id": order.id, "customer_id": order.customer_id, "number": order.number, "language": order.language}
    return OrderDelivered(**about, shipment_id=fact.shipment_id)


def _return_requested(order: Order, fact: facts.ReturnRequested, _: Address | None) -> EventModel | None:
    """A request that nobody has to approve is published as approved. Others only wait in staff's list."""
    return _approved(order, fact.return_id) if fact.is_approved else None


def _return_approved(order: Order, fact: facts.ReturnApproved, _: Address | None) -> EventModel:
    return _approved(order, fact.return_id)


def _approved(order: Order, return_id: str) -> EventModel:
    made = next(one for one in order.returns if one.return_id == return_id)
    return OrderReturnApproved(
        order_id=order.id,
        customer_id=order.customer_id,
        return_id=return_id,
        lines=[Pieces(**line.model_dump()) for line in made.lines],
        amount=made.amount,
        number=order.number,
        language=order.language,
    )


def _return_refused(order: Order, fact: facts.ReturnRefused, _: Address | None) -> EventModel:
    return OrderReturnRefused(
        order_id=order.id,
        customer_id=order.customer_id,
        return_id=fact.return_id,
        refusal=fact.refusal,
        number=order.number,
        language=order.language,
    )


def _return_received(order: Order, fact: facts.ReturnReceived, _: Address | None) -> EventModel:
    return OrderReturnReceived(
        order_id=order.id,
        customer_id=order.customer_id,
        return_id=fact.return_id,
        refund_id=fact.refund_id,
        lines=[ReceivedPieces(**line.model_dump()) for line in fact.lines],
        amount=fact.amount,
        reason=fact.reason,
        charges=list(fact.charges) or None,
        number=order.number,
        language=order.language,
    )


def _refunded(order: Order, fact: facts.OrderRefunded, _: Address | None) -> EventModel:
    return OrderRefunded(order_id=order.id, customer_id=order.customer_id, amount=fact.amount)


def _needs_attention(order: Order, fact: facts.OrderNeedsAttention, _: Address | None) -> EventModel:
    return OrderNeedsAttention(order_id=order.id, customer_id=order.customer_id, **fact.model_dump())


def _anonymised(order: Order, _: facts.OrderAnonymised, __: Address | None) -> EventModel:
    return OrderAnonymised(order_id=order.id, customer_id=order.customer_id, guest_id=order.guest_id or None)


def _claimed(order: Order, _: facts.OrderClaimed, __: Address | None) -> EventModel:
    return OrderClaimed(order_id=order.id, customer_id=order.customer_id)


def _payment_awaited(order: Order, fact: facts.PaymentAwaited, _: Address | None) -> EventModel:
    told = fact.awaited.model_dump(include={"attempt", "state", "reason", "detail"})
    about = {"order_id": order.id, "customer_id": order.customer_id, "number": order.number, "language": order.language}
    return OrderPaymentAwaited(**about, until=rfc3339(fact.awaited.until), **told)


def _payment_attempted(order: Order, fact: facts.PaymentAttempted, _: Address | None) -> EventModel:
    return OrderPaymentAttempted(order_id=order.id, customer_id=order.customer_id, attempt=fact.attempt)


_ANNOUNCED: dict[type[facts.Fact], Callable[[Order, Any, Any], EventModel | None]] = {
    facts.OrderPlaced: _created,
    facts.PaymentAwaited: _payment_awaited,
    facts.PaymentAttempted: _payment_attempted,
    facts.OrderConfirmed: _confirmed,
    facts.CancellationRequested: _cancellation_requested,
    facts.OrderCancelled: _cancelled,
    facts.OrderShipped: _shipped,
    facts.OrderDelivered: _delivered,
    facts.ReturnRequested: _return_requested,
    facts.ReturnApproved: _return_approved,
    facts.ReturnRefused: _return_refused,
    facts.ReturnReceived: _return_received,
    facts.OrderRefunded: _refunded,
    facts.OrderNeedsAttention: _needs_attention,
    facts.OrderAnonymised: _anonymised,
    facts.OrderClaimed: _claimed,
}


def announcement(order: Order, fact: facts.Fact, person: Address | OrderContact | None = None) -> EventModel | None:
    """The event that publishes a fact, given the order after it; None for an internal fact. The event of a
    confirmation contains the address, and that of a guest's order the contact, which no fact contains.
    """
    announce = _ANNOUNCED.get(type(fact))
    return announce(order, fact, person) if announce else None
