"""Payments and refunds in DynamoDB.

    PAYMENT#<payment>  PAYMENT           the payment; `version` is the condition of every change
    PAYMENT#<payment>  REFUND#<refund>   one refund
    PAYMENT#<payment>  OWNER             the account that has claimed the guest's order
    WEBHOOK#<event>    WEBHOOK           a provider's event that was handled
    CHARGE#<charge>    STRAY             money at the provider without a payment of ours

Unsettled payments and strays have gsi1pk=UNSETTLED#<shard>, gsi1sk=<begun at>#<id>: the reconciler's list.

Every change of a payment and its event are one transaction, conditional on the version that was read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.events import EventModel, outbox
from mercato.languages import known
from mercato.money import Money
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write, delete, put, put_new
from mercato.store.expiry import live
from mercato.store.round_robin import RoundRobin
from payments.agreement import Unsettled, is_settled
from payments.domain import (
    Announcement,
    Charge,
    ChargeStatus,
    Dispute,
    DisputeStatus,
    Payment,
    Status,
    announcement,
    is_answered,
)
from payments.events import (
    PaymentAnswered,
    PaymentAuthorized,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
)
from payments.refund import Refund, RefundStatus

SERVICE = "payments"
# Longer than any provider retries an event.
_WEBHOOK_KEPT = timedelta(days=45)


class PaymentMoved(Exception):
    """Another writer changed the payment, or this refund of it, since it was read."""


class PaymentStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = RoundRobin(table, "UNSETTLED")

    def open(self, payment: Payment) -> Payment:
        """Stores it unless the order has a payment. Returns the stored one."""
        try:
            self._table.write(put_new(_payment_item(payment, payment.created_at)))
        except ConditionFailed as failed:
            return _payment(failed.item) if failed.item else self._existing(payment.payment_id)
        return payment

    def get(self, payment_id: str) -> Payment | None:
        item = self._table.get(_pk(payment_id), "PAYMENT")
        return _payment(item) if item else None

    def note_owner(self, payment_id: str, customer_id: str) -> None:
        """Idempotent: the first account counts."""
        with suppress(ConditionFailed):
            self._table.write(put_new({"pk": _pk(payment_id), "sk": "OWNER", "customer_id": customer_id}))

    def find_owner(self, payment_id: str) -> str | None:
        item = self._table.get(_pk(payment_id), "OWNER")
        return item["customer_id"] if item else None

    def save(self, before: Payment, after: Payment, now: datetime) -> None:
        """Writes the change with its events. Raises PaymentMoved."""
        self._change(before, after, now, _announced(before, after))

    def claim_refund(self, before: Payment, after: Payment, refund: Refund, now: datetime) -> None:
        """Writes a new refund, or a new attempt at a refused one, and its claim on the payment. Raises PaymentMoved,
        also if another writer has begun it.
        """
        self._change(before, after, now, (), [_begin(refund)])

    def close_refund(self, before: Payment, after: Payment, refund: Refund, now: datetime) -> None:
        """Ends a pending refund as done or refused. Raises PaymentMoved."""
        closed = put(
            _refund_item(refund),
            "#status = :pending",
            names={"#status": "status"},
            values={":pending": RefundStatus.PENDING},
        )
        events = [_refunded(after, refund)] if refund.status is RefundStatus.DONE else []
        self._change(before, after, now, events, [closed])

    def record_refund(self, before: Payment, after: Payment, refund: Refund, now: datetime) -> None:
        """Writes a completed refund that was unknown until now. Raises PaymentMoved."""
        self._change(before, after, now, [_refunded(after, refund)], [put_new(_refund_item(refund))])

    def record_nothing(self, before: Payment, after: Payment, refund: Refund, now: datetime) -> None:
        """Writes a refund of 0 as done, also one that was refused before. Raises PaymentMoved."""
        self._change(before, after, now, [_refunded(after, refund)], [_begin(refund)])

    def write_off(self, before: Payment, after: Payment, refunds: list[Refund], now: datetime) -> None:
        """Ends the refunds as written off. Raises PaymentMoved, also if one of them has changed: a refund never changes
        without its payment.
        """
        self._change(before, after, now, (), [put(_refund_item(refund)) for refund in refunds])

    def refund(self, payment_id: str, refund_id: str) -> Refund | None:
        item = self._table.get(_pk(payment_id), f"REFUND#{refund_id}")
        return _refund(item) if item else None

    def refunds(self, payment_id: str) -> list[Refund]:
        return [_refund(item) for item in self._table.query_all(_pk(payment_id), KeyRange(prefix="REFUND#"))]

    def is_webhook_done(self, event_id: str, now: datetime) -> bool:
        return live(self._table.get(f"WEBHOOK#{event_id}", "WEBHOOK"), now) is not None

    def mark_webhook_done(self, event_id: str, now: datetime) -> None:
        self._table.write(put({"pk": f"WEBHOOK#{event_id}", "sk": "WEBHOOK", "ttl": epoch(now + _WEBHOOK_KEPT)}))

    def park(self, charge: Charge, now: datetime) -> None:
        """Keeps the charge on the reconciler's list. Idempotent: the first time counts."""
        with suppress(ConditionFailed):
            self._table.write(put_new(_stray_item(charge, now)))

    def forget_stray(self, charge_id: str) -> None:
        self._table.write(delete(f"CHARGE#{charge_id}", "STRAY"))

    def unsettled(self, begun_before: datetime, behind: str = "") -> Iterator[Unsettled]:
        """Oldest first in each shard, from an index that lags behind. Starts after the place `behind`, if given."""
        until = f"{rfc3339(begun_before)}~"
        first, _, begun = behind.partition("#")
        for shard in range(int(first or 0), _SHARDS):
            after = begun if behind and shard == int(first) else "0"
            if after >= until:
                continue
            for item in self._table.query_all(_shard(shard), KeyRange(between=(after, until)), index="gsi1"):
                what = _stray(item) if item["sk"] == "STRAY" else _payment(item)
                place = f"{shard:02}#{item['gsi1sk']}"
                if place > behind:
                    yield Unsettled(what, datetime.fromisoformat(item["updated_at"]), place)

    def unsettled_in_turn(self, begun_before: datetime) -> Iterator[Unsettled]:
        """All unsettled ones, starting after the one with which the last run began."""
        return self._turns.in_turn(lambda place: self.unsettled(begun_before, place), lambda found: found.place)

    def begin_turn(self, found: Unsettled) -> None:
        self._turns.begin(found.place)

    def _existing(self, payment_id: str) -> Payment:
        found = self.get(payment_id)
        if found is None:
            raise LookupError(f"payment {payment_id} exists and cannot be read")
        return found

    def _change(
        self, before: Payment, after: Payment, now: datetime, events: Sequence[EventModel], also: Sequence[Write] = ()
    ) -> None:
        changed = put(
            _payment_item(after, now),
            "#version = :seen",
            names={"#version": "version"},
            values={":seen": before.version},
        )
        records = (
            outbox.record(event, service=SERVICE, subject=after.payment_id, sequence=after.version, now=now)
            for event in events
        )
        writes = [changed, *also, *records]
        try:
            self._table.transact(writes)
        except ConditionFailed:
            raise PaymentMoved from None


