"""Stories that end with a delivered order, some after a failure."""

from __future__ import annotations

from urllib.parse import urlencode

from infra.demo.report import Report
from infra.demo.stage import ADDRESS, Product, Stage, describe, is_delivered, is_paid
from infra.demo.story import Story
from infra.operator.client import Json, Refused, Session
from infra.replay.parallel import each


def tell_happy_order(stage: Stage, report: Report) -> None:
    lantern = stage.new_product("Storm lantern", pence=1250, stock=10)
    ada = stage.new_customer("Ada")
    word = lantern.name.rsplit(" ", 1)[-1]
    report.say(f"Ada searches for “{word}”")
    found = stage.wait_for(
        lambda: stage.shop.call("GET", f"/products?{urlencode({'q': word})}")["items"],
        lambda items: any(item["product_id"] == lantern.product_id for item in items),
    )
    report.expect("the search finds the lantern", [lantern.product_id], [item["product_id"] for item in found])

    report.say("she puts two of them into her cart")
    ada.put(f"/carts/mine/items/{lantern.product_id}", {"quantity": 2})
    cart = ada.get("/carts/mine")
    total = stage.money(2500)
    report.expect(f"the cart's total, by the server: {total}", total, stage.money(cart["total"]["amount"]))

    report.say("and orders what is in it")
    lines = [{name: line[name] for name in ("product_id", "quantity", "unit_price")} for line in cart["lines"]]
    order = ada.place_order(lines, token="tok_ok", address=ADDRESS, key=stage.new_key(), cart=cart)
    report.say("a second tab orders the same cart with another key")
    try:
        ada.place_order(lines, token="tok_ok", address=ADDRESS, key=stage.new_key(), cart=cart)
        report.check("refused", False, "it was taken")
    except Refused as refused:
        report.expect(
            "refused: 409 cart-already-ordered", (409, "cart-already-ordered"), (refused.status, refused.slug)
        )
        report.expect("the response names the order", order["order_id"], refused.problem.get("order_id"))
    order = stage.watch(report, ada, order, is_paid, "captured")
    report.expect("confirmed and captured", ("captured", None), (order["payment_status"], order["reason"]))
    stage.expect_charged(report, order)
    _expect_receipt(stage, report, ada, order)

    report.say("the parcel is on its way")
    order = stage.watch(report, ada, order, is_delivered, "delivered")
    report.expect("delivered", "delivered", order["status"])
    report.check("with a tracking number", bool((order["shipment"] or {}).get("tracking_number")), order["shipment"])
    emptied = stage.wait_for(lambda: ada.get("/carts/mine")["lines"], lambda left: not left)
    report.expect("the cart is empty again", [], emptied)
    stage.expect_stock(report, lantern, on_hand=8)
    report.end(f"{describe(order)}, two lanterns left the stock")


def _expect_receipt(stage: Stage, report: Report, customer: Session, order: Json) -> None:
    """Checks that the receipt is both in the app and in the mailbox, once."""
    receipts = stage.notifications_of(customer, "receipt", order["order_id"])
    report.expect("one receipt among the notifications", 1, len(receipts))
    subject = receipts[0]["subject"]
    mails = stage.wait_for(lambda: stage.mails_to(customer.email, subject), bool)
    report.check(
        "and one e-mail that names the order", [order["number"] in mail["BodyText"] for mail in mails] == [True], mails
    )
    report.say(f"“{subject}”, to {customer.email}")


def tell_timeout_once(stage: Stage, report: Report) -> None:
    kettle, bob = stage.new_product("Copper kettle", pence=4200, stock=5), stage.new_customer("Bob")
    report.say("Bob pays; the provider authorizes it, but its response is lost")
    order = stage.order(bob, kettle, 1, token="tok_timeout_once")
    order = stage.watch(report, bob, order, is_paid, "captured")
    report.expect("the retry finds the authorization: captured", "captured", order["payment_status"])
    stage.expect_charged(report, order)
    report.end(f"{describe(order)}, charged once")


def tell_same_key_twice(stage: Stage, report: Report) -> None:
    mirror, cleo, key = stage.new_product("Brass mirror", 3000, stock=5), stage.new_customer("Cleo"), stage.new_key()
    report.say("Cleo's app sends the same order twice at the same moment, with one Idempotency-Key")
    twins = each(lambda _: stage.order(cleo, mirror, 1, key=key), range(2), concurrency=2)
    report.expect("both responses are the same order", 1, len({twin["order_id"] for twin in twins}))
    order = stage.watch(report, cleo, twins[0], is_paid, "captured")
    report.expect("captured", "captured", order["payment_status"])
    report.say("and once more, after it is paid")
    again = stage.order(cleo, mirror, 1, key=key)
    report.expect("the same order again", order["order_id"], again["order_id"])
    report.expect("Cleo has one order", 1, len(stage.orders_of(cleo)))
    stage.expect_charged(report, order)
    stage.expect_sold(report, mirror, 1)
    report.end("one order, one charge")


