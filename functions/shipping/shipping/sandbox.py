"""The sandbox carrier: a queue whose messages move each parcel one stop further.

A message is an event in the usual envelope, so it carries the correlation and has an ordinary consumer. The sandbox
stores whether a parcel was collected or cancelled in the table it is given:

    SANDBOX#BOOKING#<booking key>  BOOKING   status: collected or cancelled, whichever came first
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.events import EventModel, envelope
from mercato.ids import derived_id
from mercato.store.dynamo import ConditionFailed, Table, put_new
from shipping.domain import AlreadyDispatched, Booking, Shipment, Status

NAME = "sandbox"


class ParcelDue(EventModel):
    """The parcel is due at its next stop. Private to the carrier: it is never published."""

    TYPE: ClassVar[str] = "sandbox_carrier.parcel_due"
    EXAMPLE: ClassVar[dict[str, Any]] = {"shipment_id": "5f1c…", "booking_key": "77c0…", "stop": "dispatched"}

    shipment_id: str
    booking_key: str
    stop: str


def tracking_number_of(booking_key: str) -> str:
    """The number is derived from the booking key, so a repeated booking gets the same one."""
    return f"SBX{int(booking_key.replace('-', ''), 16) % 10**12:012}"


class SandboxCarrier:
    name = NAME
    is_by_hand = False

    def __init__(self, queue_url: str, step_seconds: int, table: Table, now: datetime) -> None:
        self._queue_url = queue_url
        self._step_seconds = step_seconds
        self._table = table
        self._now = now

    def book(self, shipment: Shipment, booking_key: str) -> Booking | None:
        self.schedule(shipment.shipment_id, booking_key, Status.DISPATCHED)
        return None

    def cancel(self, shipment: Shipment, booking_key: str) -> None:
        if self._settle(booking_key, "cancelled") != "cancelled":
            raise AlreadyDispatched(f"The carrier has the parcel of order {shipment.order_id}.")

    def collect(self, booking_key: str) -> bool:
        """Returns False for a cancelled booking, so that its waiting message does nothing."""
        return self._settle(booking_key, "collected") == "collected"

    def _settle(self, booking_key: str, status: str) -> str:
        """The booking's final status. The first one stays."""
        booking = {"pk": f"SANDBOX#BOOKING#{booking_key}", "sk": "BOOKING", "status": status}
        try:
            self._table.write(put_new(booking))
        except ConditionFailed as failed:
            return str((failed.item or booking)["status"])
        return status

    def schedule(self, shipment_id: str, booking_key: str, stop: Status) -> None:
        due = ParcelDue(shipment_id=shipment_id, booking_key=booking_key, stop=stop)
        detail = envelope(
            due,
            service="shipping",
            subject=shipment_id,
            event_id=derived_id("parcel-due", booking_key, stop),
            sequence=0,
            now=self._now,
        )
        try:
            aws.client("sqs").send_message(
                QueueUrl=self._queue_url,
                MessageBody=json.dumps({"detail": detail}, ensure_ascii=False),
                DelaySeconds=self._step_seconds,
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"the carrier cannot be reached: {error}") from error
