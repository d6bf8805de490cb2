"""Stock, reservations and adjustments in DynamoDB.

STOCK#<product>      STOCK                     on_hand, reserved, available, level, version, entries; for a hot product
                                               also its shards; its threshold, where it has its own
STOCK#<product>      LISTED                    its place in the list of all products (listing.py)
STOCK#<product>      LEDGER#<time>#<cause>     one change of on_hand; may carry its event
SHARD#<n>#<product>  STOCK, LEDGER#…           the same for one shard of a hot product
RESERVATION#<order>  RESERVATION               the record of reservation.py; while it can expire, in expiry.py's index
ADJUSTMENT#<id>      ADJUSTMENT                the outcome of a request, which a retry returns
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice

from inventory.domain import (
    ROOT,
    Adjusted,
    Adjustment,
    Adjustments,
    Audit,
    LedgerEntry,
    Level,
    Line,
    Movement,
    Shortage,
    Threshold,
    level_to_tell,
)
from inventory.events import InventoryReleased, InventoryReserved, ReservedLine
from inventory.expiry import index_attributes
from inventory.listing import Sort, StockList, StockPage, level_keys, listed_item
from inventory.movements import (
    SERVICE,
    ledger_entry,
    level_announcement,
    move,
    move_exactly,
    set_threshold,
    stock_of,
    stock_pk,
)
from inventory.product_stock import ProductStock, StockMoved
from inventory.reservation import Reservation, State, Step
from inventory.resharding import Change
from inventory.transfers import transfer
from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.events import EventModel, outbox
from mercato.store.attributes import Item
from mercato.store.cursor import InvalidCursor, decode_cursor, encode_cursor
from mercato.store.dynamo import (
    MAX_TRANSACTION,
    ConditionFailed,
    KeyRange,
    SeveralConditionsFailed,
    Table,
    Write,
    put,
    put_new,
    update,
)

_AUDIT_ATTEMPTS = 5
_READ_ATTEMPTS = 8
# Seconds. A stock item is in a transaction of every order of its product, and DynamoDB cancels those that overlap.
_PATIENCE = 8.0


class TooManyWrites(Exception):
    """The step does not fit into one transaction. Retry with fewer lines."""


class ReservationMoved(Exception):
    """Another invocation took the next step of this reservation."""


class AdjustmentExists(Exception):
    """An adjustment with this id exists."""


class InventoryStore:
    def __init__(self, table: Table, low_at: int) -> None:
        self._table = table
        self._low_at = low_at
        self._hot: dict[str, tuple[int, ...]] = {}
        self._own_thresholds: dict[str, int] = {}

    @property
    def hot(self) -> Mapping[str, Sequence[int]]:
        """The shards of hot products that this process has seen: a hint where to try first."""
        return self._hot

    def stock(self, product_id: str) -> ProductStock | None:
        return self.stocks([product_id]).get(product_id)

    def stocks(self, product_ids: Iterable[str]) -> dict[str, ProductStock]:
        """Reads roots before their shards. Reads again what moved between them in between."""
        found: dict[str, ProductStock] = {}
        missing = set(product_ids)
        for _ in range(_READ_ATTEMPTS):
            roots = [stock_of(item) for item in self._table.get_many((stock_pk(one), "STOCK") for one in missing)]
            keys = [(stock_pk(root.product_id, shard), "STOCK") for root in roots for shard in root.shards]
            parts = {(part.product_id, part.shard): part for part in map(stock_of, self._table.get_many(keys))}
            missing.clear()
            for root in roots:
                shards = [parts.get((root.product_id, shard)) for shard in root.shards]
                whole = tuple(part for part in shards if part is not None and part.transfer <= root.transfer)
                if len(whole) == len(shards):
                    found[root.product_id] = self._remember(ProductStock(root, whole))
                else:
                    missing.add(root.product_id)
            if not missing:
                return found
        raise TransientError(f"the stock of {', '.join(sorted(missing))} moves between its shards")

    def _remember(self, product: ProductStock) -> ProductStock:
        shards = tuple(stock.shard for stock in product.open_shards)
        if shards:
            self._hot[product.product_id] = shards
        else:
            self._hot.pop(product.product_id, None)
        if product.root.low_at is None:
            self._own_thresholds.pop(product.product_id, None)
        else:
            self._own_thresholds[product.product_id] = product.root.low_at
        return product

    def threshold(self, product_id: str, product: ProductStock | None) -> Threshold:
        """The threshold of `product`, or for an unknown one a hint: what this process has seen of it."""
        return Threshold(self._low_at, product.root.low_at if product else self._own_thresholds.get(product_id))

    def find_page(self, sort: Sort, *, low_only: bool, limit: int, cursor: str | None) -> StockPage:
        """Products in the order of listing.py."""
        return StockList(self._table, self.stocks).find_page(sort, low_only=low_only, limit=limit, cursor=cursor)

    def open_stock(self, product_id: str) -> None:
        """Creates an empty stock item and lists it. An existing one stays unchanged."""
        item = {"on_hand": 0, "reserved": 0, "available": 0, "version": 0, "entries": 0, "level": Level.OUT}
        item |= {"pk": stock_pk(product_id), "sk": "STOCK", "product_id": product_id}
        try:
            self._table.write(put(listed_item(product_id)))
            self._table.write(put_new(item | level_keys(product_id, Level.OUT)))
        except ConditionFailed:
            return

    def reservation(self, order_id: str) -> Reservation | None:
        item = self._table.get(f"RESERVATION#{order_id}", "RESERVATION")
        return _reservation(item) if item else None

    def take(self, step: Step, seen: Mapping[str, ProductStock], now: datetime) -> None:
        """Writes one step of a reservation, all of it or nothing. `seen` is the last known stock of some products.

        Raises ReservationMoved, StockMoved or TooManyWrites.
        """
        writes = [_reservation_write(step, now)]
        stock_at: dict[int, str] = {}
        for product_id, group in groupby(step.movements, key=lambda movement: movement.product_id):
            movements, first = list(group), len(writes)
            product = seen.get(product_id)
            writes += move(movements, product, self.threshold(product_id, product), now)
            stock_at |= dict.fromkeys(range(first, len(writes)), product_id)
            cause, why = step.after.order_id, {"kind": "order", "actor": "order.shipped", "reason": "shipped"}
            writes += [put_new(ledger_entry(one, now, cause=cause, **why)) for one in movements if one.on_hand]
        if announced := _announcement(step):
            event, sequence = announced
            writes.append(
                outbox.record(event, service=SERVICE, subject=step.after.order_id, sequence=sequence, now=now)
            )
        if len(writes) > MAX_TRANSACTION:
            raise TooManyWrites(f"{len(writes)} writes")
        try:
            self._table.transact(writes, patience=_PATIENCE)
        except ConditionFailed as failed:
            failures = _failures(failed)
            if 0 in failures:
                raise ReservationMoved from None
            raise self._stock_moved(failures, stock_at) from None

    def adjustment(self, adjustment_id: str) -> tuple[str, list[Adjusted]] | None:
        """The fingerprint and the outcome of a stored adjustment."""
        item = self._table.get(f"ADJUSTMENT#{adjustment_id}", "ADJUSTMENT")
        return (item["fingerprint"], [Adjusted(**result) for result in item["results"]]) if item else None

    def adjust(self, request: Adjustments, seen: Mapping[str, ProductStock], results: list[Adjusted]) -> None:
        """Writes all parts or nothing, on condition of the versions seen, so that `results` is the stock after it. For
        a hot product it is the root's version: goods come to the root, and orders that one shard serves alone continue.

        An event is stored in its ledger entry, since forty products with separate events would not fit into a
        transaction. Raises AdjustmentExists or StockMoved.
        """
        record = {"fingerprint": request.fingerprint, "actor": request.actor, "at": rfc3339(request.at)}
        key = {"pk": f"ADJUSTMENT#{request.adjustment_id}", "sk": "ADJUSTMENT"}
        writes = [put_new(key | record | {"results": [vars(result) for result in results]})]
        stock_at: dict[int, str] = {}
        for part in request.parts:
            product = seen[part.product_id]
            movement = Movement(part.product_id, on_hand=part.delta, written_off=part.written_off)
            level = level_to_tell(product, movement, low_at=self.threshold(part.product_id, product).low_at)
            entries = _adjustment_entries(part, request)
            if level:
                entries[0]["event"] = level_announcement(product, movement, level, request.at)
            stock_at[len(writes)] = part.product_id
            writes += [move_exactly(movement, product.root, level), *(put_new(entry) for entry in entries)]
        try:
            self._table.transact(writes, patience=_PATIENCE)
        except ConditionFailed as failed:
            failures = _failures(failed)
            if 0 in failures:
                raise AdjustmentExists from None
            raise self._stock_moved(failures, stock_at) from None

    def apply(self, change: Change, product: ProductStock, actor: str, now: datetime) -> None:
        """Moves a hot product's stock between its items. Raises StockMoved if they have changed since they were
        read.
        """
        try:
            low_at = self.threshold(product.product_id, product).low_at
            self._table.transact(transfer(change, product, low_at, actor, now), patience=_PATIENCE)
        except ConditionFailed:
            raise StockMoved({}, [product.product_id]) from None

    def set_threshold(self, product: ProductStock, own: int | None, now: datetime) -> None:
        """Sets the product's own threshold; None removes it. Raises StockMoved if the stock has changed since it was
        read.
        """
        try:
            self._table.transact(set_threshold(product, own, self._low_at, now), patience=_PATIENCE)
        except ConditionFailed:
            raise StockMoved({}, [product.product_id]) from None

    def _stock_moved(self, failures: Mapping[int, Item | None], stock_at: Mapping[int, str]) -> StockMoved:
        """For an unsharded product the refused condition returns the whole item. A sharded product must be read
        again.
        """
        found: dict[str, ProductStock | None] = {}
        unread: set[str] = set()
        for index, item in failures.items():
            if index not in stock_at:
                continue
            product_id = stock_at[index]
            is_root = item is not None and item["pk"] == stock_pk(product_id)
            if is_root and item is not None and not item.get("shards"):
                found[product_id] = self._remember(ProductStock(stock_of(item)))
            else:
                unread.add(product_id)
        return StockMoved(found, unread)

    def ledger(self, product_id: str, limit: int, cursor: str | None) -> tuple[list[LedgerEntry], str | None]:
        """One page of the product's ledger, the newest entry first. Merges the ledgers of all shards that there were.

        The balances follow from `on_hand`, backwards. They are proven while the ledger has no entry more than at the
        first page; after that they are None. An unknown product has no entries.
        """
        start = decode_cursor(cursor, pk=f"LEDGER#{product_id}")
        place = _Place.read(start["sk"]) if start else None
        stock = self.stock(product_id)
        for _ in range(_AUDIT_ATTEMPTS):
            if stock is None:
                return [], None
            before, rows = stock, list(islice(self._ledger_rows(stock, place, limit + 1), limit + 1))
            stock = self.stock(product_id)
            if stock is not None and _entries(stock) == _entries(before):
                break
        is_exact = stock is not None and _entries(stock) == _entries(before)
        counted = sum(_entries(before).values())
        balance = before.on_hand if is_exact else None
        if place is not None:
            balance = place.balance if is_exact and counted == place.counted else None
        found = []
        for row, shard in rows[:limit]:
            found.append(_ledger_entry(row, shard, balance))
            if balance is not None and row["kind"] != "transfer":
                balance -= row["delta"]
        if len(rows) <= limit:
            return found, None
        row, shard = rows[limit - 1]
        following = _Place(row["sk"], shard, balance, counted)
        return found, encode_cursor({"pk": f"LEDGER#{product_id}", "sk": following.written()})

    def _ledger_rows(self, product: ProductStock, after: _Place | None, at_once: int) -> Iterator[tuple[Item, int]]:
        """Entries with their shard. By time, the newest first; at one time, those of the higher shard first."""
        shards = (self._shard_rows(product.product_id, shard, after, at_once) for shard in _all_shards(product))
        return heapq.merge(*shards, key=lambda found: (found[0]["sk"], found[1]), reverse=True)

    def _shard_rows(
        self, product_id: str, shard: int, after: _Place | None, at_once: int
    ) -> Iterator[tuple[Item, int]]:
        keys = KeyRange(between=("LEDGER#", after.sk if after else "LEDGER#~"), forward=False)
        for row in self._table.query_all(stock_pk(product_id, shard), keys, limit=at_once):
            if after is None or (row["sk"], shard) < (after.sk, after.shard):
                yield row, shard

    def audit(self, product_id: str) -> Audit | None:
        """Sums up the ledgers at one version of the stock. Raises TransientError if it changes at every attempt."""
        before = self.stock(product_id)
        for _ in range(_AUDIT_ATTEMPTS):
            if before is None:
                return None
            keys = [stock_pk(product_id, stock.shard) for stock in before.places]
            deltas = [entry["delta"] for pk in keys for entry in self._table.query_all(pk, KeyRange(prefix="LEDGER#"))]
            after = self.stock(product_id)
            if after is not None and _entries(after) == _entries(before):
                entries = sum(_entries(after).values())
                return Audit(product_id, after.on_hand, entries, sum(deltas), len(deltas))
            before = after
        raise TransientError(f"the stock of {product_id} changes too often to be audited")


@dataclass(frozen=True)
class _Place:
    """The last entry of a ledger's page. `balance` is the count before it, `counted` how many entries there were."""

    sk: str
    shard: int
    balance: int | None
    counted: int

    def written(self) -> str:
        return f"{self.shard} {'' if self.balance is None else self.balance} {self.counted} {self.sk}"

    @classmethod
    def read(cls, text: str) -> _Place:
        found = re.fullmatch(r"(\d{1,6}) (-?\d{1,12}|) (-?\d{1,12}) (LEDGER#[!-~]{1,200})", text, re.ASCII)
        if found is None:
            raise InvalidCursor("The cursor cannot be read; start again without one.")
        return cls(found[4], int(found[1]), int(found[2]) if found[2] else None, int(found[3]))


