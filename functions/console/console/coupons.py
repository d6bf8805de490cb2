"""Coupons: all of them, a new one, and one's changes and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from console.pages import pages
from console.wiring import ports
from mercato.clock import rfc3339, utc_now
from mercato.money import InvalidAmount, Money
from pages import Form, InvalidForm, NoSuchPage, Page, Redirect, Visit
from pages.app import messages_by_field
from pages.view import major, money, words
from pages.visitor import Refused, next_page, path

_SHOWN = 50
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,31}")
_COUNT = re.compile(r"[0-9]{1,9}")
_PERCENT = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?")
_NOTICES = {
    "added": "The coupon can be used from now on.",
    "changed": "The coupon is changed.",
    "ended": "The coupon has ended. Orders that were placed with it keep their discount.",
}
KINDS = (("percentage", "Percent of the goods"), ("amount", "An amount"), ("free_shipping", "Free delivery"))


class Terms(Form):
    """An empty field is a limit that the coupon does not have. A day begins and ends at midnight, UTC."""

    description: Annotated[str, Field(min_length=1, max_length=200)]
    minimum: Annotated[str, Field(max_length=20)] = ""
    valid_from: Annotated[str, Field(max_length=10)] = ""
    valid_until: Annotated[str, Field(max_length=10)] = ""
    limit: Annotated[str, Field(max_length=20)] = ""
    limit_per_customer: Annotated[str, Field(max_length=20)] = ""

    def terms(self) -> dict[str, Any]:
        """Raises InvalidForm."""
        minimum = _money("minimum", self.minimum)
        return {
            "description": self.description,
            "minimum": minimum.model_dump() if minimum else None,
            "valid_from": _day("valid_from", self.valid_from),
            "valid_until": _day("valid_until", self.valid_until),
            "limit": _count("limit", self.limit),
            "limit_per_customer": _count("limit_per_customer", self.limit_per_customer),
        }


class New(Terms):
    """`value` is a percentage or an amount of money, as `kind` says. Without a `code` the API makes one."""

    code: Annotated[str, Field(max_length=32)] = ""
    kind: str
    value: Annotated[str, Field(max_length=20)] = ""
    category: Annotated[str, Field(max_length=200)] = ""
    combines: str = ""
    key: Annotated[str, Field(min_length=8, max_length=64)]

    def for_api(self) -> dict[str, Any]:
        """Raises InvalidForm."""
        if self.code and not _CODE.fullmatch(self.code):
            raise InvalidForm({"code": "A code has 3 to 32 letters, digits and hyphens."})
        body = self.terms() | {"kind": self.kind, "combines": bool(self.combines), "category": self.category or None}
        if self.kind == "percentage":
            body["basis_points"] = _basis_points(self.value)
        elif self.kind == "amount":
            amount = _money("value", self.value)
            if amount is None:
                raise InvalidForm({"value": "Say how much it takes off, such as 5.00."})
            body["amount"] = amount.model_dump()
        elif self.category:
            raise InvalidForm({"category": "Free delivery is not of some goods only: leave this empty."})
        elif self.value:
            raise InvalidForm({"value": "Free delivery takes off the delivery, and no amount: leave this empty."})
        return body | ({"code": self.code} if self.code else {})


class Change(Terms):
    version: int


def _basis_points(text: str) -> int:
    found = _PERCENT.fullmatch(text.removesuffix("%").strip())
    points = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if not 1 <= points <= 10_000:
        raise InvalidForm({"value": "A percentage is more than 0 and at most 100, such as 12.5."})
    return points


def _money(field: str, text: str) -> Money | None:
    if not text:
        return None
    try:
        return Money.parse(text, ports().settings.currency)
    except InvalidAmount as error:
        raise InvalidForm({field: f"{error}."}) from None


def _count(field: str, text: str) -> int | None:
    if not text:
        return None
    if not _COUNT.fullmatch(text) or int(text) < 1:
        raise InvalidForm({field: "This is a whole number of at least 1, or empty for no limit."})
    return int(text)


def _day(field: str, text: str) -> str | None:
    try:
        return f"{date.fromisoformat(text)}T00:00:00.000Z" if text else None
    except ValueError:
        raise InvalidForm({field: "This is no day, such as 2026-11-29."}) from None


@pages.get("/console/coupons")
def show_coupons(visit: Visit) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    found = visit.visitor.get(path("promotions", "coupons", limit=_SHOWN, cursor=visit.request.query.get("cursor", "")))
    return Page(
        "coupons.html",
        {
            "coupons": [_row(one, utc_now()) for one in found["items"]],
            "next": next_page("/console/coupons", found["next_cursor"]),
            "currency": ports().settings.currency,
            "kinds": list(KINDS),
        },
    )


def _row(coupon: Any, now: datetime) -> dict[str, Any]:
    """`typed` is what the fields of its form hold."""
    typed = {name: "" if coupon[name] is None else str(coupon[name]) for name in ("limit", "limit_per_customer")}
    typed |= {name: (coupon[name] or "")[:10] for name in ("valid_from", "valid_until")}
    typed |= {"description": coupon["description"], "minimum": major(coupon["minimum"]) if coupon["minimum"] else ""}
    return dict(coupon) | {"state": _state(coupon, rfc3339(now)), "takes": _takes(coupon), "typed": typed}


def _takes(coupon: Any) -> str:
    if coupon["basis_points"] is not None:
        return f"{Decimal(coupon['basis_points']) / 100:f} %"
    return money(coupon["amount"]) if coupon["amount"] else "the delivery"


def _state(coupon: Any, now: str) -> str:
    if coupon["ended_at"]:
        return "ended"
    if coupon["valid_until"] and coupon["valid_until"] <= now:
        return "expired"
    if coupon["valid_from"] and coupon["valid_from"] > now:
        return "waiting"
    return "used_up" if coupon["limit"] is not None and coupon["used"] >= coupon["limit"] else "active"


@contextmanager
def _told_at_its_field() -> Iterator[None]:
    """What the API finds wrong, at the form's fields: one field holds a percentage or an amount."""
    try:
        yield
    except Refused as refused:
        if refused.reply.problem == "coupon-exists":
            raise InvalidForm({"code": refused.reply.detail}, refused.reply) from None
        found = messages_by_field(refused.reply, _field_of)
        if not found:
            raise
        told = {field: message.replace("valid_from", "its first day") for field, message in found.items()}
        raise InvalidForm(told, refused.reply) from None


