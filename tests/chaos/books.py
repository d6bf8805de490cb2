"""Do order, money, stock, parcel, mails and events tell the same story?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mercato.ids import derived_id
from orders.order import Order, PaymentStatus, Status
from payments import agreement
from payments.domain import Charge, ChargeStatus, Payment
from payments.domain import Status as PaymentState
from payments.sandbox import charge_id_of
from shipping.domain import Status as ParcelStatus
from shipping.usecases import shipment_id_of
from tests.chaos.shop import PATIENT, PRODUCT, STOCKED, Shop

_ONCE = (
    "order.created",
    "order.confirmed",
    "order.cancellation_requested",
    "order.cancelled",
    "order.shipped",
    "order.delivered",
    "payment.authorized",
    "payment.completed",
    "payment.failed",
    "inventory.reserved",
    "inventory.released",
    "shipment.created",
    "shipment.dispatched",
    "shipment.delivered",
)
_MAILS = {
    "order.confirmed": "Your order is confirmed",
    "order.cancelled": "Your order was cancelled",
    "order.shipped": "on its way",
    "payment.completed": "Your receipt",
    "payment.failed": "payment",
    "payment.refunded": "refund",
}


def disagreements(shop: Shop, order_id: str, *, given_back: int = 0, stocked: int = STOCKED) -> list[str]:
    """Empty where all books agree and nothing was done twice. All must be at rest.

    `given_back` is what an admin refunded of an order that was sold.
    """
    order = shop.orders.load(order_id)
    if order is None:
        return ["the order is gone"]
    payment = shop.payments.get(derived_id("payment", order_id))
    charge = shop.provider.find(charge_id_of(derived_id("payment", order_id)))
    found = [*_order(order), *_money(order, payment, charge, given_back, shop), *_stock(order, shop, stocked)]
    stuck = [f"{step} was parked again and again" for step in set(shop.parked) if shop.parked.count(step) >= PATIENT]
    return [*found, *_parcel(order, shop), *_events(order, given_back, shop), *_mails(shop), *shop.bus.dead, *stuck]


def _order(order: Order) -> Iterator[str]:
    if order.status not in (Status.DELIVERED, Status.CANCELLED):
        yield f"the order stays {order.status}"


def _money(order: Order, payment: Payment | None, charge: Charge | None, given_back: int, shop: Shop) -> Iterator[str]:
    sold = order.status is not Status.CANCELLED
    left = _left(shop, charge)
    captured, refunded = (payment.captured, payment.refunded) if payment else (0, 0)
    due = order.total.amount - given_back if sold else 0
    if captured - refunded != due:
        yield f"the payment kept {captured - refunded} of {due}"
    if left != due:
        yield f"the provider kept {left} of {due}"
    if charge and charge.status is ChargeStatus.AUTHORIZED:
        yield "the provider still holds money"
    if payment and payment.status in (PaymentState.CREATED, PaymentState.AUTHORIZED):
        yield f"the payment stays {payment.status}"
    if payment and (lacking := agreement.mismatch(payment)):
        yield f"the reconciler would say {lacking}"
    if payment and payment.claimed != payment.refunded:
        yield f"{payment.claimed - payment.refunded} is set aside for a refund that never came"
    expected = {PaymentStatus.CAPTURED} if sold else {PaymentStatus.NONE, PaymentStatus.FAILED}
    if captured and not sold:
        # Money taken only to be given back is not announced as paid, and the order need not have heard of it.
        expected = {PaymentStatus.REFUNDED}
    if order.payment_status not in expected:
        yield f"the order says {order.payment_status}, not {' or '.join(sorted(expected))}"
    if order.refunded.amount != refunded:
        yield f"the order knows of {order.refunded.amount} refunded, the payment of {refunded}"
    told = sum(event["amount"]["amount"] for event in shop.bus.of_type("payment.refunded"))
    if told != refunded:
        yield f"{told} was announced as refunded, {refunded} was"


def _left(shop: Shop, charge: Charge | None) -> int:
    """What the provider took and has not given back, by its own book."""
    if charge is None:
        return 0
    item = shop.tables["Payments"].get(f"SANDBOX#CHARGE#{charge.charge_id}", "CHARGE")
    return int(item["left"]) if item else 0


def _stock(order: Order, shop: Shop, stocked: int) -> Iterator[str]:
    stock = shop.stock.stock(PRODUCT)
    audit = shop.stock.audit(PRODUCT)
    assert stock
    assert audit
    gone = sum(line.quantity for line in order.lines) if order.status is Status.DELIVERED else 0
    if (stock.on_hand, stock.reserved) != (stocked - gone, 0):
        yield f"stock: {stock.on_hand} on hand and {stock.reserved} reserved, expected {stocked - gone} and 0"
    if not audit.balanced:
        yield f"the ledger says {audit.ledger_sum} in {audit.ledger_entries} entries, the stock {audit.on_hand}"


def _parcel(order: Order, shop: Shop) -> Iterator[str]:
    shipment = shop.shipments.load(shipment_id_of(order.id)).shipment
    status = shipment.status if shipment else None
    if order.status is Status.CANCELLED and status not in (None, ParcelStatus.CANCELLED):
        yield f"the order is cancelled, its parcel {status}"
    if order.status is Status.DELIVERED and status is not ParcelStatus.DELIVERED:
        yield f"the order is delivered, its parcel {status}"


def _events(order: Order, given_back: int, shop: Shop) -> Iterator[str]:
    counts = Counter(event["type"] for event in shop.bus.published)
    ids = Counter(event["id"] for event in shop.bus.published)
    for event_id, count in ids.items():
        if count > 1:
            yield f"event {event_id} was written {count} times"
    for event_type in _ONCE:
        if counts[event_type] > 1:
            yield f"{counts[event_type]} × {event_type}"
    must: dict[str, Any] = {"order.created": 1}
    if order.status is Status.DELIVERED:
        done = ("order.confirmed", "payment.completed", "inventory.reserved", "order.shipped", "order.delivered")
        must |= dict.fromkeys(done, 1) | {
            "order.cancelled": 0,
            "inventory.released": 0,
            "payment.refunded": int(given_back > 0),
        }
    else:
        must |= {"order.cancelled": 1, "order.shipped": 0, "inventory.released": counts["inventory.reserved"]}
    for event_type, count in must.items():
        if counts[event_type] != count:
            yield f"{counts[event_type]} × {event_type}, expected {count}"


def _mails(shop: Shop) -> Iterator[str]:
    """One mail for each event that the customer hears of, and no other."""
    told = Counter(event["type"] for event in shop.bus.published if event["type"] in _MAILS)
    if len(shop.mailbox.sent) != sum(told.values()):
        yield f"{len(shop.mailbox.sent)} mails for {dict(told)}"
    for text, count in Counter(shop.mailbox.sent).items():
        if count > 1:
            yield f"{count} × the mail {text[0]!r}"
