"""The events that payments publishes. The subject is the payment."""

from typing import Any, ClassVar

from mercato.events import EventModel
from mercato.languages import Language
from mercato.money import Money

_ABOUT = {
    "payment_id": "pay-1",
    "order_id": "o-1",
    "customer_id": "u-1",
    "amount": {"amount": 1250, "currency": "GBP"},
    "order_number": "K7QF2-M9X40",
    "language": "de",
}


class PaymentAuthorized(EventModel):
    """The money is held."""

    TYPE: ClassVar[str] = "payment.authorized"
    EXAMPLE: ClassVar[dict[str, Any]] = _ABOUT

    payment_id: str
    order_id: str
    customer_id: str
    amount: Money
    order_number: str | None = None
    language: Language | None = None


class PaymentCompleted(EventModel):
    """The money is captured."""

    TYPE: ClassVar[str] = "payment.completed"
    EXAMPLE: ClassVar[dict[str, Any]] = _ABOUT

    payment_id: str
    order_id: str
    customer_id: str
    amount: Money
    order_number: str | None = None
    language: Language | None = None


class PaymentFailed(EventModel):
    """Declined, or given up after an error; nothing was captured. Once per payment. `detail` is for the customer."""

    TYPE: ClassVar[str] = "payment.failed"
    EXAMPLE: ClassVar[dict[str, Any]] = _ABOUT | {"reason": "card_declined", "detail": "Your bank declined the card."}

    payment_id: str
    order_id: str
    customer_id: str
    amount: Money
    reason: str
    detail: str
    order_number: str | None = None
    language: Language | None = None


class PaymentAnswered(EventModel):
    """The provider has decided an attempt that waited for its buyer: `status` is authorized, declined or captured.
    After a decline the buyer may make another attempt, until `payment.failed`.
    """

    TYPE: ClassVar[str] = "payment.answered"
    EXAMPLE: ClassVar[dict[str, Any]] = {name: _ABOUT[name] for name in ("payment_id", "order_id", "customer_id")} | {
        "attempt": 2,
        "status": "authorized",
    }

    payment_id: str
    order_id: str
    customer_id: str
    attempt: int
    status: str


class PaymentDisputed(EventModel):
    """The buyer's bank disputes the payment, or has decided: `status` is inquiry, open, won, lost or closed. An open
    dispute has taken `amount` from the shop, and a lost one keeps it. `reason` is the bank's.
    """

    TYPE: ClassVar[str] = "payment.disputed"
    EXAMPLE: ClassVar[dict[str, Any]] = _ABOUT | {"dispute_id": "dp-1", "status": "open", "reason": "fraudulent"}

    payment_id: str
    dispute_id: str
    order_id: str
    customer_id: str
    amount: Money
    status: str
    reason: str
    order_number: str | None = None
    language: Language | None = None


class PaymentRefunded(EventModel):
    """Some or all of the money was refunded. `amount` is that of this refund. It is 0 for returned goods whose money a
    bank has taken back in a dispute, or an operator has refunded at the provider. `captured` is all that was ever
    captured: less than the order's total if an operator captured a part at the provider, which pays no order.
    """

    TYPE: ClassVar[str] = "payment.refunded"
    EXAMPLE: ClassVar[dict[str, Any]] = _ABOUT | {
        "refund_id": "ref-1",
        "reason": "damaged in transit",
        "captured": {"amount": 1250, "currency": "GBP"},
    }

    payment_id: str
    refund_id: str
    order_id: str
    customer_id: str
    amount: Money
    reason: str
    order_number: str | None = None
    language: Language | None = None
    captured: Money | None = None


PUBLISHES: tuple[type[EventModel], ...] = (
    PaymentAuthorized,
    PaymentAnswered,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
)
