"""A story of those who wait for a product that is sold out."""

from __future__ import annotations

from infra.demo.report import Report
from infra.demo.stage import Product, Stage, describe, is_delivered
from infra.demo.story import Story
from infra.operator.client import Json
from infra.replay.catalogue import adjust_when_known

_WISHES = "/notifications/guest-wishes"


def tell_wishes(stage: Stage, report: Report) -> None:
    quilt, wanda = stage.new_product("Patchwork quilt", pence=8900, stock=0), stage.new_customer("Wanda")
    gus, eve = stage.new_email("gus"), stage.new_email("eve")
    report.say("a quilt is sold out: Wanda waits for it, and so does Gus, who has no account")
    wanda.put(f"/notifications/wishes/{quilt.product_id}", None)
    said = [_ask(stage, quilt, email) for email in (gus, eve)]
    report.expect("the request with Eve's address gets the same answer as Gus's", said[0], said[1])
    token = stage.wait_for(lambda: stage.mailed_link(gus, "wish"), bool)
    for _ in range(2):
        stage.shop.call("POST", f"{_WISHES}/{token}", safe=True)
    report.say("Gus opens the link in his mail; Eve does not")

    report.say("one quilt comes in")
    _restock(stage, quilt, 1)
    subject = f"{quilt.name} is back in stock"
    report.expect("Wanda asked first, and is told", 1, len(_told(stage, wanda.email, subject)))
    report.expect("Gus is not: it was one quilt", [], stage.mails_to(gus, subject))
    order = stage.watch(report, wanda, stage.order(wanda, quilt, 1), is_delivered, "delivered")
    report.expect("she buys it", "delivered", order["status"])

    report.say("three more come in")
    _restock(stage, quilt, 3)
    report.expect("now Gus is told", 1, len(_told(stage, gus, subject)))
    report.expect("Wanda is not told again", 1, len(stage.mails_to(wanda.email, subject)))
    report.expect("Eve has got no more than the question", 1, len(stage.mails_of(eve)))
    report.expect("Wanda waits for nothing any more", [], wanda.get("/notifications/wishes")["items"])
    stage.expect_stock(report, quilt, on_hand=3)
    report.end(f"{describe(order)}, each told once, in the order in which they asked")


def _ask(stage: Stage, product: Product, email: str) -> Json:
    wish = {"product_id": product.product_id, "email": email, "language": "en"}
    said: Json = stage.shop.call("POST", _WISHES, wish)
    return said


def _restock(stage: Stage, product: Product, units: int) -> None:
    path = f"/inventory/{product.product_id}/adjustments"
    adjust_when_known(stage.admin, path, {"delta": units, "reason": "delivery"}, stage.new_key(), stage.shop.clock)


def _told(stage: Stage, email: str, subject: str) -> list[Json]:
    return stage.wait_for(lambda: stage.mails_to(email, subject), bool)


STORIES = (Story("wishes", "Three wait for one quilt", "told once each, the first first", tell_wishes),)
