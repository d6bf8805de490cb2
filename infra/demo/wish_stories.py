"""A story of those who wait for a product that is sold out."""

from __future__ import annotations

from infra.demo.stage import Product, Stage, describe, is_delivered
from infra.demo.story import Story
from infra.demo.telling import Telling
from infra.operator.client import Json
from infra.replay.catalogue import adjust_when_known

_WISHES = "/notifications/guest-wishes"


def tell_wishes(stage: Stage, telling: Telling) -> None:
    quilt, wanda = stage.new_product("Patchwork quilt", pence=8900, stock=0), stage.new_customer("Wanda")
    gus, eve = stage.new_email("gus"), stage.new_email("eve")
    telling.say("a quilt is sold out: Wanda waits for it, and so does Gus, who has no account")
    wanda.put(f"/notifications/wishes/{quilt.product_id}", None)
    said = [_ask(stage, quilt, email) for email in (gus, eve)]
    telling.expect("the request with Eve's address gets the same answer as Gus's", said[0], said[1])
    token = stage.wait_for(lambda: stage.mailed_link(gus, "wish"), bool)
    for _ in range(2):
        stage.shop.call("POST", f"{_WISHES}/{token}", safe=True)
    telling.say("Gus opens the link in his mail; Eve does not")

    telling.say("one quilt comes in")
    _restock(stage, quilt, 1)
    subject = f"{quilt.name} is back in stock"
    telling.expect("Wanda asked first, and is told", 1, len(_told(stage, wanda.email, subject)))
    telling.expect("Gus is not: it was one quilt", [], stage.mails_to(gus, subject))
    order = stage.watch(telling, wanda, stage.order(wanda, quilt, 1), is_delivered, "delivered")
    telling.expect("she buys it", "delivered", order["status"])

    telling.say("three more come in")
    _restock(stage, quilt, 3)
    telling.expect("now Gus is told", 1, len(_told(stage, gus, subject)))
    telling.expect("Wanda is not told again", 1, len(stage.mails_to(wanda.email, subject)))
    telling.expect("Eve has got no more than the question", 1, len(stage.mails_of(eve)))
    telling.expect("nobody waits any more", [], wanda.get("/notifications/wishes")["items"])
    stage.expect_stock(telling, quilt, on_hand=3)
    telling.end(f"{describe(order)}, each told once, in the order in which they asked")


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
