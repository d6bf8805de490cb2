"""What is for sale: the list with its categories, filters and search, and each product's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from mercato.clock import utc_now
from mercato.money import InvalidAmount, Money
from pages import Page, Visit
from pages.countries import NAMES
from pages.visitor import Part, Reply, part, parts, path
from storefront.pages import pages
from storefront.wiring import ports

_SORTS = {"": "By name", "price": "Cheapest first", "-price": "Dearest first", "newest": "Newest first"}
_FILTERS = ("q", "category", "sort", "min", "max")
_A_PAGE = 24
_RELATED = 4
_A_LOOK_UP = 100
_NOTICES = {
    "asked": "Please open the link in the mail that we send you now. Without it, we do not write again.",
    "back": "It is back already: you can order it now.",
}


@pages.get("/")
def show_list(visit: Visit) -> Page:
    asked = {name: visit.request.query.get(name, "").strip()[:100] for name in _FILTERS}
    if asked["sort"] not in _SORTS:
        asked["sort"] = ""
    errors = {}
    limits: dict[str, int | str] = {}
    for name in ("min", "max"):
        try:
            limits[name] = Money.parse(asked[name], ports().settings.currency).amount if asked[name] else ""
        except InvalidAmount as error:
            errors[name] = f"{error}."
            limits[name] = ""
    cursor = visit.request.query.get("cursor", "")
    goods, whole = _goods_and_categories(visit, asked, limits, cursor)
    visit.errors |= errors
    kept = {name: value for name, value in asked.items() if value}
    following = goods.value["next_cursor"] if goods.value else None
    return Page(
        "list.html",
        {
            "goods": goods,
            "categories": [dict(one) for one in whole.value or []],
            "asked": asked,
            "kept_without": {
                name: urlencode({other: value for other, value in kept.items() if other != name}) for name in _FILTERS
            },
            "sorts": list(_SORTS.items()),
            "next": f"/?{urlencode({**kept, 'cursor': following})}" if following else "",
            "is_first": not cursor,
        },
        is_personal=False,
    )


def _goods_and_categories(
    visit: Visit, asked: dict[str, str], limits: dict[str, Any], cursor: str
) -> tuple[Part, Part]:
    """The list without a search comes with the counts. A search, or a later page, has none: they are asked for."""

    def count_all() -> Any:
        return _public(visit, path("products", limit=1)).body["facets"]["category"]

    if asked["q"] or cursor:
        goods, whole = parts(lambda: _goods(visit, asked, limits, cursor), count_all)
        return goods, whole
    goods = part(lambda: _goods(visit, asked, limits, cursor))
    facets = goods.value["facets"] if goods.value else None
    return goods, Part(facets["category"]) if facets else part(count_all)


def _goods(visit: Visit, asked: dict[str, str], limits: dict[str, Any], cursor: str) -> Any:
    sought = path(
        "products",
        q=asked["q"],
        category=asked["category"],
        sort=asked["sort"] if not asked["q"] else "",
        min_price=limits["min"],
        max_price=limits["max"],
        limit=_A_PAGE,
        cursor=cursor,
    )
    return _public(visit, sought).body


def _public(visit: Visit, address: str) -> Reply:
    """The catalogue is the same for everybody: it is asked for without the visitor's token."""
    return visit.visitor.send_as_guest("GET", address)


def find_product(visit: Visit, product_id: str, related: int = 0) -> Any:
    """Also one that is no longer sold: orders lead to it. Raises Refused (404) where there is none."""
    return _public(visit, path("products", product_id, related=related or "")).body


def pictures_of(visit: Visit, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The products of these lines that have a picture, by id. Empty where the catalogue does not answer."""
    ids = list(dict.fromkeys(line["product_id"] for line in lines))[:_A_LOOK_UP]
    if not ids:
        return {}
    found = part(lambda: _public(visit, path("products", ids=",".join(ids))).body["items"])
    return {one["product_id"]: one["images"][0] for one in found.value or [] if one.get("images")}


@pages.get("/p/{product_id}")
def show_product(visit: Visit, product_id: str) -> Page:
    product = find_product(visit, product_id, related=_RELATED)
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    is_sold = product["status"] != "discontinued"
    quotes = part(lambda: _quotes(visit, product)) if is_sold else Part()
    country = ports().settings.country
    values = {"product": product, "is_sold": is_sold, "quotes": quotes, "home": NAMES.get(country, country)}
    return Page("product.html", values, 200 if is_sold else 404, is_personal=False)


def _quotes(visit: Visit, product: Any) -> Any:
    """They are the same for each visitor and for products of one weight and price: they are asked for once a minute."""
    wanted = {
        "country": ports().settings.country,
        "items": 1,
        "weight_grams": product["weight_grams"],
        "goods": product["price"],
    }
    minute, known = int(utc_now().timestamp()) // 60, ports().quotes
    parcel = (product["weight_grams"], product["price"]["amount"], product["price"]["currency"])
    if minute not in known:
        known.clear()
        known[minute] = {}
    if parcel not in known[minute]:
        found = visit.visitor.send_as_guest("POST", path("shipments", "quotes"), wanted).body["quotes"]
        known[minute][parcel] = found
    return known[minute][parcel]
