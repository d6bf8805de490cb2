"""The texts that customers read, in plain text. `order` is what the customer knows the order by: its number."""

from __future__ import annotations

from datetime import datetime

from mercato.errors import SagaEnd, is_error_name
from mercato.money import Money
from notifications.domain import Text

_SIGNATURE = "\n\nMercato"

# For a refund by the order's saga, the reason is the name of the error that ended the saga.
_REASONS = {
    SagaEnd.CANCELLED_BY_CUSTOMER: "You cancelled the order.",
    SagaEnd.CAPTURE_REFUSED: "The payment could not be collected.",
    SagaEnd.CLAIM_EXPIRED: "We could not hold the coupon of the order any longer.",
    SagaEnd.COUPON_EXHAUSTED: "A code of the order was used up by other orders.",
    SagaEnd.COUPON_USED_UP: "You have used a code of the order as often as one customer may.",
    SagaEnd.OUT_OF_STOCK: "Something in the order is out of stock.",
    SagaEnd.PAYMENT_DECLINED: "Your bank declined the payment.",
    SagaEnd.PAYMENT_NOT_COMPLETED: "The payment was not completed in time.",
    SagaEnd.RESERVATION_EXPIRED: "We could not hold the goods of the order any longer.",
    SagaEnd.UNKNOWN_PRODUCT: "Something in the order is not for sale any more.",
    "cancelled": "The order was cancelled.",
}
_NEUTRAL = "We could not complete the order."


def _for_people(reason: str) -> str:
    """Returns the text of staff or customer unchanged, and a sentence for the name of an error."""
    if reason in _REASONS:
        return _REASONS[reason]
    return _NEUTRAL if is_error_name(reason) else " ".join(reason.split())


def _greet(name: str) -> str:
    """Puts the name, which is the customer's own text, on one line."""
    return f"Hello {' '.join(name.split()) or 'there'},\n\n"


def _text(name: str, subject: str, body: str, sms: str = "") -> Text:
    return Text(subject, _greet(name) + body + _SIGNATURE, f"Mercato: {sms}" if sms else "")


def with_way_out(body: str, link: str) -> str:
    """The body with the link that ends the mails of its kind, if there is one."""
    return f"{body}\n\nNo more mails of this kind: {link}" if link else body


def welcome(name: str) -> Text:
    return _text(name, "Welcome to Mercato", "your account is ready. We are glad that you are here.")


def order_confirmed(name: str, order: str, total: Money, lines: list[tuple[int, str]]) -> Text:
    listed = "\n".join(f"  {quantity} × {' '.join(product.split())}" for quantity, product in lines[:50])
    more = f"\n  … and {len(lines) - 50} more" if len(lines) > 50 else ""
    return _text(
        name,
        "Your order is confirmed",
        f"we have confirmed your order {order}:\n\n{listed}{more}\n\nTotal: {total}\n\n"
        "We will tell you when it is on its way.",
    )


def receipt(name: str, order: str, payment_id: str, amount: Money) -> Text:
    return _text(
        name,
        f"Your receipt for {amount}",
        f"we have received your payment of {amount} for order {order}.\n\nPayment: {payment_id}",
    )


def payment_failed(name: str, order: str, amount: Money, detail: str) -> Text:
    return _text(
        name,
        "Your payment did not go through",
        f"your payment of {amount} for order {order} did not go through: {detail}\n\n"
        "You have not been charged. You can place the order again with another card.",
    )


def payment_to_confirm(name: str, order: str, until: datetime, link: str | None) -> Text:
    return _text(
        name,
        "Please confirm your payment",
        f"your bank asks you to confirm the payment of order {order}.\n\n{_waits(until, link)}",
    )


def payment_to_repeat(name: str, order: str, until: datetime, link: str | None) -> Text:
    return _text(
        name,
        "Please pay with another card",
        f"your bank declined the card for order {order}. You can pay with another one.\n\n{_waits(until, link)}",
    )


def _waits(until: datetime, link: str | None) -> str:
    """`link` leads to the order's page. A guest has it in a mail of the orders service."""
    where = f"Your order:\n{link}" if link else "The link to your order is in our first mail about it."
    return (
        f"We hold the order for you until {until:%H:%M} UTC, and cancel it then. You have not been charged.\n\n{where}"
    )


def order_shipped(name: str, order: str, carrier: str, tracking_number: str) -> Text:
    return _text(
        name,
        "Your order is on its way",
        f"your order {order} is on its way.\n\nCarrier: {carrier}\nTracking number: {tracking_number}",
        f"your order {order} is on its way with {carrier}. Tracking number: {tracking_number}",
    )


def order_delivered(name: str, order: str) -> Text:
    return _text(
        name,
        "Your order has arrived",
        f"your order {order} has been delivered. Please tell us if it did not reach you, or if something is wrong.",
        f"your order {order} has arrived.",
    )


def order_cancelled(name: str, order: str, detail: str) -> Text:
    return _text(name, "Your order was cancelled", f"your order {order} was cancelled: {detail}")


def return_approved(name: str, order: str, units: int, amount: Money) -> Text:
    return _text(
        name,
        "Please send your goods back",
        f"you may return {_units(units)} of your order {order}. Please send the goods back to us.\n\n"
        f"Refund once we have received all of it: {amount}",
    )


def return_refused(name: str, order: str, refusal: str) -> Text:
    return _text(
        name,
        "We cannot take your return",
        f"we cannot take back what you wanted to return of your order {order}.\n\nReason: {' '.join(refusal.split())}",
    )


def return_received(name: str, order: str, units: int, amount: Money) -> Text:
    paid = f"We refund {amount}." if amount.amount else "All that you paid was refunded before."
    return _text(
        name, "We have received your return", f"we have received {_units(units)} of your order {order}.\n\n{paid}"
    )


def _units(units: int) -> str:
    return f"{units} {'piece' if units == 1 else 'pieces'}"


def refund(name: str, order: str, amount: Money, reason: str) -> Text:
    return _text(
        name,
        f"We have refunded {amount}",
        f"we have refunded {amount} for order {order}.\n\nReason: {_for_people(reason)}\n\n"
        "It can take a few days until your bank shows it.",
    )


def abandoned_cart(name: str, goods: list[str], link: str) -> Text:
    listed = "\n".join(f"  {' '.join(product.split())}" for product in goods[:10])
    more = f"\n  … and {len(goods) - 10} more" if len(goods) > 10 else ""
    return _text(
        name,
        "There is something in your cart",
        f"you left something in your cart:\n\n{listed}{more}\n\n{link}\n\nWe have kept nothing aside for you.",
    )


def back_in_stock(name: str, product: str, link: str) -> Text:
    product = " ".join(product.split())
    return _text(
        name,
        f"{product} is back in stock",
        f"you asked us to tell you when {product} is available again. It is:\n\n{link}\n\n"
        "We have told those who asked first, as many as there are units. We cannot keep one for you.",
    )