def _announced(before: Payment, after: Payment) -> list[EventModel]:
    about = {"payment_id": after.payment_id, "order_id": after.order_id, "customer_id": after.customer_id}
    of_order = {"order_number": after.order_number or None, "language": after.language}
    events: list[EventModel] = []
    match announcement(before, after):
        case Announcement.AUTHORIZED:
            events.append(PaymentAuthorized(**about, **of_order, amount=after.amount))
        case Announcement.COMPLETED:
            events.append(PaymentCompleted(**about, **of_order, amount=after.amount))
        case Announcement.FAILED:
            told = {"reason": after.reason, "detail": after.detail}
            events.append(PaymentFailed(**about, **of_order, amount=after.amount, **told))
    if is_answered(before, after):
        events.append(PaymentAnswered(**about, attempt=after.attempt, status=after.status))
    for one in after.disputes:
        if one not in before.disputes:
            amount = Money(amount=one.amount, currency=after.amount.currency)
            told = {"dispute_id": one.dispute_id, "status": one.status, "reason": one.reason}
            events.append(PaymentDisputed(**about, **of_order, amount=amount, **told))
    return events


def _refunded(payment: Payment, refund: Refund) -> PaymentRefunded:
    return PaymentRefunded(
        payment_id=payment.payment_id,
        refund_id=refund.refund_id,
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        amount=refund.amount,
        reason=refund.reason,
        order_number=payment.order_number or None,
        language=payment.language,
        captured=Money(amount=payment.captured, currency=payment.amount.currency),
    )


