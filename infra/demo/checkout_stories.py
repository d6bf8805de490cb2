"""Stories of the checkout and of what follows: a guest with a coupon, 3-D Secure, another card, papers of a return."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from infra.demo.report import Report
from infra.demo.stage import ADDRESS, TOKEN, Product, Stage, describe, is_delivered, is_paid
from infra.demo.story import Story
from infra.operator.client import Json, Refused, Session

_SERVICE = "standard"


def tell_guest(stage: Stage, report: Report) -> None:
    teapot, code, email = stage.new_product("Stone teapot", 3600, stock=6), _new_coupon(stage), stage.new_email("grace")
    report.say("Grace has no account: she fills a cart and enters a coupon of 10 % in the checkout")
    cart = stage.shop.call("POST", "/carts/guests")["cart_id"]
    filled = stage.shop.call("PUT", f"/carts/guests/{cart}/items/{teapot.product_id}", {"quantity": 2})
    wanted = {"cart_version": filled["version"], "contact": {"email": email}, "shipping_address": ADDRESS}
    shown = stage.shop.call(
        "POST", f"/checkouts/guests/{cart}", wanted | {"service": _SERVICE, "codes": [code]}, key=stage.new_key()
    )
    _expect_totals(stage, report, shown, goods=7200, discount=-720)
    body = {"quote": shown["quote"]["token"], "payment_token": TOKEN, "cart_id": cart}
    placed = stage.shop.call("POST", "/orders/guests", body, safe=True)
    link = f"/orders/guests/{placed['token']}"
    order = stage.watch_guest(report, link, is_delivered, "delivered")
    report.expect("delivered, by a secret link", "delivered", order["status"])
    report.expect("charged is what was shown", shown["totals"]["total"], _captured(stage, order))
    report.expect("the coupon has one use", 1, stage.admin.get(f"/promotions/coupons/{code}")["used"])
    token = stage.wait_for(lambda: stage.mailed_token(email, "guest-order"), bool)
    mailed = stage.shop.call("GET", f"/orders/guests/{token}")["order_id"]
    report.expect("a link is mailed, too", order["order_id"], mailed)

    report.say("weeks later she registers with this address")
    grace = stage.join(email, "Grace")
    report.expect("registering alone shows her nothing", [], stage.orders_of(grace))
    token = stage.wait_for(lambda: stage.mailed_token(email, "verify-email"), bool)
    stage.shop.call("POST", "/users/verify-email", {"token": token}, safe=True)
    claimed = stage.wait_for(lambda: [one["order_id"] for one in stage.orders_of(grace)], bool)
    report.expect("when she has verified it, the order is hers", [order["order_id"]], claimed)
    try:
        stage.shop.call("GET", link)
        report.check("the link opens nothing any more", False, "it opened the order")
    except Refused as refused:
        report.expect("the link opens nothing any more", "link-not-found", refused.slug)
    stage.expect_stock(report, teapot, on_hand=4)
    report.end(f"{describe(order)}, 10 % off, claimed by her account")


def tell_bank_asks(stage: Stage, report: Report) -> None:
    stool, theo = stage.new_product("Milking stool", 4800, stock=4), stage.new_customer("Theo")
    report.say("Theo's bank wants him to confirm the payment (3-D Secure)")
    order = _order(stage, theo, stool, "tok_confirm_ok")
    order = stage.watch(report, theo, order, _asks_for("action_required"), "waiting for its buyer")
    asked = order["payment"] or {}
    report.expect("the order waits, and says so", ("pending", "action_required"), (order["status"], asked.get("state")))
    held = stage.stock(stool)["reserved"]
    report.expect("his stool is reserved meanwhile", 1, held)
    charge = asked["action"]["url"].rpartition("/")[2]
    theo.post(f"/payments/sandbox/challenges/{charge}", {"outcome": "confirmed"}, safe=True)
    order = stage.watch(report, theo, order, is_paid, "captured")
    report.expect("confirmed at the bank, and captured", "captured", order["payment_status"])
    stage.expect_charged(report, order)
    stage.expect_sold(report, stool, 1)
    report.end(f"{describe(order)}, confirmed at the bank")


def tell_another_card(stage: Stage, report: Report) -> None:
    print_, uma, code = stage.new_product("Linocut", 2900, stock=4), stage.new_customer("Uma"), _new_coupon(stage)
    report.say("Uma's card is declined, and the order waits for another one")
    order = _order(stage, uma, print_, "tok_declined", code)
    order = stage.watch(report, uma, order, _asks_for("declined"), "waiting for another card")
    asked = order["payment"] or {}
    report.expect("it says why", "Your bank declined the card.", asked.get("detail"))
    report.expect("her coupon is kept for her", 1, stage.admin.get(f"/promotions/coupons/{code}")["used"])
    path, key = f"/orders/{order['order_id']}/payments", stage.new_key()
    for _ in range(2):
        uma.post(path, {"payment_token": TOKEN}, key=key)
    order = stage.watch(report, uma, order, is_paid, "captured")
    report.expect("the other card pays the same order", "captured", order["payment_status"])
    stage.expect_charged(report, order)
    report.expect("one order", 1, len(stage.orders_of(uma)))
    stage.expect_sold(report, print_, 1)
    report.end(f"{describe(order)}, with the second card, charged once")


def tell_papers(stage: Stage, report: Report) -> None:
    scarf, vera = stage.new_product("Silk scarf", 2500, stock=5), stage.new_customer("Vera")
    report.say("Vera buys two scarves, and gets an invoice")
    order = stage.watch(report, vera, _order(stage, vera, scarf, TOKEN, pieces=2), is_delivered, "delivered")
    (invoice,) = _documents(stage, vera, order, 1)
    told = vera.get(f"/documents/{invoice['document_id']}")
    lines = sum(line["amount"]["amount"] for line in told["lines"])
    report.expect(
        f"{invoice['number']} is the order's total, line by line",
        [order["total"]["amount"]] * 2,
        [told["total"]["amount"], lines],
    )
    report.expect("its tax is the order's", order["tax"], told["tax"])
    pdf = stage.wait_for(lambda: _pdf(vera, invoice["document_id"]), bool)
    report.check("it is there as a PDF", pdf.startswith(b"%PDF-"), pdf[:20])

    report.say("she sends one back; staff approves it, and receives it")
    body = {"lines": [{"product_id": scarf.product_id, "quantity": 1}], "reason": "not_as_described"}
    made = vera.post(f"/orders/{order['order_id']}/returns", body, key=stage.new_key())
    report.expect("requested: nothing is refunded yet", ("requested", None), (made["status"], made["refunded"]))
    path = f"/orders/{order['order_id']}/returns/{made['return_id']}"
    stage.admin.post(f"{path}/approve", key=stage.new_key())
    came = {"lines": [{"product_id": scarf.product_id, "restock": 1}]}
    stage.admin.post(f"{path}/receive", came, key=stage.new_key())
    back = stage.money(2500)
    order = stage.watch(report, vera, order, lambda seen: seen["refunded"]["amount"] > 0, "refunded")
    report.expect(f"received: {back} is refunded", 2500, order["refunded"]["amount"])
    note = _documents(stage, vera, order, 2)[1]
    told = vera.get(f"/documents/{note['document_id']}")
    credit = (told["kind"], told["total"]["amount"], told["invoice_number"])
    report.expect(f"{note['number']} credits it", ("credit_note", 2500, invoice["number"]), credit)
    stage.expect_stock(report, scarf, on_hand=4)
    report.end(f"{describe(order)}, {back} back, {invoice['number']} and {note['number']}")


def _order(
    stage: Stage, customer: Session, product: Product, token: str, code: str | None = None, *, pieces: int = 1
) -> Json:
    """Orders by a checkout. The order waits for its buyer where the payment needs one."""
    lines = [{"product_id": product.product_id, "quantity": pieces}]
    wanted = {"lines": lines, "shipping_address": ADDRESS, "service": _SERVICE, "codes": [code] if code else []}
    shown = customer.post("/checkouts", wanted, key=stage.new_key())
    body = {"quote": shown["quote"]["token"], "payment_token": token, "waits_for_buyer": True}
    placed: Json = customer.post("/orders/quoted", body, safe=True)
    return placed


def _new_coupon(stage: Stage) -> str:
    new = {"description": "10 % off", "kind": "percentage", "basis_points": 1000, "limit": 1}
    return str(stage.admin.post("/promotions/coupons", new, key=stage.new_key())["code"])


def _expect_totals(stage: Stage, report: Report, shown: Json, *, goods: int, discount: int) -> None:
    totals = {name: amount["amount"] for name, amount in shown["totals"].items()}
    report.expect("the checkout shows goods and discount", (goods, discount), (totals["goods"], totals["discount"]))
    total = goods + discount + totals["shipping"]
    tax = stage.money(totals["tax"])
    report.expect(f"with delivery {stage.money(total)}, of which {tax} tax", total, totals["total"])


def _asks_for(state: str) -> Callable[[Json], bool]:
    return lambda order: (order["payment"] or {}).get("state") == state or is_paid(order)


def _captured(stage: Stage, order: Json) -> Json:
    found: Json = stage.admin.get("/payments", order_id=order["order_id"])["items"][0]["captured"]
    return found


def _documents(stage: Stage, customer: Session, order: Json, count: int) -> list[Json]:
    def look() -> list[Json]:
        found: list[Json] = customer.get("/documents", order_id=order["order_id"])["items"]
        return found

    return stage.wait_for(look, lambda found: len(found) == count)


def _pdf(customer: Session, document_id: str) -> bytes:
    """The file's content; empty while it is being made."""
    try:
        address = customer.get(f"/documents/{document_id}/pdf")["url"]
    except Refused as refused:
        if refused.slug != "pdf-not-ready":
            raise
        return b""
    return httpx.get(address, timeout=10).content


STORIES = (
    Story("guest", "A guest claims her order", "10 % off, by a link, then the account's", tell_guest),
    Story("bank-asks", "The bank asks the buyer", "waits, confirmed, one charge", tell_bank_asks),
    Story(
        "another-card", "Another card for the same order", "waits, paid by the second, one charge", tell_another_card
    ),
    Story("papers", "One of two scarves comes back", "invoice, refunded at the receipt, credit note", tell_papers),
)