def _field_of(path: str) -> str:
    """minimum.amount is minimum."""
    name = path.partition(".")[0]
    return "value" if name in ("basis_points", "amount") else name


@pages.post("/console/coupons", form=New, again=show_coupons)
def add_coupon(visit: Visit, form: New) -> Redirect:
    with _told_at_its_field():
        made = visit.visitor.send("POST", path("promotions", "coupons"), form.for_api(), key=form.key).body
    return Redirect(f"/console/coupons/{made['code']}?said=added")


@pages.get("/console/coupons/{code}")
def show_coupon(visit: Visit, code: str) -> Page:
    """After a change that came too late, what another operator made of the coupon stands beside what was typed."""
    if not _CODE.fullmatch(code):
        raise NoSuchPage("There is no such coupon.")
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    coupon = _row(visit.visitor.get(path("promotions", "coupons", code)), utc_now())
    if visit.notice == _NOTICES["added"] and coupon["state"] != "active":
        visit.notice = f"The coupon is made, and it is {words(coupon['state'])}."
    is_late = not coupon["ended_at"] and visit.values.get("version", "") not in ("", str(coupon["version"]))
    if is_late:
        visit.errors[""] = "Another operator has changed it meanwhile. Both are shown: send what shall hold."
    theirs = _differences(coupon["typed"], visit.values) if is_late else {}
    return Page("coupon.html", {"coupon": coupon, "theirs": theirs, "currency": ports().settings.currency})


def _differences(now: dict[str, str], typed: dict[str, str]) -> dict[str, str]:
    """By field, what the coupon has now, where it is not what was typed."""
    return {name: value for name, value in now.items() if name in typed and typed[name] != value}


@pages.post("/console/coupons/{code}", form=Change, again=show_coupon)
def change_coupon(visit: Visit, code: str, form: Change) -> Redirect:
    """A field that has a day keeps the hour that the coupon has on that day: only another day is another time."""
    address = path("promotions", "coupons", code)
    now, changes = visit.visitor.get(address), form.terms() | {"version": form.version}
    hours = {name: now[name] for name in ("valid_from", "valid_until") if (now[name] or "")[:10] == getattr(form, name)}
    with _told_at_its_field():
        visit.visitor.send("PATCH", address, changes | hours)
    return Redirect(f"/console/coupons/{code}?said=changed")


@pages.post("/console/coupons/{code}/end", again=show_coupon)
def end_coupon(visit: Visit, code: str) -> Redirect:
    visit.visitor.send("DELETE", path("promotions", "coupons", code))
    return Redirect(f"/console/coupons/{code}?said=ended")
