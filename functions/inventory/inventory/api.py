"""HTTP routes of inventory."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from inventory import resharding, usecases
from inventory.domain import MAX_QUANTITY, MOST_AT_ONCE, Adjusted, Adjustment, Adjustments
from inventory.resharding import MAX_SHARDS
from inventory.wiring import ports
from mercato import clock
from mercato.http import ADMIN, CUSTOMER, PEER, WATCH, App, Body, Created, CreatedMany, IdempotencyKey, View
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once
from mercato.ids import fingerprint
from mercato.text import Exact, ShortReason

_MAX_ID = 64


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


app = App("inventory", health=table_and_queue)
handler = app.handler


@app.get("/api/inventory/{product_id}", role=(CUSTOMER, ADMIN, PEER), limit=WATCH)
def show_stock(product_id: str) -> StockView:
    stock = usecases.find_stock(product_id, ports().store)
    return StockView(
        product_id=stock.product_id, on_hand=stock.on_hand, reserved=stock.reserved, available=stock.available
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
    counts = {name: getattr(product, name) for name in ("product_id", "on_hand", "reserved", "available")}
    return ShardsView(**counts, shards=len(product.shards) or 1)


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
