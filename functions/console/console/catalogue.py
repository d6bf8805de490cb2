"""The catalogue and the stock of each product: search, edit, sell no longer, and count."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from console.pages import pages
from console.stock import Adjust, send_adjustment
from mercato.money import InvalidAmount, Money
from pages import Form, InvalidForm, Page, Redirect, Visit
from pages.view import major
from pages.visitor import next_page, part, path

_FIELDS = ("name", "description", "category")


class Product(Form):
    """`price` is in major units, such as 12.50. A change has the `version` that the form was made of. A new product has
    a `key`, with which a form that is sent twice makes one product.
    """

    sku: Annotated[str, Field(max_length=64)] = ""
    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=4000)] = ""
    category: Annotated[str, Field(max_length=100)] = ""
    price: Annotated[str, Field(max_length=20)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "GBP"
    version: int = 0
    key: Annotated[str, Field(max_length=64)] = ""


@pages.get("/console/catalogue")
def show_catalogue(visit: Visit) -> Page:
    asked = visit.request.query.get("q", "").strip()[:100]
    cursor = visit.request.query.get("cursor", "")
    found = visit.visitor.get(path("products", q=asked, limit=50, cursor=cursor))
    following = next_page("/console/catalogue", found["next_cursor"], q=asked)
    return Page("catalogue.html", {"products": found["items"], "asked": asked, "next": following})


@pages.get("/console/catalogue/new")
def show_new(visit: Visit) -> Page:
    visit.require_log_in()
    return Page("product.html", {"product": None, "stock": part(lambda: None), "theirs": {}})


@pages.post("/console/catalogue/new", form=Product, again=show_new)
def create(visit: Visit, form: Product) -> Redirect:
    body = {"sku": form.sku, **_said(form)}
    made = visit.visitor.send("POST", path("products"), body, key=form.key).body
    return Redirect(f"/console/catalogue/{made['product_id']}")


@pages.get("/console/catalogue/{product_id}")
def show_product(visit: Visit, product_id: str) -> Page:
    """After an edit that came too late, what another operator made of the product stands beside what was typed."""
    product = visit.visitor.get(path("products", product_id))
    stock = part(lambda: visit.visitor.get(path("inventory", product_id)))
    theirs = _differences(product, visit.values) if visit.values.get("version") else {}
    return Page("product.html", {"product": product, "stock": stock, "theirs": theirs})


def _differences(product: Any, typed: dict[str, str]) -> dict[str, str]:
    """By field, what stands in the catalogue now, where it is not what was typed."""
    now = {name: product[name] or "" for name in _FIELDS} | {"price": major(product["price"])}
    return {name: value for name, value in now.items() if name in typed and typed[name] != value}


def _said(form: Product) -> dict[str, Any]:
    try:
        price = Money.parse(form.price, form.currency)
    except InvalidAmount as error:
        raise InvalidForm({"price": f"{error}."}) from None
    return {
        "name": form.name,
        "description": form.description,
        "category": form.category or None,
        "price": {"amount": price.amount, "currency": price.currency},
    }


@pages.post("/console/catalogue/{product_id}", form=Product, again=show_product)
def change(visit: Visit, product_id: str, form: Product) -> Redirect:
    visit.visitor.send("PATCH", path("products", product_id), {"version": form.version, **_said(form)})
    return Redirect(f"/console/catalogue/{product_id}")


@pages.post("/console/catalogue/{product_id}/discontinue", again=show_product)
def discontinue(visit: Visit, product_id: str) -> Redirect:
    visit.visitor.send("DELETE", path("products", product_id))
    return Redirect("/console/catalogue")


@pages.post("/console/catalogue/{product_id}/stock", form=Adjust, again=show_product)
def adjust(visit: Visit, product_id: str, form: Adjust) -> Redirect:
    send_adjustment(visit, product_id, form)
    return Redirect(f"/console/catalogue/{product_id}")
