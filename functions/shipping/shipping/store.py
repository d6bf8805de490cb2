"""The shipping table, and the only module that knows its keys.

pk=SHIPMENT#<shipment>  sk=SHIPMENT   the whole shipment, with `version` for optimistic locking. While it needs staff:
                                      gsi1pk=<list>#<shard>, gsi1sk=<since>#<shipment>, where the list is GIVEN_UP or
                                      TO_SEND; UNDER_WAY for the others with a label that have not arrived
pk=OUTBOX#<shipment>                  its events, numbered by their place in the history
pk=RATES                sk=V#<version> a version of the table of rates. The highest is the current one; none is removed
pk=SANDBOX#BOOKING#<booking key>      the sandbox carrier's: shipping.sandbox
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.events import outbox
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import InvalidCursor, decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from mercato.store.payload import pack, unpack
from mercato.store.round_robin import RoundRobin
from shipping.domain import Address, Line, Shipment, Status, Stop
from shipping.events import announce
from shipping.rates import RateTable, RateTableChanged

_SHARDS = 8
_MAX_PLACE = 200
_RATES = "RATES"
_UNDER_WAY = "UNDER_WAY"
_AT_ONCE = 100


class ToDo(StrEnum):
    """A list of the parcels that need staff."""

    GIVEN_UP = "given_up"  # by the carrier, and not all of the goods are returned or written off
    TO_SEND = "to_send"  # by hand, or with the carrier's label


class Moved(Exception):
    """Another writer changed the shipment first. Load it and decide again."""


@dataclass(frozen=True)
class Loaded:
    """A stored shipment; version 0 and None for a new one."""

    shipment: Shipment | None
    version: int


@dataclass(frozen=True)
class Tracked:
    """A parcel with its place among those to ask the carrier about."""

    place: str
    shipment_id: str
    since: datetime


class ShipmentStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = RoundRobin(table, "parcels")

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

    def list_for_staff(self, todo: ToDo, limit: int, cursor: str | None) -> tuple[list[Shipment], str | None]:
        """The list's parcels, those that have waited the longest first. The index lags behind."""
        name = todo.name
        start = decode_cursor(cursor, pk=name)
        after = start["sk"] if start else ""
        if len(after) > _MAX_PLACE:
            raise InvalidCursor("The cursor cannot be read; start again without one.")
        places = heapq.merge(*(self._places(f"{name}#{shard}", after, limit + 1) for shard in range(_SHARDS)))
        found = [place for place, _ in zip(places, range(limit + 1), strict=False)]
        items = self._table.get_many((place.partition("#")[2], "SHIPMENT") for place in found[:limit])
        by_key = {item["pk"]: _shipment(item) for item in items}
        shipments = [by_key[key] for place in found[:limit] if (key := place.partition("#")[2]) in by_key]
        following = encode_cursor({"pk": name, "sk": found[limit - 1]}) if len(found) > limit else None
        return [shipment for shipment in shipments if _list_of(shipment) is todo], following

    def tracked_in_turn(self) -> Iterator[Tracked]:
        """The parcels with a label that have not arrived, starting after the one with which the last run began. The
        index lags behind, and names parcels that staff sends without a label, too.
        """
        return self._turns.in_turn(self._tracked_after, lambda found: found.place)

    def begin_turn(self, found: Tracked) -> None:
        self._turns.begin(found.place)

    def _tracked_after(self, place: str) -> Iterator[Tracked]:
        last, _, after = place.partition("|")
        for name in (ToDo.TO_SEND.name, _UNDER_WAY):
            if name < last:
                continue
            start = after if name == last else ""
            shards = (self._places(f"{name}#{shard}", start, _AT_ONCE) for shard in range(_SHARDS))
            for found in heapq.merge(*shards):
                since, _, key = found.partition("#")
                yield Tracked(f"{name}|{found}", key.removeprefix("SHIPMENT#"), datetime.fromisoformat(since))

    def _places(self, part: str, after: str, at_once: int) -> Iterator[str]:
        keys = KeyRange(after=after) if after else KeyRange()
        for item in self._table.query_all(part, keys, index="gsi1", limit=at_once):
            yield item["gsi1sk"]


class RateTables:
    """The versions of the table of rates. They are consecutive: the put of a new one fails if it exists, so that of two
    changes at once one is refused. `first` is the table until staff replaces it.
    """

    def __init__(self, table: Table, first: RateTable) -> None:
        self._table = table
        self._first = first

    def current(self) -> RateTable:
        found = self._table.query(_RATES, KeyRange(forward=False), limit=1).items
        return _rate_table(found[0]) if found else self._first

    def version(self, version: int) -> RateTable | None:
        if version == self._first.version:
            return self._first
        item = self._table.get(_RATES, _version(version))
        return _rate_table(item) if item else None

    def add(self, table: RateTable) -> None:
        """Writes the version after the current one. Raises RateTableChanged if there is one already."""
        item = {"pk": _RATES, "sk": _version(table.version), "table": pack(table.model_dump(mode="json"))}
        try:
            self._table.write(dynamo.put_new(item))
        except ConditionFailed:
            raise RateTableChanged("Another request has changed the shipping rates. Please read them again.") from None


def _version(number: int) -> str:
    return f"V#{number:010d}"


def _rate_table(item: Item) -> RateTable:
    return RateTable.model_validate(unpack(item["table"]))


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
        "by_hand": shipment.by_hand,
        "is_anonymous": shipment.is_anonymous,
        # Packed like an event's payload, so it never takes more bytes than its order.confirmed.
        "lines": pack([asdict(line) for line in shipment.lines]),
        "address": asdict(shipment.address) if shipment.address else None,
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "failure": shipment.failure,
        "service": shipment.service,
        "weight_grams": shipment.weight_grams,
        "label_url": shipment.label_url,
        "tracking_url": shipment.tracking_url,
        "refusal": shipment.refusal,
        "stopping": shipment.stopping,
        "order_number": shipment.order_number,
        "history": [{"at": rfc3339(stop.at), "status": stop.status} for stop in shipment.history],
        "returned": shipment.returned,
    } | _index_keys(shipment)


def _list_of(shipment: Shipment) -> ToDo | None:
    if shipment.needs_staff:
        return ToDo.GIVEN_UP
    return ToDo.TO_SEND if shipment.awaits_dispatch else None


def _index_keys(shipment: Shipment) -> Item:
    todo = _list_of(shipment)
    if todo is None and not shipment.is_under_way:
        return {}
    key = _key(shipment.shipment_id)
    shard = zlib.crc32(key.encode()) % _SHARDS
    return {
        "gsi1pk": f"{todo.name if todo else _UNDER_WAY}#{shard}",
        "gsi1sk": f"{rfc3339(shipment.history[-1].at)}#{key}",
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
        by_hand=item.get("by_hand", False),
        is_anonymous=item.get("is_anonymous", False),
        lines=tuple(Line(**line) for line in unpack(item["lines"])),
        address=Address(**item["address"]) if item["address"] else None,
        carrier=item["carrier"],
        tracking_number=item["tracking_number"],
        failure=item["failure"],
        service=item.get("service"),
        weight_grams=item.get("weight_grams"),
        label_url=item.get("label_url"),
        tracking_url=item.get("tracking_url"),
        refusal=item.get("refusal"),
        stopping=item.get("stopping", False),
        order_number=item.get("order_number"),
        returned=item.get("returned", {}),
        history=tuple(Stop(datetime.fromisoformat(stop["at"]), Status(stop["status"])) for stop in item["history"]),
    )
