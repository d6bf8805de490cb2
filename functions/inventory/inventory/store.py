"""Stock, reservations and adjustments in DynamoDB.

STOCK#<product>      STOCK                     on_hand, reserved, available, level, version, entries
STOCK#<product>      LEDGER#<time>#<cause>     one change of on_hand; may carry its event
RESERVATION#<order>  RESERVATION               the record of reservation.py; while it can expire, in expiry.py's index
ADJUSTMENT#<id>      ADJUSTMENT                what a request did, so that its repetition is answered alike
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from inventory.domain import Adjusted, Adjustments, Audit, Level, Line, Movement, Shortage, Stock, crossing
from inventory.events import InventoryReleased, InventoryReserved, ReservedLine
from inventory.expiry import waits_as
from inventory.movements import SERVICE, ledger_entry, level_announcement, move, move_exactly, stock_of, stock_pk
from inventory.reservation import Reservation, State, Step
from mercato import outbox
from mercato.clock import rfc3339
from mercato.dynamo import ConditionFailed, SeveralConditionsFailed, Table, Write, put_new, update
from mercato.errors import TransientError
from mercato.events import EventModel
from mercato.items import Item

_AUDIT_ATTEMPTS = 5


class StockMoved(Exception):
    """The stock was not as assumed; `stocks` has what was there, None for a product that does not exist."""

    def __init__(self, stocks: Mapping[str, Stock | None]) -> None:
        super().__init__(f"{len(stocks)} stock items moved")
        self.stocks = dict(stocks)


class ReservationMoved(Exception):
    """Somebody else took the next step of this reservation."""


class AdjustmentExists(Exception):
    """The adjustment was made before."""


class InventoryStore:
    def __init__(self, table: Table, low_at: int) -> None:
        self._table = table
        self._low_at = low_at

    def stock(self, product_id: str) -> Stock | None:
        item = self._table.get(stock_pk(product_id), "STOCK")
        return stock_of(item) if item else None

    def stocks(self, product_ids: Iterable[str]) -> dict[str, Stock]:
        items = self._table.get_many((stock_pk(product_id), "STOCK") for product_id in product_ids)
        return {stock.product_id: stock for stock in map(stock_of, items)}

    def open_stock(self, product_id: str) -> None:
        """A stock item with nothing in it; one that exists stays as it is."""
        item = {"on_hand": 0, "reserved": 0, "available": 0, "version": 0, "entries": 0, "level": Level.OUT}
        try:
            self._table.write(put_new({"pk": stock_pk(product_id), "sk": "STOCK", "product_id": product_id} | item))
        except ConditionFailed:
            return

    def reservation(self, order_id: str) -> Reservation | None:
        item = self._table.get(f"RESERVATION#{order_id}", "RESERVATION")
        return _reservation(item) if item else None

    def take(self, step: Step, seen: Mapping[str, Stock], now: datetime) -> None:
        """One step of a reservation, all of it or nothing. `seen` is the stock as last seen, for what is known of it.

        Raises ReservationMoved or StockMoved.
        """
        writes = [_reservation_write(step, now)]
        stock_at: dict[int, str] = {}
        for movement in step.movements:
            stock_at[len(writes)] = movement.product_id
            writes += move(movement, seen.get(movement.product_id), self._low_at, now)
            if movement.on_hand:
                cause = step.after.order_id
                entry = ledger_entry(movement, now, cause=cause, kind="order", actor="order.shipped", reason="shipped")
                writes.append(put_new(entry))
        if announced := _announcement(step):
            event, sequence = announced
            writes.append(
                outbox.record(event, service=SERVICE, subject=step.after.order_id, sequence=sequence, now=now)
            )
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            failures = _failures(failed)
            if 0 in failures:
                raise ReservationMoved from None
            raise _stock_moved(failures, stock_at) from None

    def adjustment(self, adjustment_id: str) -> tuple[str, list[Adjusted]] | None:
        """The fingerprint and the outcome of an adjustment that was made."""
        item = self._table.get(f"ADJUSTMENT#{adjustment_id}", "ADJUSTMENT")
        return (item["fingerprint"], [Adjusted(**result) for result in item["results"]]) if item else None

    def adjust(self, request: Adjustments, seen: Mapping[str, Stock], results: list[Adjusted]) -> None:
        """All parts or nothing, for exactly the versions seen, so that `results` is what the stock then is.

        An event travels in its ledger entry: forty products would not fit into a transaction otherwise.
        Raises AdjustmentExists or StockMoved.
        """
        record = {"fingerprint": request.fingerprint, "actor": request.actor, "at": rfc3339(request.at)}
        key = {"pk": f"ADJUSTMENT#{request.adjustment_id}", "sk": "ADJUSTMENT"}
        writes = [put_new(key | record | {"results": [vars(result) for result in results]})]
        stock_at: dict[int, str] = {}
        for part in request.parts:
            stock, movement = seen[part.product_id], Movement(part.product_id, on_hand=part.delta)
            level = crossing(stock, movement, self._low_at)
            entry = ledger_entry(
                movement,
                request.at,
                cause=request.adjustment_id,
                kind="adjustment",
                actor=request.actor,
                reason=part.reason,
            )
            if level:
                entry["event"] = level_announcement(movement, stock, level, request.at)
            stock_at[len(writes)] = part.product_id
            writes += [move_exactly(movement, stock, level), put_new(entry)]
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            failures = _failures(failed)
            if 0 in failures:
                raise AdjustmentExists from None
            raise _stock_moved(failures, stock_at) from None

    def audit(self, product_id: str) -> Audit | None:
        """Adds up the ledger while on_hand stands still; TransientError where it never does."""
        before = self.stock(product_id)
        for _ in range(_AUDIT_ATTEMPTS):
            if before is None:
                return None
            deltas = [entry["delta"] for entry in self._table.query_all(stock_pk(product_id), prefix="LEDGER#")]
            after = self.stock(product_id)
            if after is not None and after.entries == before.entries:
                return Audit(product_id, after.on_hand, after.entries, sum(deltas), len(deltas))
            before = after
        raise TransientError(f"the stock of {product_id} changes too fast to be audited")


def _announcement(step: Step) -> tuple[EventModel, int] | None:
    """An order's stock is announced as reserved once, and as released only where it was."""
    after, lines = step.after, [ReservedLine(**vars(line)) for line in step.after.lines]
    if after.state is step.before.state or not after.was_reserved:
        return None
    if after.state is State.RESERVED:
        return InventoryReserved(order_id=after.order_id, lines=lines), 1
    if after.state is State.RELEASED:
        return InventoryReleased(order_id=after.order_id, lines=lines, reason=after.reason), 2
    return None


