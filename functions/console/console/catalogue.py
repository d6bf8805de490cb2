"""The catalogue of each product, its stock and its pictures: search, edit, sell no longer, and count."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import Field

from console.pages import pages
from console.stock import Adjust, send_adjustment
from console.texts import with_line_feeds
from console.wiring import ports
from mercato.money import InvalidAmount, Money
from pages import Form, InvalidForm, Page, Redirect, Visit
from pages.view import major
from pages.visitor import Refused, next_page, part, path, together

_OVERTAKEN = "Another operator has changed it meanwhile. Both are shown: send what shall hold."
_FIELDS = ("name", "description", "category", "tax_class")


class Product(Form):
    """`price` is in major units, such as 12.50. A change has the `version` that the form was made of. A new product has
    a `key`, with which a form that is sent twice makes one product. The API knows how long each text may be.
    """

    sku: Annotated[str, Field(max_length=64)] = ""
    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    category: str = ""
    price: Annotated[str, Field(max_length=20)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    weight_grams: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    tax_class: Annotated[str, Field(max_length=40)] = ""
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
    values = {"stock": part(lambda: None), "theirs": {}, "currency": _currency(), "is_sold": True}
    return Page("product.html", {"product": None} | values)


@pages.post("/console/catalogue/new", form=Product, again=show_new)
def create(visit: Visit, form: Product) -> Redirect:
    body = {"sku": form.sku, **_said(form)}
    made = visit.visitor.send("POST", path("products"), body, key=form.key).body
    return Redirect(f"/console/catalogue/{made['product_id']}")


@pages.get("/console/catalogue/{product_id}")
def show_product(visit: Visit, product_id: str) -> Page:
    """After an edit that came too late, what another operator made of the product stands beside what was typed."""
    product, stock = together(
        lambda: visit.visitor.get(path("products", product_id)),
        lambda: part(lambda: _stock(visit, product_id)),
    )
    is_late = _is_sold(product) and visit.values.get("version", "") not in ("", str(product["version"]))
    theirs = _differences(product, visit.values) if is_late else {}
    if is_late:
        visit.errors[""] = _OVERTAKEN
    values = {"stock": stock, "theirs": theirs, "currency": _currency(), "is_sold": _is_sold(product)}
    return Page("product.html", {"product": product} | values)


def _is_sold(product: Any) -> bool:
    """One that is discontinued stays so: it takes no change and no picture."""
    return bool(product["status"] != "discontinued")


def _stock(visit: Visit, product_id: str) -> Any:
    """Returns the product's stock, or None while inventory has not heard of a new product yet."""
    try:
        return visit.visitor.get(path("inventory", product_id))
    except Refused as refused:
        if refused.reply.status == 404:
            return None
        raise


def _currency() -> str:
    return ports().settings.currency


def _differences(product: Any, typed: dict[str, str]) -> dict[str, str]:
    """By field, what stands in the catalogue now, where it is not what was typed."""
    now = {name: product[name] or "" for name in _FIELDS} | {"currency": product["price"]["currency"]}
    now |= {"price": major(product["price"]), "weight_grams": str(product["weight_grams"])}
    return {name: value for name, value in now.items() if name in typed and with_line_feeds(typed[name]) != value}


def _said(form: Product) -> dict[str, Any]:
    try:
        price = Money.parse(form.price, form.currency)
    except InvalidAmount as error:
        raise InvalidForm({"price": f"{error}."}) from None
    said: dict[str, Any] = {
        "name": form.name,
        "description": with_line_feeds(form.description),
        "category": form.category or None,
        "price": {"amount": price.amount, "currency": price.currency},
    }
    # A form that was opened before these fields existed does not change them.
    more = {"weight_grams": form.weight_grams, "tax_class": form.tax_class or None}
    return said | {name: value for name, value in more.items() if value is not None}


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


