"""Payments and refunds in DynamoDB.

    PAYMENT#<payment>  PAYMENT           the payment; `version` is the condition of every change
    PAYMENT#<payment>  REFUND#<refund>   one refund
    WEBHOOK#<event>    WEBHOOK           a provider's event that was handled

Every change of a payment and its event are one transaction, for the version that was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mercato import outbox
from mercato.clock import epoch, rfc3339
from mercato.dynamo import ConditionFailed, Table, Write, put, put_new
from mercato.events import EventModel
from mercato.items import Item
from mercato.money import Money
from payments.domain import Announcement, Payment, Refund, RefundStatus, Status, announcement
from payments.events import PaymentAuthorized, PaymentCompleted, PaymentFailed, PaymentRefunded

SERVICE = "payments"
# Longer than any provider goes on delivering the same event.
_WEBHOOK_KEPT = timedelta(days=45)


class PaymentMoved(Exception):
    """Somebody else changed the payment, or this refund of it, since it was read."""


class PaymentStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, payment: Payment) -> Payment:
        """Write it unless the order has one; returns what is there."""
        try:
            self._table.write(put_new(_payment_item(payment, payment.created_at)))
        except ConditionFailed as failed:
            return _payment(failed.item) if failed.item else self._existing(payment.payment_id)
        return payment

    def get(self, payment_id: str) -> Payment | None:
        item = self._table.get(_pk(payment_id), "PAYMENT")
        return _payment(item) if item else None

    def save(self, before: Payment, after: Payment, now: datetime) -> None:
        """The change, with the event that it means. Raises PaymentMoved."""
        self._change(before, after, now, _announced(before, after))

    def claim_refund(self, before: Payment, after: Payment, refund: Refund, now: datetime) -> None:
        """A new refund and its claim on the payment. Raises PaymentMoved, also where the refund exists."""
        self._change(before, after, now, None, [put_new(_refund_item(refund))])

    def close_refund(self, before: Payment, after: Payment, refund: Refund, now: datetime) -> None:
        """A pending refund is done or refused, once. Raises PaymentMoved."""
        closed = put(
            _refund_item(refund),
            "#status = :pending",
            names={"#status": "status"},
            values={":pending": RefundStatus.PENDING},
        )
        event = None
        if refund.status is RefundStatus.DONE:
            event = PaymentRefunded(
                payment_id=after.payment_id,
                refund_id=refund.refund_id,
                order_id=after.order_id,
                customer_id=after.customer_id,
                amount=refund.amount,
                reason=refund.reason,
            )
        self._change(before, after, now, event, [closed])

    def refund(self, payment_id: str, refund_id: str) -> Refund | None:
        item = self._table.get(_pk(payment_id), f"REFUND#{refund_id}")
        return _refund(item) if item else None

    def refunds(self, payment_id: str) -> list[Refund]:
        return [_refund(item) for item in self._table.query_all(_pk(payment_id), prefix="REFUND#")]

    def is_webhook_done(self, event_id: str) -> bool:
        return self._table.get(f"WEBHOOK#{event_id}", "WEBHOOK") is not None

    def mark_webhook_done(self, event_id: str, now: datetime) -> None:
        self._table.write(put({"pk": f"WEBHOOK#{event_id}", "sk": "WEBHOOK", "ttl": epoch(now + _WEBHOOK_KEPT)}))

    def _existing(self, payment_id: str) -> Payment:
        found = self.get(payment_id)
        if found is None:
            raise LookupError(f"payment {payment_id} exists and cannot be read")
        return found

    def _change(
        self, before: Payment, after: Payment, now: datetime, event: EventModel | None, also: Sequence[Write] = ()
    ) -> None:
        changed = put(
            _payment_item(after, now),
            "#version = :seen",
            names={"#version": "version"},
            values={":seen": before.version},
        )
        writes = [changed, *also]
        if event:
            writes.append(
                outbox.record(event, service=SERVICE, subject=after.payment_id, sequence=after.version, now=now)
            )
        try:
            self._table.transact(writes)
        except ConditionFailed:
            raise PaymentMoved from None


def _announced(before: Payment, after: Payment) -> EventModel | None:
    about = {"payment_id": after.payment_id, "order_id": after.order_id, "customer_id": after.customer_id}
    match announcement(before, after):
        case Announcement.AUTHORIZED:
            return PaymentAuthorized(**about, amount=after.amount)
        case Announcement.COMPLETED:
            return PaymentCompleted(**about, amount=after.amount)
        case Announcement.FAILED:
            return PaymentFailed(**about, amount=after.amount, reason=after.reason, detail=after.detail)
    return None


_PLAIN = ("payment_id", "order_id", "customer_id", "charge_id", "closing", "trouble", "reason", "detail")
_COUNTS = ("version", "captured", "refunded", "claimed")


def _pk(payment_id: str) -> str:
    return f"PAYMENT#{payment_id}"


def _payment_item(payment: Payment, now: datetime) -> Item:
    item: Item = {name: getattr(payment, name) for name in (*_PLAIN, *_COUNTS)}
    return item | {
        "pk": _pk(payment.payment_id),
        "sk": "PAYMENT",
        "status": payment.status,
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "created_at": rfc3339(payment.created_at),
        "updated_at": rfc3339(now),
    }


def _payment(item: Item) -> Payment:
    return Payment(
        **{name: item[name] for name in (*_PLAIN, *_COUNTS)},
        status=Status(item["status"]),
        amount=Money(amount=item["amount"], currency=item["currency"]),
        created_at=datetime.fromisoformat(item["created_at"]),
    )


def _refund_item(refund: Refund) -> Item:
    return {
        "pk": _pk(refund.payment_id),
        "sk": f"REFUND#{refund.refund_id}",
        "refund_id": refund.refund_id,
        "payment_id": refund.payment_id,
        "amount": refund.amount.amount,
        "currency": refund.amount.currency,
        "reason": refund.reason,
        "status": refund.status,
        "fingerprint": refund.fingerprint,
        "at": rfc3339(refund.at),
    }


def _refund(item: Item) -> Refund:
    return Refund(
        **{name: item[name] for name in ("refund_id", "payment_id", "reason", "fingerprint")},
        amount=Money(amount=item["amount"], currency=item["currency"]),
        status=RefundStatus(item["status"]),
        at=datetime.fromisoformat(item["at"]),
    )
