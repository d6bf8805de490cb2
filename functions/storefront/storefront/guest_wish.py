"""A guest asks for a mail when a product is back, and confirms it on the page behind the link of a mail."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mercato.languages import preferred
from pages import Form, InvalidForm, Page, Redirect, Refused, Visit
from pages.visitor import path
from storefront.catalogue import show_product
from storefront.pages import pages

HERE = "/wish/{token}"


class GuestWish(Form):
    email: str = ""


@pages.post("/p/{product_id}/guest-wish", form=GuestWish, again=show_product)
def ask(visit: Visit, product_id: str, form: GuestWish) -> Redirect:
    """The answer is the same for every address."""
    wish: dict[str, Any] = {"product_id": product_id, "email": form.email}
    if language := preferred(visit.request.headers.get("accept-language", "")):
        wish["language"] = language
    try:
        visit.visitor.send_as_guest("POST", path("notifications", "guest-wishes"), wish)
    except Refused as refusal:
        if refusal.reply.problem == "invalid-email":
            raise InvalidForm({"email": refusal.reply.detail}, refusal.reply) from None
        if refusal.reply.problem != "in-stock":
            raise
        return _to_product(product_id, "back")
    return _to_product(product_id, "asked")


def _to_product(product_id: str, said: str) -> Redirect:
    return Redirect(f"/p/{quote(product_id, safe='')}?said={said}")


@pages.get(HERE)
def show_wish(visit: Visit, token: str) -> Page:
    """Only asks: programs that check the links of a mail open them all."""
    del visit
    return _page(token)


@pages.post(HERE)
def confirm(visit: Visit, token: str) -> Page | Redirect:
    try:
        wish = visit.visitor.send_as_guest("POST", path("notifications", "guest-wishes", token)).body
    except Refused as refusal:
        if refusal.reply.status == 404:
            return _page(token, is_over=True)
        product_id = refusal.reply.body.get("product_id")
        if refusal.reply.problem != "in-stock" or not product_id:
            raise
        return _to_product(product_id, "back")
    return _page(token, confirmed=wish)


@pages.post(f"{HERE}/end")
def end(visit: Visit, token: str) -> Page:
    try:
        visit.visitor.send_as_guest("DELETE", path("notifications", "guest-wishes", token))
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
        return _page(token, is_over=True)
    return _page(token, ended=True)


def _page(token: str, *, confirmed: Any = None, ended: bool = False, is_over: bool = False) -> Page:
    """`is_over`: the link asks for nothing, since its wish has ended or a part of it is missing."""
    values = {"token": token, "confirmed": confirmed, "ended": ended, "is_over": is_over}
    return Page("wish.html", values, 404 if is_over else 200)
