"""The tables that staff replaces as a whole, shipping rates and tax rates: to look at, to change as text, and every
version of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Annotated, Any

from pydantic import Field

from console.pages import pages
from console.rate_text import places_of, read_rates, rows_of_zone, write_rates
from console.table_text import Typed, changes
from console.tax_text import place_of, read_taxes, row_of, write_taxes
from mercato.dataclass import dataclass
from pages import Form, InvalidForm, Page, Redirect, Visit
from pages.visitor import Refused, path

# The column of a field of the API's, where it has another name.
_COLUMNS = {
    "country": "place",
    "region": "place",
    "rate": "percent",
    "code": "service",
    "days_from": "days",
    "days_to": "days",
    "from_grams": "grams",
    "to_grams": "grams",
    "amount": "price",
}
_OVERTAKEN = "Another operator has changed it meanwhile, so your change is not stored. Both are shown below."
_SAID = {"changed": "The table is changed. It holds from the next quote on."}


class Table(Form):
    """`version` is the one that the text was made of."""

    text: Annotated[str, Field(min_length=1, max_length=200_000)]
    version: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Group:
    """The part of a table that is shown under one heading."""

    name: str
    about: str
    rows: list[dict[str, str]]


@dataclass(frozen=True)
class Kind:
    """One of the tables: where it is, how it is shown, and how it is typed."""

    title: str
    address: str
    api: tuple[str, str]
    columns: tuple[tuple[str, str], ...]
    hint: str
    groups: Callable[[Any], list[Group]]
    write: Callable[[Any], str]
    read: Callable[[str, Any], Typed]


def _zones(table: Any) -> list[Group]:
    def about(zone: Any) -> str:
        places = places_of(zone)
        return "All other countries" if places == "*" else places

    return [Group(zone["name"], about(zone), list(rows_of_zone(table, zone))) for zone in table["zones"]]


def _places(table: Any) -> list[Group]:
    rates = sorted(table["rates"], key=lambda rate: (place_of(rate) == "*", place_of(rate)))
    return [
        Group("All other countries" if place == "*" else place, "", [row_of(rate) for rate in found])
        for place, found in groupby(rates, place_of)
    ]


_RATES = Kind(
    "Shipping rates",
    "/console/rates",
    ("shipments", "rates"),
    (
        ("name", "Service"),
        ("service", "Code"),
        ("carrier", "Carrier"),
        ("days", "Days"),
        ("grams", "Grams"),
        ("goods_from", "Goods from"),
        ("price", "Price"),
        ("further_item", "Each further piece"),
    ),
    "One line for each price. Places are countries and regions, such as GB FR US-AK, or * for all others. Grams are"
    " 0 to 2000, over 2000, or any. A price of 0 is free delivery for goods of that value, before discounts. An empty"
    " cell repeats the line above, but an empty goods_from or further_item is 0.",
    _zones,
    write_rates,
    read_rates,
)
_TAXES = Kind(
    "Tax rates",
    "/console/taxes",
    ("checkouts", "taxes"),
    (("tax_class", "Tax class"), ("percent", "Percent"), ("valid_from", "From")),
    "One line for each rate. A place is a country such as GB, a region such as US-CA, or * for all countries that no"
    " line names. A new rate of a place begins on its day; leave the old one in.",
    _places,
    write_taxes,
    read_taxes,
)


@pages.get("/console/rates")
def show_rates(visit: Visit) -> Page:
    return _show(visit, _RATES)


@pages.post("/console/rates", form=Table, again=show_rates)
def change_rates(visit: Visit, form: Table) -> Redirect:
    return _change(visit, _RATES, form)


@pages.get("/console/taxes")
def show_taxes(visit: Visit) -> Page:
    return _show(visit, _TAXES)


@pages.post("/console/taxes", form=Table, again=show_taxes)
def change_taxes(visit: Visit, form: Table) -> Redirect:
    return _change(visit, _TAXES, form)


def _show(visit: Visit, kind: Kind) -> Page:
    """An earlier version is shown as it was, and its text is in the form, so that it can be brought back. After a
    change that came too late, what another operator changed stands beside what was typed.
    """
    visit.notice = visit.notice or _SAID.get(visit.request.query.get("said", ""), "")
    current = _version(visit, kind)
    asked = visit.request.query.get("version", "")
    shown = _version(visit, kind, asked) if asked else current
    text = visit.values.get("text", kind.write(shown))
    base = visit.values.get("version", "")
    overtaken = base if base.isdecimal() and int(base) != current["version"] else ""
    if overtaken and "" in visit.errors:
        visit.errors[""] = _OVERTAKEN
    return Page(
        "table.html",
        {
            "kind": kind,
            "table": shown,
            "current": current["version"],
            "groups": kind.groups(shown),
            "text": text,
            "faults": _faults(visit.errors, text),
            "theirs": changes(kind.write(_version(visit, kind, overtaken)), kind.write(current)) if overtaken else [],
            "yours": changes(kind.write(current), text) if overtaken else [],
            "since": _since(visit, kind, shown),
        },
    )


def _version(visit: Visit, kind: Kind, version: str = "") -> Any:
    return visit.visitor.get(path(*kind.api, version=version))


def _since(visit: Visit, kind: Kind, table: Any) -> list[dict[str, str]]:
    """What the version changed of the one before."""
    if not table["version"]:
        return []
    return changes(kind.write(_version(visit, kind, str(table["version"] - 1))), kind.write(table))


def _faults(errors: dict[str, str], text: str) -> list[dict[str, str]]:
    lines = text.splitlines()
    numbers = [int(name.removeprefix("line-")) for name in errors if name.startswith("line-")]
    return [
        {
            "line": str(number),
            "text": lines[number - 1] if number <= len(lines) else "",
            "message": errors[f"line-{number}"],
        }
        for number in sorted(numbers)
    ]


def _change(visit: Visit, kind: Kind, form: Table) -> Redirect:
    typed = kind.read(form.text, _version(visit, kind))
    if typed.wrong:
        raise _invalid(typed)
    try:
        visit.visitor.send("PUT", path(*kind.api), {"version": form.version, **typed.body})
    except Refused as refused:
        if refused.reply.status == 422:
            raise _invalid(typed, refused) from None
        raise
    return Redirect(f"{kind.address}?said=changed")


def _invalid(typed: Typed, refused: Refused | None = None) -> InvalidForm:
    """What is wrong, at its line."""
    others: dict[str, str] = {}
    found = refused.reply.body.get("errors", []) if refused else []
    for one in found:
        line = typed.line_of(str(one["field"]))
        message = _told(typed, str(one["field"]), str(one["message"]))
        if line is None:
            others[""] = message
        else:
            typed.tell(line, message)
    if refused and not found:
        others[""] = refused.reply.detail
    return InvalidForm({f"line-{line}": message for line, message in sorted(typed.wrong.items())} | others)


def _told(typed: Typed, at: str, message: str) -> str:
    """The message with the column that it is about. A part without a name is told by its value, such as a country."""
    name = at.rpartition(".")[2]
    if not name.isdecimal():
        return f"{_COLUMNS.get(name, name)}: {message}."
    value = typed.value_at(at)
    if isinstance(value, str) and value not in message:
        return f"{value} {message}."
    return f"{message[:1].upper()}{message[1:]}."
