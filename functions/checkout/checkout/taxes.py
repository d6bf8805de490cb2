"""Taxes: a table of rates by country, region and tax class, and the tax that an amount contains. Pure.

The table is data. A real tax service would be another `Rates`, behind the same function `find`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from checkout.domain import NoTaxRate
from mercato.countries import Country
from mercato.dataclass import dataclass
from mercato.errors import Conflict, NotFound
from mercato.text import TAX_CLASS, Exact

MAX_RATES = 1500
SHIPPING_CLASS = "standard"  # the tax class of delivery, which each table needs
_TOLD = 5  # countries in a warning
_UNIT = 1_000_000  # a rate of "0.2000" is 200,000 of them


class TaxTableChanged(Conflict):
    """Another request has changed the table since the version that this one names."""


class TaxTableNotFound(NotFound):
    """The table of tax rates has no such version."""


class Rounding(StrEnum):
    """Where a tax is rounded to the minor unit, half away from zero: in each line, or in their sum by tax rate.

    By order, each line contains the difference of two rounded sums, so that the lines add up to the rounded tax.
    """

    LINE = "line"
    ORDER = "order"


class TaxRate(BaseModel):
    """The rate of a tax class in a country, or in a region of it, from a day on.

    It is a decimal fraction of four to six decimals, and ends with no zero after the fourth: 20 % is "0.2000", and
    8.875 % is "0.08875".

    Without a country it is the rate of all countries that the table does not name at all, such as those to which goods
    are exported untaxed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    country: Country | None = None
    region: Annotated[str, Exact(), Field(pattern=r"^[A-Z0-9]{1,6}$", examples=["CA"])] | None = None
    tax_class: Annotated[str, Exact(), Field(pattern=TAX_CLASS, max_length=40, examples=["standard"])]
    rate: Annotated[str, Exact(), Field(pattern=r"^(0\.[0-9]{4}([0-9]?[1-9])?|1\.0000)$", examples=["0.2000"])]
    valid_from: Annotated[date, Field(strict=False, examples=["2011-01-04"])]

    @property
    def place(self) -> tuple[str | None, str | None, str]:
        return self.country, self.region, self.tax_class


class TaxTable(BaseModel):
    """All rates. No two rates of one place and tax class begin on one day. `changed_at` is None for the table of a new
    shop, and for one that was written before its time was kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: int
    rates: tuple[TaxRate, ...]
    changed_at: datetime | None = None

    def states_the_same(self, other: Self) -> bool:
        """Whether the other is the same version with the same rates, whenever it was written."""
        return (self.version, self.rates) == (other.version, other.rates)


@dataclass(frozen=True)
class Rate:
    """`rate` is a decimal fraction as text, "0.2000". `jurisdiction` is the place whose tax it is: "GB", "US-CA"."""

    rate: str
    tax_class: str
    jurisdiction: str


class Rates(Protocol):
    def find(self, country: str, region: str | None, tax_class: str, day: date) -> Rate:
        """Raises NoTaxRate."""
        ...


# The table of a new shop: the United Kingdom's rates, and exports without tax. Staff replaces it.
FIRST = TaxTable(
    version=0,
    rates=tuple(
        TaxRate(country=country, tax_class=tax_class, rate=rate, valid_from=date(2011, 1, 4))
        for country, tax_class, rate in (
            ("GB", "standard", "0.2000"),
            ("GB", "reduced", "0.0500"),
            ("GB", "zero", "0.0000"),
            (None, "standard", "0.0000"),
            (None, "reduced", "0.0000"),
            (None, "zero", "0.0000"),
        )
    ),
)


def findings(rates: Iterable[TaxRate]) -> Iterator[tuple[int, str]]:
    """The places of rates that contradict the table, and why: two of one place and class from one day, and regions
    without their country.
    """
    seen: set[tuple[str | None, str | None, str, date]] = set()
    for number, rate in enumerate(rates):
        key = (*rate.place, rate.valid_from)
        if key in seen:
            yield number, f"another rate of this place and tax class begins on {rate.valid_from}"
        if rate.region and not rate.country:
            yield number, f"region {rate.region} has no country"
        seen.add(key)


def warnings(rates: Sequence[TaxRate], country: str, day: date) -> Iterator[tuple[str, str]]:
    """What a table leaves out on the day although most shops would not, with stable codes. `country` is the shop's."""
    if not rates:
        yield "no-rates", "The table has no rate: no order can be placed."
        return
    has_others = any(rate.country is None for rate in rates)
    if country not in {rate.country for rate in rates}:
        what = "orders there have the rates of all other countries" if has_others else "no order there can be placed"
        yield "own-country-missing", f"No rate names {country}, the shop's own country: {what}."
    if not has_others:
        yield (
            "no-other-countries",
            "The table has no rate for all other countries: no order to a country without a rate can be placed.",
        )
    places = sorted({rate.country for rate in rates}, key=lambda place: place or "~")  # None, all others, comes last
    taxed = {(rate.country, rate.tax_class) for rate in rates if not rate.region and rate.valid_from <= day}
    for tax_class in sorted({SHIPPING_CLASS} | {rate.tax_class for rate in rates}):
        if lacking := [place or "all other countries" for place in places if (place, tax_class) not in taxed]:
            more = f" and {len(lacking) - _TOLD} more" if len(lacking) > _TOLD else ""
            told = f"{tax_class} has no rate on {day} for the whole of {', '.join(lacking[:_TOLD])}{more}"
            lost = "such goods cannot be ordered"
            if tax_class == SHIPPING_CLASS:
                lost = "no order can be placed, since delivery has this class"
            yield "class-missing", f"{told}: where there is none, {lost}."


