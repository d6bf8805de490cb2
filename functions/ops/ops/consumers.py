"""What ops hears: every event of the bus, for the journal, and disputes for their alarm. Idempotent by event id."""

from __future__ import annotations

from typing import ClassVar

from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import EVERY, Consumer
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from ops.wiring import ports

_OPEN = "open"

consumer = Consumer("ops")


class Anything(Reads):
    """Of the data the journal needs no field in particular, so that any version will do."""

    VERSION: ClassVar[int] = 10**6


@consumer.on(EVERY)
def record(event: Event, _: Anything) -> None:
    ports().journal.record(event, utc_now())


class Disputed(Reads):
    payment_id: str
    order_id: str
    dispute_id: str
    status: str


@consumer.on("payment.disputed")
def record_dispute(event: Event, dispute: Disputed) -> None:
    """An open dispute raises an alarm, since the bank waits some days for the shop's answer. Every redelivery raises it
    again, so a crash after the write loses no alarm.
    """
    ports().journal.record(event, utc_now())
    if dispute.status == _OPEN:
        about = {"payment_id": dispute.payment_id, "order_id": dispute.order_id, "dispute_id": dispute.dispute_id}
        log.warning("payment disputed", extra=about)
        metrics.count("DisputesOpened")
        metrics.flush()


handler = consumer.handler
