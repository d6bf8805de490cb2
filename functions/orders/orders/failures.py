"""The reason of a failed saga as the customer reads it."""

from __future__ import annotations

from collections.abc import Iterable

from mercato.dataclass import dataclass
from mercato.errors import SagaEnd
from orders.domain import CUSTOMER_CANCELLED
from orders.order import Line

# The customer reads this if the service that raised the error wrote no text.
_DETAILS = {
    SagaEnd.CANCELLED_BY_CUSTOMER: CUSTOMER_CANCELLED,
    SagaEnd.CAPTURE_REFUSED: "The payment could not be collected.",
    SagaEnd.CLAIM_EXPIRED: "We could not hold the coupon of this order any longer.",
    SagaEnd.COUPON_EXHAUSTED: "A code of this order was used up by other orders. Please order again.",
    SagaEnd.COUPON_USED_UP: "You have used a code of this order as often as one customer may.",
    SagaEnd.OUT_OF_STOCK: "Something in this order is out of stock.",
    SagaEnd.PAYMENT_DECLINED: "Your bank declined the payment.",
    SagaEnd.PAYMENT_NOT_COMPLETED: "The payment was not completed in time. Nothing was charged.",
    SagaEnd.RESERVATION_EXPIRED: "We could not hold the goods of this order any longer.",
    SagaEnd.UNKNOWN_PRODUCT: "Something in this order is not for sale any more.",
}
_MONEY = "Nothing was charged, or it is on its way back."
_AWAY = {"TransientError", "States.Timeout", "Sandbox.Timedout"}
_PAYMENT_STEPS = {"AuthorizePayment", "CapturePayment"}


@dataclass(frozen=True)
class Failure:
    """`reason` is a stable slug, `detail` a sentence."""

    reason: str
    detail: str


def with_names(detail: str, lines: Iterable[Line]) -> str:
    """Replaces product ids, as other services write them, by the names that the customer knows."""
    for line in lines:
        detail = detail.replace(line.product_id, line.name)
    return detail


def explain(step: str, error: str, message: str) -> Failure:
    """Internal errors reveal nothing about their cause to the customer."""
    if error in SagaEnd:
        end = SagaEnd(error)
        return Failure(end.slug, message or _DETAILS[end])
    if step in _PAYMENT_STEPS and (error in _AWAY or error.startswith("Lambda.")):
        return Failure("payment-unavailable", f"We could not reach the payment provider. {_MONEY}")
    return Failure("internal-error", f"Something went wrong on our side. {_MONEY}")