class TableOfRates:
    """`Rates` from a table. Built once per request, since a quote asks it for each line."""

    def __init__(self, table: TaxTable) -> None:
        self._by_place: dict[tuple[str | None, str | None, str], list[TaxRate]] = {}
        for rate in sorted(table.rates, key=lambda rate: rate.valid_from):
            self._by_place.setdefault(rate.place, []).append(rate)
        self._named = {rate.country for rate in table.rates if rate.country}

    def find(self, country: str, region: str | None, tax_class: str, day: date) -> Rate:
        """The region's rate, else the country's. A country that the table names nowhere has the rate of all others."""
        places: list[tuple[str | None, str | None, str]] = [(country, None, tax_class)]
        if region:
            places.insert(0, (country, region, tax_class))
        if country not in self._named:
            places.append((None, None, tax_class))
        for place in places:
            valid = [rate for rate in self._by_place.get(place, []) if rate.valid_from <= day]
            if valid:
                jurisdiction = f"{country}-{place[1]}" if place[1] else country
                return Rate(valid[-1].rate, tax_class, jurisdiction)
        where = f"{country}-{region}" if region else country
        taxed_so = f"delivery and {tax_class} goods" if tax_class == SHIPPING_CLASS else f"{tax_class} goods"
        raise NoTaxRate(f"There is no tax rate for {taxed_so} in {where}, so we cannot sell them there.")


@dataclass(frozen=True)
class Taxed:
    """An amount with its tax, in minor units."""

    amount: int
    tax: int


def taxed(
    items: Sequence[tuple[int, Rate]], *, inclusive: bool, rounding: Rounding, together: Sequence[str | None] = ()
) -> list[Taxed]:
    """What the buyer pays for each price, and the tax contained in it. `inclusive`: the prices contain it already.

    `together` names, for each price, the sum that it is rounded in, also by line: several discounts of one product.
    Rounded each for itself, they could take more than the product costs.
    """
    sums: dict[object, int] = {}
    found = []
    for place, (price, rate) in enumerate(items):
        name = together[place] if together else None
        key: object = rate if rounding is Rounding.ORDER else place if name is None else name
        before = sums.get(key, 0)
        sums[key] = before + price
        tax = _tax(before + price, rate, inclusive=inclusive) - _tax(before, rate, inclusive=inclusive)
        found.append(Taxed(price if inclusive else price + tax, tax))
    return found


def _tax(price: int, rate: Rate, *, inclusive: bool) -> int:
    units = int(Decimal(rate.rate) * _UNIT)
    return _round(price * units, _UNIT + units if inclusive else _UNIT)


def _round(numerator: int, denominator: int) -> int:
    """Half away from zero, so that a discount of a whole price takes its whole tax."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))