def _all_shards(product: ProductStock) -> range:
    """The root and all shards that there ever were: a closed one keeps its ledger."""
    return range(ROOT, product.root.next_shard)


def _adjustment_entries(part: Adjustment, request: Adjustments) -> list[Item]:
    """What came or went, and after it the loss of what was written off at once."""
    why = {"actor": request.actor, "reason": part.reason}
    came = Movement(part.product_id, on_hand=part.delta + part.written_off)
    entries = [ledger_entry(came, request.at, cause=request.adjustment_id, kind="adjustment", **why)]
    if part.written_off:
        lost = Movement(part.product_id, on_hand=-part.written_off)
        entries.append(ledger_entry(lost, request.at, cause=f"{request.adjustment_id}~loss", kind="write_off", **why))
    return entries


def _ledger_entry(row: Item, shard: int, balance: int | None) -> LedgerEntry:
    about = {name: row[name] for name in ("kind", "delta", "cause", "actor", "reason")}
    at = datetime.fromisoformat(row["at"])
    return LedgerEntry(at=at, balance=balance, request_id=row.get("request_id"), shard=shard, **about)


def _entries(product: ProductStock) -> dict[int, int]:
    return {stock.shard: stock.entries for stock in product.places}


def _announcement(step: Step) -> tuple[EventModel, int] | None:
    """The event of a step: reserved when the last line is held, released only if it was reserved before."""
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
            "shares": after.shares,
            "updated_at": rfc3339(now),
        },
    )
    if step.before.revision == 0:
        lines = [vars(line) for line in after.lines]
        key = {"pk": pk, "sk": "RESERVATION", "order_id": after.order_id, "lines": lines}
        return put_new(key | progress | index_attributes(after))
    names = {f"#{name}": name for name in progress}
    values = {f":{name}": value for name, value in progress.items()} | {":seen": step.before.revision}
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in progress)
    if not index_attributes(after):
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
        shares={name: tuple((shard, count) for shard, count in shares) for name, shares in item["shares"].items()},
    )


def _failures(failed: ConditionFailed) -> Mapping[int, Item | None]:
    return failed.failures if isinstance(failed, SeveralConditionsFailed) else {failed.index: failed.item}
