"""The cart: of a guest, or of the account; and the two put together after a log-in."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

from pydantic import Field

from pages import Form, Page, Redirect, Refused, Visit
from pages.app import own_path
from pages.visitor import LogInFirst, Part, part, path, together
from storefront import catalogue
from storefront.pages import pages

MAX_QUANTITY = 999
_NOTICES = {
    "merged": "Your two carts are one now.",
    "came": "What you had put into the cart came with you.",
    "back": "What was in your cart is here again.",
    "partly": "What was in your cart is here again, but for what is not sold any more.",
}


class AddLine(Form):
    product_id: Annotated[str, Field(min_length=1, max_length=200)]
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] = 1


class SetQuantity(Form):
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]


class Merge(Form):
    choice: str = "together"
    back: str = "/cart"


def load(visit: Visit) -> Any:
    """The visitor's cart; None for a guest who has put nothing into one."""
    if visit.visitor.is_logged_in:
        return visit.visitor.get(path("carts", "mine"))
    return load_guests(visit)


def load_guests(visit: Visit) -> Any:
    """The cart of the guest that the visitor was, also after the log-in. None where there is none, or no longer."""
    if not visit.visitor.cart_id:
        return None
    try:
        return visit.visitor.send_as_guest("GET", path("carts", "guests", visit.visitor.cart_id)).body
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
        visit.visitor.forget_cart()
        return None


def open_own(visit: Visit) -> Any:
    """The visitor's cart. A guest without one gets one."""
    found = load(visit)
    if found is None:
        found = visit.visitor.send_as_guest("POST", path("carts", "guests")).body
        visit.visitor.keep_cart(found["cart_id"])
    return found


def put(visit: Visit, product_id: str, quantity: int) -> None:
    """The cart holds so many."""
    visit.visitor.send("PUT", _items(visit, product_id), {"quantity": quantity})


def _items(visit: Visit, product_id: str) -> str:
    if visit.visitor.is_logged_in:
        return path("carts", "mine", "items", product_id)
    return path("carts", "guests", visit.visitor.cart_id, "items", product_id)


@pages.get("/cart")
def show_cart(visit: Visit) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    cart = part(lambda: load(visit))
    pictures = catalogue.pictures_of(visit, cart.value["lines"]) if cart.value else {}
    return Page("cart.html", {"cart": cart, "pictures": pictures, "wrong": "", **count_of(cart)})


@pages.get("/cart/count")
def show_count(visit: Visit) -> Page:
    """A session that has ended shows as an empty cart: the page around it goes on without it."""
    try:
        return Page("count.html", {"count": 0} | count_of(part(lambda: load(visit))))
    except LogInFirst:
        return Page("count.html", {"count": 0})


def count_of(cart: Part) -> dict[str, int]:
    """The pieces in the cart, for the head of a page that has loaded it: such a page need not ask for them. Nothing
    while the cart cannot be read.
    """
    if cart.missing:
        return {}
    return {"count": sum(line["quantity"] for line in cart.value["lines"]) if cart.value else 0}


def _show_cart_again(visit: Visit, product_id: str) -> Page:
    """What is wrong with a quantity is told at its line, unless the line has gone meanwhile."""
    page = show_cart(visit)
    found = page.values["cart"].value
    if "quantity" not in visit.errors:
        return page
    if any(line["product_id"] == product_id for line in (found["lines"] if found else ())):
        return Page(page.template, {**page.values, "wrong": product_id})
    visit.errors = {"": visit.errors["quantity"]}
    return page


def _show_after_adding(visit: Visit) -> Page:
    product_id = visit.values.get("product_id", "")
    return catalogue.show_product(visit, product_id) if product_id else show_cart(visit)


@pages.post("/cart/lines", form=AddLine, again=_show_after_adding)
def add_line(visit: Visit, form: AddLine) -> Redirect:
    if not visit.visitor.is_logged_in and load_guests(visit) is None:
        cart = visit.visitor.send_as_guest("POST", path("carts", "guests")).body
        visit.visitor.keep_cart(cart["cart_id"])
    # The API adds, so that what another tab adds meanwhile is counted too; the key is for a lost answer.
    visit.visitor.send("POST", _items(visit, form.product_id), {"quantity": form.quantity}, key=str(uuid4()))
    return Redirect("/cart")


@pages.post("/cart/lines/{product_id}", form=SetQuantity, again=_show_cart_again)
def set_quantity(visit: Visit, product_id: str, form: SetQuantity) -> Redirect:
    if form.quantity:
        put(visit, product_id, form.quantity)
    else:
        visit.visitor.send("DELETE", _items(visit, product_id))
    return Redirect("/cart")


def after_log_in(visit: Visit, back: str) -> Redirect:
    """Where a log-in leads: to the two carts, where both hold something, and otherwise where the visitor was going."""
    guests = part(lambda: load_guests(visit)).value
    if not guests:
        return Redirect(back)
    if not guests["lines"]:
        visit.visitor.forget_cart()
        return Redirect(back)
    mine = part(lambda: visit.visitor.get(path("carts", "mine")))
    if mine.missing or mine.value["lines"]:
        return Redirect(back if mine.missing else f"/cart/merge?{urlencode({'back': back})}")
    # The log-in is done whatever becomes of the carts: a merge that fails leaves the guest's cart for the next log-in.
    merged = part(lambda: _merge(visit))
    return Redirect("/cart?said=came" if back == "/" and not merged.missing else back)


def _merge(visit: Visit) -> None:
    visit.visitor.send("POST", path("carts", "merge"), {"guest_cart_id": visit.visitor.cart_id})
    visit.visitor.forget_cart()


@pages.get("/cart/merge")
def show_merge(visit: Visit) -> Page | Redirect:
    """Both carts line by line, and what they would be together, before anything is done."""
    back = own_path(visit.request.query.get("back", ""), "/cart")
    guests, mine = together(lambda: load_guests(visit), lambda: visit.visitor.get(path("carts", "mine")))
    if not guests or not guests["lines"]:
        return Redirect(back)
    lines: dict[str, dict[str, Any]] = {}
    for cart, owner in ((mine, "mine"), (guests, "guests")):
        for line in cart["lines"]:
            row = lines.setdefault(line["product_id"], {"name": line["name"], "mine": 0, "guests": 0})
            row[owner] = line["quantity"]
    return Page("merge.html", {"lines": list(lines.values()), "back": back})


@pages.post("/cart/merge", form=Merge)
def merge(visit: Visit, form: Merge) -> Redirect:
    back = own_path(form.back, "/cart")
    if form.choice == "together" and visit.visitor.cart_id:
        _merge(visit)
        return Redirect("/cart?said=merged" if back == "/cart" else back)
    visit.visitor.forget_cart()
    return Redirect(back)
