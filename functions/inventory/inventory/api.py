"""HTTP routes of inventory."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field

from inventory import resharding, usecases
from inventory.domain import (
    MAX_QUANTITY,
    MOST_AT_ONCE,
    Adjusted,
    Adjustment,
    Adjustments,
    LedgerEntry,
    Level,
    TooManyProducts,
    level_of,
)
from inventory.listing import Sort
from inventory.product_stock import ProductStock
from inventory.resharding import MAX_SHARDS
from inventory.wiring import ports
from mercato import clock
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    WATCH,
    App,
    Body,
    Created,
    CreatedMany,
    Cursor,
    IdempotencyKey,
    Query,
    View,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once
from mercato.ids import fingerprint
from mercato.text import Exact, ShortReason

_MAX_ID = 64
_MOST_ASKED = 100


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise ValueError("must not be 0")
    return delta


ProductId = Annotated[str, Exact(), Field(min_length=1, max_length=_MAX_ID)]
Delta = Annotated[
    int,
    Field(ge=-MAX_QUANTITY, le=MAX_QUANTITY, json_schema_extra={"not": {"const": 0}}),
    AfterValidator(_not_zero),
]


class AdjustStock(Body):
    delta: Delta
    reason: ShortReason


class AdjustOne(Body):
    product_id: ProductId
    delta: Delta
    reason: ShortReason


class AdjustMany(Body):
    adjustments: Annotated[list[AdjustOne], Field(min_length=1, max_length=MOST_AT_ONCE)]


class SetShards(Body):
    """`shards` is 1 for a product that is not hot."""

    shards: Annotated[int, Field(ge=1, le=MAX_SHARDS)]


class SetThreshold(Body):
    """`low_at` is the count at or below which stock is low; null for the shop's default. `version` is the
    `threshold_version` that the caller has read.
    """

    low_at: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] | None
    version: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]


class StockQuery(Query):
    """`low` lists what is low or out of stock only, always by level. `product_ids` are up to 100 ids, separated by
    commas; the answer has those that have stock items, on one page, and the other parameters do not matter then.
    """

    low: bool = False
    sort: Sort = Sort.PRODUCT
    product_ids: Annotated[str, Exact(), Field(max_length=100 * (_MAX_ID + 1))] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class LedgerQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class StockView(View):
    product_id: str
    on_hand: int
    reserved: int
    available: int


class AdjustedView(View):
    product_id: str
    on_hand: int
    available: int


class ShardsView(StockView):
    shards: int


class AdjustedManyView(View):
    adjustments: list[AdjustedView]


class ListedStockView(ShardsView):
    """`low_at` is the threshold that holds, `is_default` whether it is the shop's."""

    level: Level
    low_at: int
    is_default: bool
    threshold_version: int

    @classmethod
    def of(cls, product: ProductStock) -> Self:
        threshold = ports().store.threshold(product.product_id, product)
        return cls(
            **_counts(product),
            shards=len(product.shards) or 1,
            level=level_of(product.available, threshold.low_at),
            low_at=threshold.low_at,
            is_default=threshold.own is None,
            threshold_version=product.root.threshold_version,
        )


class StockListPage(View):
    items: list[ListedStockView]
    next_cursor: str | None


class LedgerEntryView(View):
    """`delta` is the change of `on_hand`, `balance` the product's count after it; null where that is not proven, as the
    ledger has got entries since its first page. `kind`: an adjustment, a write-off of returned units, an order that
    shipped, or a transfer between the items of a hot product, which leaves the count as it is. `actor` is a user's id,
    or the event that was the cause. `order_id` is set for an order.
    """

    at: datetime
    kind: str
    delta: int
    balance: int | None
    actor: str
    reason: str
    order_id: str | None
    request_id: str | None
    shard: int

    @classmethod
    def of(cls, entry: LedgerEntry) -> Self:
        about = {name: getattr(entry, name) for name in cls.model_fields if name != "order_id"}
        return cls(**about, order_id=entry.cause if entry.kind == "order" else None)


class LedgerPage(View):
    items: list[LedgerEntryView]
    next_cursor: str | None


class LedgerAuditView(View):
    """`balanced`: the entries' sum is `on_hand`, and none is missing. Of a hot product, the items that it has now."""

    product_id: str
    on_hand: int
    entries: int
    ledger_sum: int
    ledger_entries: int
    balanced: bool


app = App("inventory", health=table_and_queue)
handler = app.handler


@app.get("/api/inventory/{product_id}", role=(CUSTOMER, ADMIN, PEER), limit=WATCH)
def show_stock(product_id: str) -> StockView:
    return StockView(**_counts(usecases.find_stock(product_id, ports().store)))


