"""The page behind the link of a mail that ends such mails. A mail provider may send its form for the reader."""

from __future__ import annotations

from pages import Page, Visit
from pages.visitor import path
from storefront.notices import KINDS
from storefront.pages import pages

HERE = "/unsubscribe/{token}"


@pages.get(HERE)
def show_unsubscription(visit: Visit, token: str) -> Page:
    """Only asks: programs that check the links of a mail open them all."""
    del visit, token
    return Page("unsubscribe.html", {"ended": ""})


@pages.post_one_click(HERE)
def unsubscribe(visit: Visit, token: str) -> Page:
    kind = visit.visitor.send_as_guest("POST", path("notifications", "unsubscriptions", token)).body["kind"]
    return Page("unsubscribe.html", {"ended": KINDS.get(kind, "this kind")})