_PLAIN = ("payment_id", "order_id", "customer_id", "charge_id", "closing", "trouble", "reason", "detail")
_COUNTS = ("version", "captured", "refunded", "claimed")
_LATER = ("order_status", "written_off", "order_number")
_SHARDS = 8


def _pk(payment_id: str) -> str:
    return f"PAYMENT#{payment_id}"


def _payment_item(payment: Payment, now: datetime) -> Item:
    item: Item = {name: getattr(payment, name) for name in (*_PLAIN, *_COUNTS, *_LATER)}
    waits = {} if is_settled(payment) else _waits(payment.payment_id, payment.created_at)
    return (
        item
        | waits
        | {
            "pk": _pk(payment.payment_id),
            "sk": "PAYMENT",
            "astray": payment.refunded_elsewhere,  # the name under which earlier releases stored it
            "status": payment.status,
            "amount": payment.amount.amount,
            "currency": payment.amount.currency,
            "created_at": rfc3339(payment.created_at),
            "updated_at": rfc3339(now),
            "attempt": payment.attempt,
            "waits_for_buyer": payment.waits_for_buyer,
            "earlier": list(payment.earlier),
            "disputes": [asdict(one) for one in payment.disputes],
            "language": payment.language,
        }
    )


def _payment(item: Item) -> Payment:
    return Payment(
        **{name: item[name] for name in (*_PLAIN, *_COUNTS)},
        order_status=item.get("order_status", ""),  # records of older versions lack it
        refunded_elsewhere=item.get("astray", 0),
        written_off=item.get("written_off", False),
        order_number=item.get("order_number", ""),
        language=known(item.get("language")),
        attempt=item.get("attempt", 1),
        waits_for_buyer=item.get("waits_for_buyer", False),
        earlier=tuple(item.get("earlier", ())),
        disputes=tuple(Dispute(**one | {"status": DisputeStatus(one["status"])}) for one in item.get("disputes", ())),
        status=Status(item["status"]),
        amount=Money(amount=item["amount"], currency=item["currency"]),
        created_at=datetime.fromisoformat(item["created_at"]),
    )


def _waits(entity_id: str, begun: datetime) -> Item:
    shard = zlib.crc32(entity_id.encode()) % _SHARDS
    return {"gsi1pk": _shard(shard), "gsi1sk": f"{rfc3339(begun)}#{entity_id}"}


def _shard(number: int) -> str:
    return f"UNSETTLED#{number}"


def _stray_item(charge: Charge, now: datetime) -> Item:
    return _waits(charge.charge_id, now) | {
        "pk": f"CHARGE#{charge.charge_id}",
        "sk": "STRAY",
        "charge_id": charge.charge_id,
        "reference": charge.reference,
        "status": charge.status,
        "amount": charge.amount.amount,
        "currency": charge.amount.currency,
        "updated_at": rfc3339(now),
    }


def _stray(item: Item) -> Charge:
    money = Money(amount=item["amount"], currency=item["currency"])
    return Charge(item["charge_id"], item["reference"], ChargeStatus(item["status"]), money)


def _begin(refund: Refund) -> Write:
    item = _refund_item(refund)
    if refund.attempt == 1:
        return put_new(item)
    return put(item, "#status = :refused", names={"#status": "status"}, values={":refused": RefundStatus.REFUSED})


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
        "attempt": refund.attempt,
    }


def _refund(item: Item) -> Refund:
    return Refund(
        **{name: item[name] for name in ("refund_id", "payment_id", "reason", "fingerprint")},
        amount=Money(amount=item["amount"], currency=item["currency"]),
        status=RefundStatus(item["status"]),
        attempt=item.get("attempt", 1),
        at=datetime.fromisoformat(item["at"]),
    )
