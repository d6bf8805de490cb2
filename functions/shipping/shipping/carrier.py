"""Plays the sandbox carrier: moves a parcel to the stop that is due, then sends the message for the next one.

Idempotent: a repeated move changes nothing. After a crash between move and message, the queue redelivers, and the
message is sent then. A message for a stop that the parcel has passed, or for a parcel that has ended, sends nothing.
A cancelled booking is not collected.
"""

from __future__ import annotations

from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from shipping import usecases
from shipping.domain import Progress, Status, next_stop
from shipping.sandbox import NAME, ParcelDue, tracking_number_of
from shipping.wiring import ports

consumer = Consumer("shipping")


class Due(Reads):
    shipment_id: str
    booking_key: str
    stop: Status


@consumer.on(ParcelDue.TYPE)
def move_parcel(_: Event, due: Due) -> None:
    now = utc_now()
    carrier = ports().sandbox(now)
    if due.stop is Status.DISPATCHED and not carrier.collect(due.booking_key):
        return
    progress = Progress(due.shipment_id, due.stop, tracking_number_of(due.booking_key))
    shipment = usecases.record_progress(progress, NAME, shipments=ports().shipments, now=now)
    following = next_stop(due.stop)
    if following and shipment.status is due.stop:
        carrier.schedule(due.shipment_id, due.booking_key, following)


handler = consumer.handler
