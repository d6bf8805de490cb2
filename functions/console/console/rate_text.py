"""The shipping rates as text: one line per price. A cell that is empty has what the line above has; `goods_from` and
`further_item` are 0 then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from console.table_text import Row, Typed, WrongLine, read_lines, write_text
from mercato.money import InvalidAmount, Money

COLUMNS = (
    "zone",
    "places",
    "service",
    "carrier",
    "name",
    "days",
    "grams",
    "goods_from",
    "price",
    "further_item",
)
_DAYS = re.compile(r"([0-9]{1,9})(?: *(?:to|-) *([0-9]{1,9}))?")
_GRAMS = re.compile(r"([0-9]{1,15}) *(?:to|-) *([0-9]{1,15})")
_OVER = re.compile(r"over *([0-9]{1,15})")
_ANY_WEIGHT, _ALL_OTHERS = "any", "*"


def write_rates(table: Any) -> str:
    return write_text(COLUMNS, (_without_repetition(rows) for zone in table["zones"] for rows in _pairs(table, zone)))


def _pairs(table: Any, zone: Any) -> Iterator[tuple[Row | None, Row]]:
    before = None
    for row in rows_of_zone(table, zone):
        yield before, row
        before = row


def _without_repetition(rows: tuple[Row | None, Row]) -> Row:
    before, row = rows
    if before is None:
        return row
    said = {"places"} | ({"carrier", "name", "days"} if row["service"] == before["service"] else set())
    return {name: "" if name in said else value for name, value in row.items()}


def rows_of_zone(table: Any, zone: Any) -> Iterator[Row]:
    for service in zone["services"]:
        for band in service["bands"]:
            for price in band["prices"]:
                yield {
                    "zone": zone["name"],
                    "places": places_of(zone),
                    "service": service["code"],
                    "carrier": service["carrier"],
                    "name": service["name"],
                    "days": _span(service["days_from"], service["days_to"]),
                    "grams": _weight(band["from_grams"], band["to_grams"]),
                    **{name: _major(price[name], table) for name in ("goods_from", "further_item")},
                    "price": _major(price["amount"], table),
                }


def places_of(zone: Any) -> str:
    return " ".join([*zone["countries"], *zone["regions"]]) or _ALL_OTHERS


def _span(start: int, end: int) -> str:
    return str(start) if start == end else f"{start} to {end}"


def _weight(start: int, end: int | None) -> str:
    """In words, since a spreadsheet reads 2-3 as a day in March."""
    if end is None:
        return f"over {start}" if start else _ANY_WEIGHT
    return f"{start} to {end}"


def _major(amount: int, table: Any) -> str:
    return str(Money(amount=amount, currency=table["currency"])).partition(" ")[0]


def read_rates(text: str, current: Any) -> Typed:
    """The zones of the text, in the currency of the current table."""
    reader = _Reader(current["currency"])
    for line, row in read_lines(text, COLUMNS, reader.typed):
        reader.take(line, row)
    reader.typed.body = {"currency": current["currency"], "zones": reader.zones}
    return reader.typed


class _Reader:
    """Builds zones of services, bands and prices from rows."""

    def __init__(self, currency: str) -> None:
        self.typed = Typed()
        self.zones: list[dict[str, Any]] = []
        self._currency = currency
        self._before: Row = {}
        self._broken: tuple[str, str] | None = None  # the zone and service of the last wrong line

    def take(self, line: int, row: Row) -> None:
        """The lines that continue a wrong one are left out: what is wrong with them follows from it. The first line of
        their zone is one that could not even be split into cells, if the zone is not known.
        """
        row["zone"] = row["zone"] or self._before.get("zone", "")
        row["service"] = row["service"] or self._before.get("service", "")
        is_known = row["places"] or any(zone["name"] == row["zone"] for zone in self.zones)
        if (row["zone"], row["service"]) == self._broken or (self.typed.wrong and not is_known):
            return
        try:
            self._add_price(line, row)
        except WrongLine as error:
            self.typed.tell(line, str(error))
            self._broken = (row["zone"], row["service"])
        self._before = row

    def _add_price(self, line: int, row: Row) -> None:
        at = self._zone(line, row)
        at = self._service(line, row, at)
        at = self._band(line, row, at)
        price = {
            "goods_from": self._amount(row["goods_from"] or "0"),
            "amount": self._amount(row["price"]),
            "further_item": self._amount(row["further_item"] or "0"),
        }
        before = self._part(at)["prices"]
        if before and price["goods_from"] <= before[-1]["goods_from"]:
            lowest = Money(amount=before[-1]["goods_from"], currency=self._currency)
            raise WrongLine(f"Goods from is more than {lowest}: it goes up from line to line.")
        self._add(line, at, "prices", price)

    def _zone(self, line: int, row: Row) -> str:
        for number, zone in enumerate(self.zones):
            if zone["name"] == row["zone"]:
                if row["places"] and row["places"].split() != places_of(zone).split():
                    raise WrongLine(
                        f"Zone {zone['name']} has other places in line {self.typed.lines[f'zones.{number}']}."
                    )
                return f"zones.{number}"
        if not row["places"]:
            raise WrongLine(f"The first line of a zone names its places, such as GB FR US-AK, or {_ALL_OTHERS}.")
        places = [one for one in row["places"].split() if one != _ALL_OTHERS]
        zone = {
            "name": row["zone"],
            "countries": [one for one in places if "-" not in one],
            "regions": [one for one in places if "-" in one],
            "services": [],
        }
        self.zones.append(zone)
        self.typed.lines[at := f"zones.{len(self.zones) - 1}"] = line
        return at

    def _service(self, line: int, row: Row, at: str) -> str:
        services = self._part(at)["services"]
        told = {name: row[name] for name in ("carrier", "name", "days")}
        if services and services[-1]["code"] == row["service"]:
            found = f"{at}.services.{len(services) - 1}"
            stated = {name: services[-1][name] for name in ("carrier", "name")}
            stated["days"] = _span(services[-1]["days_from"], services[-1]["days_to"])
            if differing := [name for name, value in told.items() if value and value != stated[name]]:
                raise WrongLine(f"{row['service']} has another {differing[0]} in line {self.typed.lines[found]}.")
            return found
        days = _DAYS.fullmatch(row["days"])
        if days is None or int(days[2] or days[1]) < int(days[1]):
            raise WrongLine("Days are a number, or two of them, the smaller one first: 2 to 3.")
        service = {
            "carrier": row["carrier"],
            "code": row["service"],
            "name": row["name"],
            "days_from": int(days[1]),
            "days_to": int(days[2] or days[1]),
            "bands": [],
        }
        return self._add(line, at, "services", service)

    def _band(self, line: int, row: Row, at: str) -> str:
        bands = self._part(at)["bands"]
        if bands:
            row["grams"] = row["grams"] or _weight(bands[-1]["from_grams"], bands[-1]["to_grams"])
        start, end = _grams(row["grams"])
        if bands and (bands[-1]["from_grams"], bands[-1]["to_grams"]) == (start, end):
            return f"{at}.bands.{len(bands) - 1}"
        return self._add(line, at, "bands", {"from_grams": start, "to_grams": end, "prices": []})

    def _add(self, line: int, at: str, kind: str, part: dict[str, Any]) -> str:
        parts = self._part(at)[kind]
        parts.append(part)
        found = f"{at}.{kind}.{len(parts) - 1}"
        self.typed.lines[found] = line
        return found

    def _part(self, at: str) -> Any:
        found: Any = {"zones": self.zones}
        for step in at.split("."):
            found = found[int(step)] if step.isdecimal() else found[step]
        return found

    def _amount(self, text: str) -> int:
        try:
            return Money.parse(text, self._currency).amount
        except InvalidAmount as error:
            raise WrongLine(f"{error}.") from None


def _grams(text: str) -> tuple[int, int | None]:
    if text == _ANY_WEIGHT:
        return 0, None
    if over := _OVER.fullmatch(text):
        return int(over[1]), None
    if found := _GRAMS.fullmatch(text):
        return int(found[1]), int(found[2])
    raise WrongLine("Grams are 0 to 2000, over 2000, or any.")