class NewPicture(Form):
    """`alt` says what the picture shows. A picture that only decorates has none, and says so."""

    alt: Annotated[str, Field(max_length=250)] = ""
    decorative: str = ""
    key: Annotated[str, Field(max_length=64)] = ""

    def described(self) -> str:
        if not self.alt and not self.decorative:
            raise InvalidForm({"alt": "Say what it shows, or that it only decorates."})
        return "" if self.decorative else self.alt


class Described(NewPicture):
    """`place` counts from 1. `was_alt` and `was_place` are what the form showed, if the picture had words then."""

    place: Annotated[int, Field(ge=1, le=8)]
    was_alt: Annotated[str, Field(max_length=250)] | None = None
    was_place: int | None = None

    def changes(self) -> dict[str, Any]:
        """What differs from what the form showed: another operator may have changed the rest meanwhile."""
        changed = {} if self.described() == self.was_alt else {"alt": self.described()}
        return changed if self.place == self.was_place else changed | {"place": self.place - 1}


def _pictures(product_id: str) -> str:
    return f"/console/catalogue/{quote(product_id, safe='')}/pictures"


@pages.get("/console/catalogue/{product_id}/pictures")
def show_pictures(visit: Visit, product_id: str) -> Page:
    """Each picture whose file is awaited has a form that sends the file to S3, which sends the browser back here."""
    ask = visit.visitor.get
    product, found = together(
        lambda: ask(path("products", product_id)),
        lambda: ask(path("products", "images", product_id, return_to=_pictures(product_id)))["items"],
    )
    forms = sorted({urlsplit(one["upload"]["url"])._replace(path="").geturl() for one in found if one["upload"]})
    arrived = visit.request.query.get("key", "").rpartition("/")[2]  # S3 adds the file's key to the way back
    is_looked_at = any(one["id"] == arrived and one["upload"] for one in found)
    if arrived:
        said = "It is shown here in a moment: look again." if is_looked_at else ""
        visit.notice = visit.notice or f"The file has arrived. {said}".rstrip()
    return Page(
        "pictures.html",
        {"product": product, "pictures": found, "arrived": arrived, "is_sold": _is_sold(product)},
        policy=tuple(("form-action", origin) for origin in forms),
    )


@pages.post("/console/catalogue/{product_id}/pictures", form=NewPicture, again=show_pictures)
def add_picture(visit: Visit, product_id: str, form: NewPicture) -> Redirect:
    visit.visitor.send("POST", path("products", "images", product_id), {"alt": form.described()}, key=form.key)
    return Redirect(_pictures(product_id))


def _show_pictures_again(visit: Visit, product_id: str, image_id: str) -> Page:
    """After words that came too late, those of another operator stand beside what was typed."""
    visit.values["image_id"] = image_id
    return show_pictures(visit, product_id)


def _require_words(visit: Visit, product_id: str, image_id: str, form: Described) -> None:
    """Raises InvalidForm if another operator has given the picture other words than the form showed, or now has."""
    found = visit.visitor.get(path("products", "images", product_id))["items"]
    now = [one["alt"] for one in found if one["id"] == image_id]
    if form.was_alt is not None and now and now[0] not in (form.was_alt, form.described()):
        raise InvalidForm({"": _OVERTAKEN})


@pages.post("/console/catalogue/{product_id}/pictures/{image_id}", form=Described, again=_show_pictures_again)
def describe_picture(visit: Visit, product_id: str, image_id: str, form: Described) -> Redirect:
    changes = form.changes()
    if "alt" in changes:
        _require_words(visit, product_id, image_id, form)
    if changes:
        visit.visitor.send("PATCH", path("products", "images", product_id, image_id), changes)
    return Redirect(_pictures(product_id))


@pages.post("/console/catalogue/{product_id}/pictures/{image_id}/delete", again=_show_pictures_again)
def delete_picture(visit: Visit, product_id: str, image_id: str) -> Redirect:
    visit.visitor.send("DELETE", path("products", "images", product_id, image_id))
    return Redirect(_pictures(product_id))