def _reservation_write(step: Step, now: datetime) -> Write:
    after = step.after
    pk, progress = (
        f"RESERVATION#{after.order_id}",
        {
            "state": after.state,
            "held": after.held,
            "handed_over": after.handed_over,
            "revision": after.revision,
            "was_reserved": after.was_reserved,
            "reason": after.reason,
            "refusal": [vars(shortage) for shortage in after.refusal],
            "expires_at": rfc3339(after.expires_at) if after.expires_at else None,
            "updated_at": rfc3339(now),
        },
    )
    if step.before.revision == 0:
        lines = [vars(line) for line in after.lines]
        key = {"pk": pk, "sk": "RESERVATION", "order_id": after.order_id, "lines": lines}
        return put_new(key | progress | waits_as(after))
    names = {f"#{name}": name for name in progress}
    values = {f":{name}": value for name, value in progress.items()} | {":seen": step.before.revision}
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in progress)
    if not waits_as(after):
        expression += " REMOVE gsi1pk, gsi1sk"
    return update(pk, "RESERVATION", expression, "#revision = :seen", names=names, values=values)


def _reservation(item: Item) -> Reservation:
    return Reservation(
        order_id=item["order_id"],
        lines=tuple(Line(**line) for line in item["lines"]),
        state=State(item["state"]),
        held=item["held"],
        handed_over=item["handed_over"],
        revision=item["revision"],
        was_reserved=item["was_reserved"],
        reason=item["reason"],
        refusal=tuple(Shortage(**shortage) for shortage in item["refusal"]),
        expires_at=datetime.fromisoformat(item["expires_at"]) if item.get("expires_at") else None,
    )


def _failures(failed: ConditionFailed) -> Mapping[int, Item | None]:
    return failed.failures if isinstance(failed, SeveralConditionsFailed) else {failed.index: failed.item}


def _stock_moved(failures: Mapping[int, Item | None], stock_at: Mapping[int, str]) -> StockMoved:
    found = {index: item for index, item in failures.items() if index in stock_at}
    return StockMoved({stock_at[index]: stock_of(item) if item else None for index, item in found.items()})
