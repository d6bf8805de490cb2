"""The way back from the mail about a guest's cart: what was in it is put into the visitor's cart, once."""

from __future__ import annotations

from typing import Any

from pages import Page, Redirect, Refused, Visit
from pages.visitor import path
from storefront import cart
from storefront.pages import pages

HERE = "/cart/back/{token}"
_NOT_SOLD = frozenset({"product-discontinued", "unknown-product"})


def _left(visit: Visit, token: str) -> Any:
    """Raises Refused (404) once it was put back, and where the link is not whole."""
    return visit.visitor.send_as_guest("GET", path("notifications", "guest-reminders", token)).body


@pages.get(HERE)
def show_left(visit: Visit, token: str) -> Page:
    """Only shows: programs that check the links of a mail open them all."""
    try:
        return Page("back.html", {"token": token, "left": _left(visit, token)})
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
        return Page("back.html", {"left": None, "detail": refusal.reply.detail}, 404)


@pages.post(HERE)
def put_back(visit: Visit, token: str) -> Redirect:
    """The cart holds at least what was in it. Ends the link afterwards, so that a form that is cut off can be sent
    again: what is in the cart already is not added to. What is not sold any more is left out. Another refusal, such as
    of a cart that is full, is shown, and the link stays good.
    """
    left = _left(visit, token)["items"]
    held = {line["product_id"]: line["quantity"] for line in cart.open_own(visit)["lines"]}
    gone = 0
    for line in left:
        if held.get(line["product_id"], 0) >= line["quantity"]:
            continue
        try:
            cart.put(visit, line["product_id"], line["quantity"])
        except Refused as refusal:
            if refusal.reply.problem not in _NOT_SOLD:
                raise
            gone += 1
    visit.visitor.send_as_guest("DELETE", path("notifications", "guest-reminders", token))
    return Redirect(f"/cart?said={'partly' if gone else 'back'}")
