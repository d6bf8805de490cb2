"""The tax rates as text: one line per rate of a place and tax class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from console.table_text import Row, Typed, WrongLine, read_lines, write_text

COLUMNS = ("place", "tax_class", "percent", "valid_from")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?) *%?")
_ALL_OTHERS = "*"


def write_taxes(table: Any) -> str:
    return write_text(COLUMNS, (row_of(rate) for rate in table["rates"]))


def row_of(rate: Any) -> Row:
    return {
        "place": place_of(rate),
        "tax_class": rate["tax_class"],
        "percent": f"{(Decimal(rate['rate']) * 100).normalize():f}",
        "valid_from": rate["valid_from"],
    }


def place_of(rate: Any) -> str:
    """GB, US-CA, or * for all countries that the table does not name."""
    return "-".join(one for one in (rate["country"], rate["region"]) if one) or _ALL_OTHERS


def read_taxes(text: str, _: Any) -> Typed:
    typed = Typed()
    rates = list(_rates(text, typed))
    typed.body = {"rates": rates}
    return typed


def _rates(text: str, typed: Typed) -> Iterator[dict[str, Any]]:
    number = 0
    for line, row in read_lines(text, COLUMNS, typed):
        try:
            rate = _rate(row)
        except WrongLine as error:
            typed.tell(line, str(error))
            continue
        typed.lines[f"rates.{number}"] = line
        number += 1
        yield rate


def _rate(row: Row) -> dict[str, Any]:
    percent = _PERCENT.fullmatch(row["percent"])
    if percent is None or Decimal(percent[1]) > 100:
        raise WrongLine("A rate is a percentage, at most 100, of at most four decimals, such as 8.875.")
    country, _, region = row["place"].partition("-")
    if not country:
        raise WrongLine(f"A rate has a place: a country such as GB, a region such as US-CA, or {_ALL_OTHERS}.")
    try:
        first_day = date.fromisoformat(row["valid_from"])
    except ValueError:
        raise WrongLine("A rate is valid from a day, such as 2011-01-04.") from None
    return {
        "country": None if country == _ALL_OTHERS else country,
        "region": region or None,
        "tax_class": row["tax_class"],
        "rate": re.sub("0{1,2}$", "", f"{Decimal(percent[1]) / 100:.6f}"),
        "valid_from": str(first_day),
    }
