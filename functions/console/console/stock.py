"""The stock of all products, what is low of it, and each product's ledger, threshold and adjustment."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from console.pages import pages
from pages import Form, NoSuchPage, Page, Redirect, Visit
from pages.visitor import next_page, part, path, together

_SHOWN = 50
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOTICES = {"adjusted": "The stock is adjusted.", "threshold": "The threshold is set."}


class Adjust(Form):
    """`delta` changes the stock by that many units; a negative one takes units away."""

    delta: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    reason: Annotated[str, Field(min_length=3, max_length=200)]
    key: Annotated[str, Field(min_length=8, max_length=64)]


class Threshold(Form):
    """`low_at` is empty for the shop's default. `version` is the one that the form was made of."""

    low_at: Annotated[str, Field(pattern=r"^ *[0-9]{0,9} *$")] = ""
    version: Annotated[int, Field(ge=0)]


@pages.get("/console/stock")
def show_stock(visit: Visit) -> Page:
    asked = visit.request.query.get("q", "").strip()[:100]
    low = "true" if visit.request.query.get("low") else ""
    found = _search(visit, asked) if asked else _list(visit, low)
    products = part(lambda: _names(visit, [one["product_id"] for one in found["items"]]))
    return Page(
        "stock.html",
        {
            "stocks": found["items"],
            "products": products.value or {},
            "names_missing": products.missing,
            "asked": asked,
            "low": low,
            "next": next_page("/console/stock", found["next_cursor"], low=low),
        },
    )


def _list(visit: Visit, low: str) -> Any:
    cursor = visit.request.query.get("cursor", "")
    return visit.visitor.get(path("inventory", low=low, limit=_SHOWN, cursor=cursor))


def _search(visit: Visit, asked: str) -> Any:
    """What the catalogue finds by name or item number, and the product that has this id."""
    found = visit.visitor.get(path("products", q=asked, limit=_SHOWN))["items"]
    ids = [one["product_id"] for one in found] + ([asked] if _ID.fullmatch(asked) else [])
    return (
        visit.visitor.get(path("inventory", product_ids=",".join(ids))) if ids else {"items": [], "next_cursor": None}
    )


def _names(visit: Visit, product_ids: list[str]) -> dict[str, Any]:
    if not product_ids:
        return {}
    found = visit.visitor.get(path("products", "lookup", product_ids=",".join(product_ids)))["products"]
    return {one["product_id"]: one for one in found}


@pages.get("/console/stock/{product_id}")
def show_product_stock(visit: Visit, product_id: str) -> Page:
    """The ledger's balances lead from the stock back to its first entry; the audit sums up all entries."""
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    ask, cursor = visit.visitor.get, visit.request.query.get("cursor", "")
    if not _ID.fullmatch(product_id):
        raise NoSuchPage("There is no such product.")
    stocks = ask(path("inventory", product_ids=product_id))["items"]
    if not stocks:
        raise NoSuchPage("This product has no stock yet: it is opened a moment after the product is made.")
    ledger, product, audit = together(
        lambda: ask(path("inventory", product_id, "ledger", limit=_SHOWN, cursor=cursor)),
        lambda: part(lambda: _names(visit, [product_id]).get(product_id)),
        lambda: part(lambda: ask(path("inventory", product_id, "ledger", "audit"))),
    )
    return Page(
        "ledger.html",
        {
            "stock": stocks[0],
            "product": product,
            "entries": ledger["items"],
            "audit": audit,
            "is_first": not cursor,
            "next": next_page(f"/console/stock/{product_id}", ledger["next_cursor"]),
        },
    )


def send_adjustment(visit: Visit, product_id: str, form: Adjust) -> None:
    body = {"delta": form.delta, "reason": form.reason}
    visit.visitor.send("POST", path("inventory", product_id, "adjustments"), body, key=form.key)


@pages.post("/console/stock/{product_id}/adjust", form=Adjust, again=show_product_stock)
def adjust(visit: Visit, product_id: str, form: Adjust) -> Redirect:
    send_adjustment(visit, product_id, form)
    return Redirect(f"/console/stock/{product_id}?said=adjusted")


@pages.post("/console/stock/{product_id}/threshold", form=Threshold, again=show_product_stock)
def set_threshold(visit: Visit, product_id: str, form: Threshold) -> Redirect:
    low_at = int(form.low_at) if form.low_at.strip() else None
    body = {"low_at": low_at, "version": form.version}
    visit.visitor.send("PUT", path("inventory", product_id, "threshold"), body)
    return Redirect(f"/console/stock/{product_id}?said=threshold")
