"""The layer's items that expire, and what the tests of expiry try with them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mercato.errors import IdempotencyKeyReused
from mercato.events import inbox
from mercato.http import Created, Response, View
from mercato.http.auth import Caller, Role
from mercato.http.idempotency import Keyed, answer_once
from mercato.http.rate_limit import WINDOW, CountTable
from mercato.store import dynamo
from mercato.store.dynamo import Table
from mercato.store.event_store import EventStore
from mercato.store.snapshots import Codec, Snapshots
from tests.kit.cases import Exempt, Expiring


class Thing(View):
    name: str


def _inbox(table: Table, now: datetime) -> object:
    effect = dynamo.put({"pk": "effect", "sk": "of the event"})
    return inbox.is_done(table, "event-1", now), inbox.once(table, "event-1", [effect], now)


def _ask(table: Table, now: datetime, name: str = "lamp") -> Response[Any]:
    asked = Keyed.read("POST /x", Caller(user_id="ada", role=Role.CUSTOMER), "k-1", Thing(name=name))
    return answer_once(asked, table, now, lambda: Created(Thing(name=name), "/x/1"))


def _ask_again(table: Table, now: datetime) -> object:
    try:
        return _ask(table, now, "vase").headers
    except IdempotencyKeyReused as refused:
        return refused.slug()


def _count(table: Table, now: datetime) -> object:
    return CountTable(table.name).take("user:ada", int(now.timestamp()) // WINDOW, 1, allowed=1)


def _snapshots(table: Table) -> Snapshots[list[int]]:
    return Snapshots(table, "thing", Codec(1, list, list), 5)


def _snapshot(table: Table, now: datetime) -> object:
    loaded = _snapshots(table).load(EventStore(table, "thing"), "a", lambda state, event: [*(state or []), 1])
    return loaded, _snapshots(table).save("a", 5, [1, 2], now)


EXPIRING = (
    Expiring("inbox marker", "OrdersTable", ("mercato.events.inbox:marker",), _inbox, _inbox),
    Expiring("answer to a key", "OrdersTable", ("mercato.http.idempotency:_record",), _ask, _ask_again),
    Expiring("count of requests", "RateLimitsTable", ("mercato.http.rate_limit:CountTable.take",), _count, _count),
    Expiring("snapshot", "OrdersTable", ("mercato.store.snapshots:Snapshots.save",), _snapshot, _snapshot),
)
EXEMPT = (
    Exempt(
        "mercato.events.dead_letters:_count",
        "it outlives the message whose tries it counts, whose id never comes again",
    ),
    Exempt("mercato.store.ended_access:end", "the tokens that it refuses have expired long before it does"),
    Exempt("mercato.events.outbox:record", "its key is an entity's version, which never comes again"),
    Exempt(
        "mercato.breaker.store:_update", "a circuit whose wait is over lets the next call through, as a closed one does"
    ),
)
