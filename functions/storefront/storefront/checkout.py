"""From the cart to the order: one page with the address, the card and the receipt."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mercato.countries import CODES
from pages import Form, InvalidForm, Page, Redirect, Refused, Visit
from pages.view import money
from pages.visitor import path
from storefront.countries import NAMES
from storefront.pages import pages
from storefront.wiring import ports

_CARDS = (
    ("tok_ok", "A good card"),
    ("tok_declined", "A card that the bank declines"),
    ("tok_insufficient_funds", "A card without money"),
    ("tok_timeout_once", "A card whose bank is slow"),
)
_STRIPE = (
    ("script-src", "https://js.stripe.com"),
    ("frame-src", "https://js.stripe.com https://hooks.stripe.com"),
    ("connect-src", "https://api.stripe.com"),
)


class Checkout(Form):
    """The order as the shopper saw it: `line` has product, quantity, price and currency. With `key`, the form that is
    sent twice is one order, also where the first answer was lost and the cart is empty since.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    line1: Annotated[str, Field(min_length=1, max_length=100)]
    line2: Annotated[str, Field(max_length=100)] = ""
    city: Annotated[str, Field(min_length=1, max_length=100)]
    postcode: Annotated[str, Field(max_length=20)] = ""
    country: str
    payment_token: Annotated[str, Field(min_length=1, max_length=255)]
    line: list[Annotated[str, Field(pattern=r"^[^:]{1,200}:\d{1,4}:\d{1,13}:[A-Z]{3}$")]]
    cart_id: Annotated[str, Field(max_length=200)]
    cart_version: int
    seen_total: int
    key: Annotated[str, Field(min_length=8, max_length=64)]


@pages.get("/checkout")
def show_checkout(visit: Visit) -> Page:
    cart = visit.visitor.get(path("carts", "mine"))
    settings = ports().settings
    is_stripe = settings.payment_provider == "stripe"
    return Page(
        "checkout.html",
        {
            "cart": cart,
            "countries": list(NAMES.items()),
            "cards": [] if is_stripe else list(_CARDS),
            "stripe_key": settings.stripe_publishable_key if is_stripe else "",
        },
        policy=_STRIPE if is_stripe else (),
    )


@pages.post("/checkout", form=Checkout, again=show_checkout)
def place_order(visit: Visit, form: Checkout) -> Redirect:
    if form.country not in CODES:
        raise InvalidForm({"country": "Please choose a country."})
    cart = visit.visitor.get(path("carts", "mine"))
    _require_as_seen(cart, form)
    address = {
        "name": form.name,
        "line1": form.line1,
        "line2": form.line2 or None,
        "city": form.city,
        "postcode": form.postcode,
        "country": form.country,
    }
    order = {
        "lines": [_line(line) for line in form.line],
        "payment_token": form.payment_token,
        "shipping_address": address,
        "cart": {"id": form.cart_id, "version": form.cart_version},
    }
    try:
        reply = visit.visitor.send("POST", path("orders"), order, key=form.key)
    except Refused as refusal:
        if refusal.reply.problem == "cart-already-ordered":
            return Redirect(f"/orders/{refusal.reply.body['order_id']}?said=once")
        raise
    return Redirect(f"/orders/{reply.body['order_id']}?said={'once' if reply.was_replayed else 'placed'}")


def _line(text: str) -> dict[str, Any]:
    product_id, quantity, amount, currency = text.split(":")
    price = {"amount": int(amount), "currency": currency}
    return {"product_id": product_id, "quantity": int(quantity), "unit_price": price}


def _require_as_seen(cart: Any, form: Checkout) -> None:
    """What is ordered is what was on the page. A cart that the order has emptied is the order's: it is sent again.

    Raises InvalidForm where the cart, or a price in it, has changed since.
    """
    is_same = cart["cart_id"] == form.cart_id and cart["version"] == form.cart_version
    if not cart["lines"] or (is_same and cart["total"]["amount"] == form.seen_total):
        return
    now = money(cart["total"])
    before = money({"amount": form.seen_total, "currency": cart["total"]["currency"]})
    said = f"The total was {before} and is {now} now." if before != now else "Please look at it once more."
    raise InvalidForm({"": f"Your cart has changed since you saw it. {said}"})