def tell_same_key_other_body(stage: Stage, report: Report) -> None:
    vase, dora, key = stage.new_product("Glass vase", 900, stock=5), stage.new_customer("Dora"), stage.new_key()
    first = stage.order(dora, vase, 1, key=key)
    report.say("Dora's app uses the key of her last order for another one")
    try:
        stage.order(dora, vase, 3, key=key)
        report.check("the second is refused", False, "it was taken")
    except Refused as refused:
        report.expect(
            "refused: 422 idempotency-key-reused", (422, "idempotency-key-reused"), (refused.status, refused.slug)
        )
    order = stage.watch(report, dora, first, is_paid, "captured")
    report.expect("the first order is unchanged: one vase", [1], [line["quantity"] for line in order["lines"]])
    report.expect("Dora has one order", 1, len(stage.orders_of(dora)))
    stage.expect_charged(report, order)
    stage.expect_sold(report, vase, 1)
    report.end("second refused, first untouched")


def tell_return(stage: Stage, report: Report) -> None:
    bowl, kim = stage.new_product("Oak bowl", 1500, stock=5), stage.new_customer("Kim")
    report.say("Kim orders three bowls, and one arrives with a crack")
    order = stage.watch(report, kim, stage.order(kim, bowl, 3), is_delivered, "delivered")
    made = _ask_to_return(stage, kim, order, bowl, 1)
    back = stage.money(1500)
    asked = made["status"], stage.money(made["amount"]["amount"])
    report.expect(f"{back} would be refunded", ("requested", back), asked)
    report.say("staff approves it, receives the cracked bowl, and writes it off")
    _receive(stage, order, made, write_off=1)
    order = stage.wait_for(lambda: kim.get(f"/orders/{order['order_id']}"), lambda seen: seen["refunded"]["amount"] > 0)
    report.expect(f"refunded: {back}, still delivered", ("delivered", 1500), _refunded(order))
    stage.expect_stock(report, bowl, on_hand=2)

    report.say("she asks to return three more than she has")
    try:
        _ask_to_return(stage, kim, order, bowl, 3)
        report.check("refused", False, "it was taken")
    except Refused as refused:
        report.expect("refused: 409 return-too-large", (409, "return-too-large"), (refused.status, refused.slug))

    report.say("and then returns the other two as well, which can be sold again")
    _receive(stage, order, _ask_to_return(stage, kim, order, bowl, 2), restock=2)
    order = stage.watch(report, kim, order, lambda seen: seen["status"] == "refunded", "refunded")
    report.expect("refunded, all of it with the delivery", ("refunded", order["total"]["amount"]), _refunded(order))
    notices = stage.notifications_of(kim, "refund", order["order_id"], count=2)
    report.expect("one notice for each refund", 2, len(notices))
    stage.expect_stock(report, bowl, on_hand=4)
    stage.expect_uncharged(report, order["order_id"])
    report.end(f"{describe(order)}, two bowls back in stock, one written off, all money refunded")


def _ask_to_return(stage: Stage, customer: Session, order: Json, product: Product, quantity: int) -> Json:
    lines = [{"product_id": product.product_id, "quantity": quantity}]
    path = f"/orders/{order['order_id']}/returns"
    made: Json = customer.post(path, {"lines": lines, "reason": "damaged"}, key=stage.new_key())
    return made


def _receive(stage: Stage, order: Json, made: Json, **units: int) -> None:
    """What staff does: approves the return, and receives these units of its only line."""
    path = f"/orders/{order['order_id']}/returns/{made['return_id']}"
    stage.admin.post(f"{path}/approve", None, key=stage.new_key())
    lines = [{"product_id": made["lines"][0]["product_id"]} | units]
    stage.admin.post(f"{path}/receive", {"lines": lines}, key=stage.new_key())


def _refunded(order: Json) -> tuple[str, int]:
    return order["status"], order["refunded"]["amount"]


STORIES = (
    Story("happy", "A lantern for Ada", "search, cart, order, captured, receipt, delivered", tell_happy_order),
    Story("timeout-once", "The provider's response is lost", "a retry succeeds, one charge", tell_timeout_once),
    Story("same-key", "The same order twice at once", "one order, one charge", tell_same_key_twice),
    Story("return", "All three bowls come back", "approved, received, refunded; one written off", tell_return),
    Story("same-key-other-body", "A key used for two orders", "the second is refused (422)", tell_same_key_other_body),
)
