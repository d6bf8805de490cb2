"""Stories that end without an order. Each checks that nothing stays reserved and nothing is charged."""

from __future__ import annotations

import uuid

from infra.demo.report import Report
from infra.demo.stage import ADDRESS, Product, Stage, describe, is_paid
from infra.demo.story import Story
from infra.operator.client import Json, Refused, Session


def _expect_cancelled(
    stage: Stage, report: Report, customer: Session, order: Json, product: Product, reason: str
) -> None:
    report.expect(f"cancelled: {reason}", ("cancelled", reason), (order["status"], order["reason"]))
    notices = stage.notifications_of(customer, "order_cancelled", order["order_id"])
    report.expect(
        "the customer is notified of the reason, once",
        [True],
        [order["detail"] in notice["body"] for notice in notices],
    )
    stage.expect_stock(report, product, on_hand=product.stock)
    stage.expect_uncharged(report, order["order_id"])
    report.end(f"{describe(order)}: “{order['detail']}”")


def tell_declined_card(stage: Stage, report: Report) -> None:
    clock, eve = stage.new_product("Wall clock", 5500, stock=4), stage.new_customer("Eve")
    report.say("Eve pays with a card that her bank declines")
    order = stage.order(eve, clock, 2, token="tok_declined")
    order = stage.watch(report, eve, order, is_paid, "cancelled")
    _expect_cancelled(stage, report, eve, order, clock, "payment-declined")


def tell_out_of_stock(stage: Stage, report: Report) -> None:
    bell, finn = stage.new_product("Ship's bell", 7900, stock=3), stage.new_customer("Finn")
    report.say("three bells are in stock, and Finn orders five")
    order = stage.order(finn, bell, 5)
    order = stage.watch(report, finn, order, is_paid, "cancelled")
    _expect_cancelled(stage, report, finn, order, bell, "out-of-stock")


def tell_provider_down(stage: Stage, report: Report) -> None:
    globe, gus = stage.new_product("Desk globe", 2600, stock=4), stage.new_customer("Gus")
    report.say("the payment provider does not answer at any retry")
    order = stage.order(gus, globe, 1, token="tok_unavailable")
    order = stage.watch(report, gus, order, is_paid, "cancelled")
    _expect_cancelled(stage, report, gus, order, globe, "payment-unavailable")


def tell_capture_refused(stage: Stage, report: Report) -> None:
    lamp, hana = stage.new_product("Reading lamp", 3400, stock=4), stage.new_customer("Hana")
    report.say("the payment is authorized, but cannot be captured: all steps must be undone, the last one first")
    order = stage.order(hana, lamp, 1, token="tok_capture_declined")
    order = stage.watch(
        report, hana, order, lambda seen: seen["status"] in ("cancelled", "needs_attention"), "cancelled"
    )
    _expect_cancelled(stage, report, hana, order, lamp, "capture-refused")


def tell_unknown_product(stage: Stage, report: Report) -> None:
    ivo, nothing = stage.new_customer("Ivo"), str(uuid.uuid4())
    report.say("Ivo orders a product that does not exist")
    lines = [{"product_id": nothing, "quantity": 1, "unit_price": stage.price(100)}]
    try:
        ivo.place_order(lines, token="tok_ok", address=ADDRESS, key=stage.new_key())
        report.check("refused", False, "the order was taken")
    except Refused as refused:
        report.expect("refused: 422 unknown-product", (422, "unknown-product"), (refused.status, refused.slug))
        report.expect("the response names the product", [nothing], refused.problem.get("product_ids"))
    report.expect("Ivo has no order", [], stage.orders_of(ivo))
    report.end("422 unknown-product, no order")


def tell_price_changed(stage: Stage, report: Report) -> None:
    quilt, june = stage.new_product("Patchwork quilt", 8000, stock=4), stage.new_customer("June")
    low, high = stage.money(8000), stage.money(9500)
    report.say(f"June adds a quilt at {low} to her cart; before she pays, the shop raises the price to {high}")
    june.put(f"/carts/mine/items/{quilt.product_id}", {"quantity": 1})
    seen = june.get("/carts/mine")["lines"][0]["unit_price"]
    report.expect(f"the cart shows {low}", low, stage.money(seen["amount"]))
    dearer = stage.price(9500)
    stage.admin.patch(f"/products/{quilt.product_id}", {"version": quilt.version, "price": dearer})
    try:
        stage.order(june, quilt, 1)
        report.check("refused", False, "the order was taken at a price that June had not seen")
    except Refused as refused:
        report.expect("refused: 409 price-changed", (409, "price-changed"), (refused.status, refused.slug))
        change = [{"product_id": quilt.product_id, "seen": seen, "now": dearer}]
        report.expect("the response has both prices", change, refused.problem.get("changed"))
    report.expect("June has no order", [], stage.orders_of(june))
    stage.expect_stock(report, quilt, on_hand=4)
    priced = stage.wait_for(
        lambda: june.get("/carts/mine")["lines"], lambda lines: [line["unit_price"] for line in lines] == [dearer]
    )
    report.expect("her cart shows the new price now", [dearer], [line["unit_price"] for line in priced])
    report.end("409 price-changed, no order")


def tell_cancelled(stage: Stage, report: Report) -> None:
    rug, lena, key = stage.new_product("Wool rug", 12000, stock=2), stage.new_customer("Lena"), stage.new_key()
    report.say("Lena orders a rug and changes her mind at once, while the saga is running")
    order = stage.order(lena, rug, 1)
    path, wish = f"/orders/{order['order_id']}/cancel", {"reason": "changed_mind"}
    asked = lena.post(path, wish, key=key)
    report.check("accepted: the order is being cancelled", asked["status"] == "cancelling", asked["status"])
    report.expect("a retry with the same key gets the same response", asked, lena.post(path, wish, key=key))
    order = stage.watch(report, lena, order, lambda seen: seen["status"] not in ("pending", "cancelling"), "cancelled")
    _expect_cancelled(stage, report, lena, order, rug, "cancelled-by-customer")


STORIES = (
    Story("declined", "A declined card", "cancelled, stock back, no charge", tell_declined_card),
    Story("out-of-stock", "Five of three", "cancelled, stock untouched, no charge", tell_out_of_stock),
    Story("unknown-product", "An unknown product", "refused at once (422)", tell_unknown_product),
    Story(
        "price-changed",
        "The price rises before she orders",
        "refused at once (409), with both prices",
        tell_price_changed,
    ),
    Story("provider-down", "The provider stays down", "cancelled, stock back, no charge", tell_provider_down),
    Story("cancelled", "She changes her mind", "undone while the saga runs, no charge", tell_cancelled),
    Story("capture-refused", "Authorized, but not captured", "undone in reverse, no charge", tell_capture_refused),
)
