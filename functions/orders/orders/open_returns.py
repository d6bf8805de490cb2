"""The returns that wait for staff: to be approved, or to be received. Part of the keys of the orders' table.

One row for each open return, written with the facts that open, move and end it: pk=order#<order>, sk=RETURN#<return>,
gsi2pk=RETURN_<STATUS>#<shard>, gsi2sk=<since>#<return>. A return that is over has no row.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from datetime import datetime

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import KeyRange, Table, Write
from orders.order import Order, Return, ReturnStatus

SHARDS = 8
_ROW = "RETURN#"


@dataclass(frozen=True)
class OpenReturn:
    """A return in staff's list. `units` were requested, and `amount` would be refunded for all of them."""

    order_id: str
    customer_id: str
    return_id: str
    status: ReturnStatus
    reason: str
    units: int
    amount: Money
    at: datetime
    since: datetime
    number: str | None


def return_items(order: Order) -> list[Item]:
    """The rows of the order's open returns, as they are stored, in the order of their keys."""
    return sorted(
        (_item(order, made) for made in order.returns if made.status.is_open), key=lambda item: str(item["sk"])
    )


def return_writes(before: Order | None, after: Order) -> list[Write]:
    """What the rows need where a return was opened, has moved or is over."""
    known = {made.return_id: made for made in before.returns} if before else {}
    writes = []
    for made in after.returns:
        was = known.get(made.return_id)
        if made.status.is_open and made != was:
            writes.append(dynamo.put(_item(after, made)))
        elif was and was.status.is_open and not made.status.is_open:
            writes.append(dynamo.delete(*_key(after.id, made.return_id)))
    return writes


class OpenReturns:
    def __init__(self, table: Table) -> None:
        self._table = table

    def rows_of(self, order_id: str) -> list[Item]:
        return list(self._table.query_all(f"order#{order_id}", KeyRange(prefix=_ROW)))

    def find_page(self, status: ReturnStatus, *, limit: int, cursor: str | None) -> tuple[list[OpenReturn], str | None]:
        """The returns of a status, those that have waited the longest first. The index lags behind."""
        name = f"{_ROW[:-1]}_{status.upper()}"
        start = decode_cursor(cursor, pk=name)
        after = str(start["sk"]) if start else ""
        rows = heapq.merge(
            *(self._rows(f"{name}#{shard}", after, limit + 1) for shard in range(SHARDS)),
            key=lambda row: str(row["gsi2sk"]),
        )
        found = [row for row, _ in zip(rows, range(limit + 1), strict=False)]
        following = encode_cursor({"pk": name, "sk": found[limit - 1]["gsi2sk"]}) if len(found) > limit else None
        return [_open_return(row) for row in found[:limit]], following

    def _rows(self, partition: str, after: str, at_once: int) -> Iterator[Item]:
        keys = KeyRange(after=after) if after else KeyRange()
        return self._table.query_all(partition, keys, index="gsi2", limit=at_once)


def _key(order_id: str, return_id: str) -> tuple[str, str]:
    return f"order#{order_id}", f"{_ROW}{return_id}"


def _item(order: Order, made: Return) -> Item:
    pk, sk = _key(order.id, made.return_id)
    shard = zlib.crc32(made.return_id.encode()) % SHARDS
    return {
        "pk": pk,
        "sk": sk,
        "gsi2pk": f"{_ROW[:-1]}_{made.status.upper()}#{shard}",
        "gsi2sk": f"{rfc3339(made.since)}#{made.return_id}",
        "order_id": order.id,
        "customer_id": order.customer_id,
        "return_id": made.return_id,
        "status": made.status.value,
        "reason": made.reason,
        "units": sum(line.quantity for line in made.lines),
        "amount": made.amount.model_dump(),
        "at": rfc3339(made.at),
        "since": rfc3339(made.since),
        "number": order.number,
    }


def _open_return(row: Item) -> OpenReturn:
    about = {name: row[name] for name in ("order_id", "customer_id", "return_id", "reason", "units", "number")}
    return OpenReturn(
        status=ReturnStatus(row["status"]),
        amount=Money(**row["amount"]),
        at=datetime.fromisoformat(row["at"]),
        since=datetime.fromisoformat(row["since"]),
        **about,
    )
