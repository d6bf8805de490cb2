"""The shipping table, and the only module that knows its keys.

pk=SHIPMENT#<shipment>  sk=SHIPMENT   the whole shipment, with `version` for optimistic locking
pk=OUTBOX#<shipment>                  its events, numbered by their place in the history
pk=SANDBOX#BOOKING#<booking key>      the sandbox carrier's: shipping.sandbox
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from mercato.clock import rfc3339
from mercato.events import outbox
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, Table
from mercato.store.payload import pack, unpack
from shipping.domain import Address, Line, Shipment, Status, Stop
from shipping.events import announce


class Moved(Exception):
    """Another writer changed the shipment first. Load it and decide again."""


@dataclass(frozen=True)
class Loaded:
    """A stored shipment; version 0 and None for a new one."""

    shipment: Shipment | None
    version: int


class ShipmentStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self, shipment_id: str) -> Loaded:
        item = self._table.get(_key(shipment_id), "SHIPMENT")
        return Loaded(_shipment(item), item["version"]) if item else Loaded(None, 0)

    def save(self, shipment: Shipment, before: Loaded, now: datetime) -> None:
        """Writes the shipment and the new events of its history in one transaction. Raises Moved."""
        seen = len(before.shipment.history) if before.shipment else 0
        item = _item(shipment, before.version + 1)
        if before.version:
            write = dynamo.put(item, "version = :version", values={":version": before.version})
        else:
            write = dynamo.put_new(item)
        events = [
            outbox.record(event, service="shipping", subject=shipment.shipment_id, sequence=sequence, now=now)
            for sequence, stop in enumerate(shipment.history[seen:], seen + 1)
            if (event := announce(shipment, stop.status))
        ]
        try:
            self._table.transact([write, *events])
        except ConditionFailed:
            raise Moved(shipment.shipment_id) from None


def _key(shipment_id: str) -> str:
    return f"SHIPMENT#{shipment_id}"


def _item(shipment: Shipment, version: int) -> Item:
    return {
        "pk": _key(shipment.shipment_id),
        "sk": "SHIPMENT",
        "version": version,
        "order_id": shipment.order_id,
        "customer_id": shipment.customer_id,
        "status": shipment.status,
        "paid": shipment.paid,
        "handed": shipment.handed,
        "collected": shipment.collected,
        "is_anonymous": shipment.is_anonymous,
        # Packed like an event's payload, so it never takes more bytes than its order.confirmed.
        "lines": pack([asdict(line) for line in shipment.lines]),
        "address": asdict(shipment.address) if shipment.address else None,
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "failure": shipment.failure,
        "history": [{"at": rfc3339(stop.at), "status": stop.status} for stop in shipment.history],
    }


def _shipment(item: Item) -> Shipment:
    return Shipment(
        shipment_id=item["pk"].removeprefix("SHIPMENT#"),
        order_id=item["order_id"],
        customer_id=item["customer_id"],
        status=Status(item["status"]),
        paid=item["paid"],
        handed=item["handed"],
        collected=item.get("collected", False),
        is_anonymous=item.get("is_anonymous", False),
        lines=tuple(Line(**line) for line in unpack(item["lines"])),
        address=Address(**item["address"]) if item["address"] else None,
        carrier=item["carrier"],
        tracking_number=item["tracking_number"],
        failure=item["failure"],
        history=tuple(Stop(datetime.fromisoformat(stop["at"]), Status(stop["status"])) for stop in item["history"]),
    )
