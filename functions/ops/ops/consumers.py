"""What ops hears: every event of the bus, for the journal. Idempotent by event id."""

from __future__ import annotations

from typing import ClassVar

from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from ops.wiring import ports

consumer = Consumer("ops")


class Anything(Reads):
    """Of the data the journal needs no field in particular, so that any version will do."""

    VERSION: ClassVar[int] = 10**6


@consumer.on(
    "cart.abandoned",
    "circuit.closed",
    "circuit.opened",
    "document.issued",
    "inventory.low_stock",
    "inventory.released",
    "inventory.reserved",
    "inventory.restocked",
    "notification.failed",
    "notification.sent",
    "order.anonymised",
    "order.cancellation_requested",
    "order.cancelled",
    "order.claimed",
    "order.confirmed",
    "order.created",
    "order.delivered",
    "order.needs_attention",
    "order.payment_attempted",
    "order.payment_awaited",
    "order.refunded",
    "order.return_accepted",
    "order.return_approved",
    "order.return_received",
    "order.return_refused",
    "order.shipped",
    "payment.answered",
    "payment.authorized",
    "payment.completed",
    "payment.disputed",
    "payment.failed",
    "payment.refunded",
    "product.created",
    "product.discontinued",
    "product.image_ready",
    "product.image_refused",
    "product.image_removed",
    "product.price_changed",
    "product.updated",
    "shipment.created",
    "shipment.delivered",
    "shipment.dispatched",
    "shipment.failed",
    "shipment.in_transit",
    "user.closed",
    "user.email_verified",
    "user.password_changed",
    "user.password_reset_requested",
    "user.profile_changed",
    "user.registered",
    "user.registration_repeated",
    "user.verification_requested",
    "wish.asked",
)
def record(event: Event, _: Anything) -> None:
    ports().journal.record(event, utc_now())


handler = consumer.handler