@app.get("/api/inventory", role=ADMIN, limit=WATCH)
def list_stock(query: StockQuery) -> StockListPage:
    """Lists the stock of all products, or what is low of it: first what is out of stock."""
    if query.product_ids:
        found = ports().store.stocks(_ids(query.product_ids))
        return StockListPage(items=[ListedStockView.of(one) for _, one in sorted(found.items())], next_cursor=None)
    page = ports().store.find_page(query.sort, low_only=query.low, limit=query.limit, cursor=query.cursor)
    return StockListPage(items=[ListedStockView.of(one) for one in page.items], next_cursor=page.next_cursor)


def _ids(text: str) -> list[str]:
    found = [one for one in dict.fromkeys(text.split(",")) if one]
    if len(found) > _MOST_ASKED or any(len(one) > _MAX_ID for one in found):
        raise TooManyProducts(f"product_ids takes up to {_MOST_ASKED} ids of {_MAX_ID} characters each.")
    return found


@app.get("/api/inventory/{product_id}/ledger", role=ADMIN, limit=WATCH)
def list_ledger(product_id: str, query: LedgerQuery) -> LedgerPage:
    """Lists the changes of a product's `on_hand`, the newest first."""
    entries, next_cursor = usecases.list_ledger(product_id, query.limit, query.cursor, ports().store)
    return LedgerPage(items=[LedgerEntryView.of(entry) for entry in entries], next_cursor=next_cursor)


@app.get("/api/inventory/{product_id}/ledger/audit", role=ADMIN, limit=WATCH)
def audit_ledger(product_id: str) -> LedgerAuditView:
    """Sums up a product's ledger and compares it with its stock."""
    found = usecases.audit(product_id, ports().store)
    return LedgerAuditView(**vars(found), balanced=found.balanced)


@app.put("/api/inventory/{product_id}/threshold", role=ADMIN)
def set_threshold(product_id: str, body: SetThreshold) -> ListedStockView:
    """Sets the count at or below which the product's stock is low. Publishes the crossing, if it is one."""
    return ListedStockView.of(
        usecases.set_threshold(product_id, body.low_at, body.version, ports().store, clock.utc_now())
    )


@app.post("/api/inventory/adjustments", role=ADMIN)
def adjust_many(body: AdjustMany, caller: Caller, key: IdempotencyKey) -> CreatedMany[AdjustedManyView]:
    """Adjusts up to forty products, all or none. A retry with the same key returns the first response."""
    parts = tuple(Adjustment(part.product_id, part.delta, part.reason) for part in body.adjustments)
    asked = Keyed.read("POST /api/inventory/adjustments", caller, key, body)

    def adjust() -> CreatedMany[AdjustedManyView]:
        results = usecases.adjust(_request(asked, parts, caller), ports().store)
        return CreatedMany(AdjustedManyView(adjustments=[_view(result) for result in results]))

    return answer_once(asked, ports().table, clock.utc_now(), adjust)


@app.post("/api/inventory/{product_id}/adjustments", role=ADMIN)
def adjust_stock(product_id: str, body: AdjustStock, caller: Caller, key: IdempotencyKey) -> Created[AdjustedView]:
    part = Adjustment(product_id, body.delta, body.reason)
    asked = Keyed.read("POST /api/inventory/{product_id}/adjustments", caller, key, body, product_id)

    def adjust() -> Created[AdjustedView]:
        (result,) = usecases.adjust(_request(asked, (part,), caller), ports().store)
        return Created(_view(result), f"/api/inventory/{product_id}")

    return answer_once(asked, ports().table, clock.utc_now(), adjust)


@app.put("/api/inventory/{product_id}/shards", role=ADMIN)
def set_shards(product_id: str, body: SetShards, caller: Caller) -> ShardsView:
    """Spreads a hot product over this many items, or gathers it in one. Idempotent. Orders continue during it."""
    product = resharding.set_shards(product_id, body.shards, caller.user_id, clock.utc_now(), ports().store)
    return ShardsView(**_counts(product), shards=len(product.shards) or 1)


def _counts(product: ProductStock) -> dict[str, Any]:
    return {name: getattr(product, name) for name in StockView.model_fields}


def _request(asked: Keyed, parts: tuple[Adjustment, ...], caller: Caller) -> Adjustments:
    return Adjustments(
        adjustment_id=asked.id,
        fingerprint=fingerprint([vars(part) for part in parts]),
        actor=caller.user_id,
        parts=parts,
        at=clock.utc_now(),
    )


def _view(result: Adjusted) -> AdjustedView:
    return AdjustedView(product_id=result.product_id, on_hand=result.on_hand, available=result.available)
