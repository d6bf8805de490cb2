"""Coupons over HTTP: staff makes, changes, lists and ends them, and the checkout has codes evaluated."""

from __future__ import annotations

from mercato.clock import utc_now
from mercato.http import ADMIN, PEER, UNLIMITED, WATCH, App, Created, IdempotencyKey, NoContent, SourceAddress
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once
from mercato.http.rate_limit import network_of
from promotions import usecases
from promotions.domain import Coupon, customer_of, new_code, normalise_code
from promotions.usecases import Question
from promotions.views import (
    CodesToEvaluate,
    CouponChanges,
    CouponsPage,
    CouponsQuery,
    CouponView,
    EvaluationView,
    NewCoupon,
)
from promotions.wiring import ports

app = App("promotions", health=table_and_queue)
handler = app.handler


@app.post("/api/promotions/coupons", role=ADMIN)
def add_coupon(new: NewCoupon, caller: Caller, key: IdempotencyKey) -> Created[CouponView]:
    now, asked = utc_now(), Keyed.read("POST /api/promotions/coupons", caller, key, new)

    def add() -> Created[CouponView]:
        code = normalise_code(new.code) if new.code else new_code()
        wanted = Coupon(**new.given() | {"code": code, "created_at": now})
        coupon = usecases.add_coupon(wanted, asked.id, ports().coupons)
        return Created(_view(coupon), f"/api/promotions/coupons/{coupon.code}")

    return answer_once(asked, ports().table, now, add)


@app.get("/api/promotions/coupons", role=ADMIN, limit=WATCH)
def list_coupons(query: CouponsQuery) -> CouponsPage:
    """Lists all coupons, also those that have ended, the newest first."""
    found, next_cursor = ports().coupons.find_page(query.limit, query.cursor)
    used = ports().coupons.uses(found)
    return CouponsPage(items=[CouponView.of(one, used[one.code]) for one in found], next_cursor=next_cursor)


@app.get("/api/promotions/coupons/{code}", role=ADMIN, limit=WATCH)
def show_coupon(code: str) -> CouponView:
    return _view(usecases.find_coupon(code, ports().coupons))


@app.patch("/api/promotions/coupons/{code}", role=ADMIN)
def change_coupon(code: str, changes: CouponChanges) -> CouponView:
    """Changes a coupon. Orders that were placed with it keep their discount; checkouts get the new one."""
    return _view(usecases.change_coupon(code, changes.version, changes.given(), ports().coupons))


@app.delete("/api/promotions/coupons/{code}", role=ADMIN)
def end_coupon(code: str) -> NoContent:
    """Ends a coupon for good. Orders that were placed with it keep their discount."""
    usecases.end_coupon(code, ports().coupons, utc_now())
    return NoContent()


@app.post("/api/promotions/evaluations", role=PEER, limit=UNLIMITED)
def evaluate_codes(asked: CodesToEvaluate, caller: Caller, source: SourceAddress) -> EvaluationView:
    """Says which codes take what from these goods, and why the others are rejected. Claims nothing. The checkout has
    counted the buyer's request: here only unknown codes are counted, also for the network of X-Source-Address.
    """
    customer = customer_of(caller.user_id, asked.email)
    codes, entered = usecases.normalise(asked.codes), usecases.normalise(asked.entered)
    question = Question(codes, entered, customer, asked.basket(), network_of(source))
    return EvaluationView.of(customer, usecases.evaluate(question, ports().coupons, ports().guesses, utc_now()))


def _view(coupon: Coupon) -> CouponView:
    return CouponView.of(coupon, ports().coupons.uses([coupon])[coupon.code])
