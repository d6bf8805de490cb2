"""What sending a parcel costs: a table of rates by zone, weight and value of the goods. Pure.

The table is data, which staff replaces as a whole.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from mercato.countries import CODES, Country
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound
from mercato.money import MAX_AMOUNT, Currency, Money
from mercato.text import TOKEN, Exact, Text

MAX_ITEMS = 100_000
# Of one piece: products.domain.WeightGrams.
MAX_GRAMS = 1_000_000 * MAX_ITEMS
# So that no price of MAX_ITEMS is more than MAX_AMOUNT.
_MAX_PRICE, _MAX_FURTHER = MAX_AMOUNT // 10, 9 * MAX_AMOUNT // (10 * MAX_ITEMS)
_SOME_NAME = Text(60)


class RateTableChanged(Conflict):
    """Another request has changed the table since the version that this one names."""


class RateTableNotFound(NotFound):
    """The table of shipping rates has no such version."""


class InvalidRateTable(Invalid):
    """The table contradicts itself. `errors` has each finding."""


class NoRateForDestination(Invalid):
    """No zone of the table has the destination."""


class ParcelTooHeavy(Invalid):
    """The parcel weighs more than the heaviest band of each service to its destination. `max_grams` is that weight."""


class OtherCurrency(Invalid):
    """The goods have another currency than the rates."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Price(_Value):
    """The price for goods of the value `goods_from` or more, in minor units. An `amount` of 0 is free delivery from
    that value on. The value is that of the catalogue's prices, before discounts. `further_item` is added for each piece
    after the first.
    """

    goods_from: Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT, examples=[0])]
    amount: Annotated[int, Field(strict=True, ge=0, le=_MAX_PRICE, examples=[395])]
    further_item: Annotated[int, Field(strict=True, ge=0, le=_MAX_FURTHER, examples=[50])] = 0


class Band(_Value):
    """Parcels of more than `from_grams` and at most `to_grams`. The first band begins at 0, and has parcels without a
    weight too. A last band without `to_grams` has no limit.
    """

    from_grams: Annotated[int, Field(strict=True, ge=0, le=MAX_GRAMS, examples=[0])]
    to_grams: Annotated[int, Field(strict=True, ge=1, le=MAX_GRAMS, examples=[2000])] | None = None
    prices: Annotated[list[Price], Field(min_length=1, max_length=20)]


class Service(_Value):
    """A delivery service. `code` is what a buyer chooses, and is unique in its zone."""

    carrier: Annotated[str, _SOME_NAME, Field(examples=["Royal Mail"])]
    code: Annotated[str, Exact(), Field(min_length=1, max_length=64, pattern=TOKEN, examples=["standard"])]
    name: Annotated[str, _SOME_NAME, Field(examples=["Standard"])]
    days_from: Annotated[int, Field(strict=True, ge=0, le=365, examples=[2])]
    days_to: Annotated[int, Field(strict=True, ge=0, le=365, examples=[3])]
    bands: Annotated[list[Band], Field(min_length=1, max_length=30)]


class Zone(_Value):
    """Countries, and regions of countries as "US-AK". A region's zone comes before its country's. A zone without either
    has all other countries.
    """

    name: Annotated[str, _SOME_NAME, Field(examples=["Domestic"])]
    countries: Annotated[list[Country], Field(max_length=300)] = []
    regions: Annotated[
        list[Annotated[str, Exact(), Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,6}$", examples=["US-AK"])]],
        Field(max_length=500),
    ] = []
    services: Annotated[list[Service], Field(min_length=1, max_length=20)]


class RateTable(_Value):
    """All rates. Prices are in `currency`, the shop's. `changed_at` is None for the table of a new shop."""

    version: int
    currency: Currency
    zones: tuple[Zone, ...]
    changed_at: datetime | None = None

    def states_the_same(self, other: Self) -> bool:
        """Whether the other is the same version with the same rates, whenever it was written."""
        return (self.version, self.currency, self.zones) == (other.version, other.currency, other.zones)


@dataclass(frozen=True)
class Parcel:
    """What is sent, and where to. `goods` is its value; None where the caller does not know it."""

    country: str
    items: int
    region: str | None = None
    weight_grams: int = 0
    goods: Money | None = None


@dataclass(frozen=True)
class Quote:
    carrier: str
    service: str
    name: str
    price: Money
    days_from: int
    days: int


def price_parcel(table: RateTable, parcel: Parcel) -> list[Quote]:
    """The services that take the parcel, the cheapest first. Raises OtherCurrency, NoRateForDestination and
    ParcelTooHeavy.
    """
    if parcel.goods and parcel.goods.currency != table.currency:
        raise OtherCurrency(
            f"This shop ships in {table.currency}, not in {parcel.goods.currency}.", currency=table.currency
        )
    zone = _zone_of(table.zones, parcel)
    if zone is None:
        where = f"{parcel.country}-{parcel.region}" if parcel.region else parcel.country
        raise NoRateForDestination(f"We do not deliver to {where}.")
    found = [
        Quote(service.carrier, service.code, service.name, price, service.days_from, service.days_to)
        for service in zone.services
        if (price := _price_of(service, parcel, table.currency))
    ]
    if not found:
        heaviest = max(service.bands[-1].to_grams or 0 for service in zone.services)
        raise ParcelTooHeavy(
            f"These goods weigh {parcel.weight_grams} grams, and we send at most {heaviest} there. "
            "Please order in parts.",
            max_grams=heaviest,
        )
    return sorted(found, key=lambda one: one.price.amount)


def _zone_of(zones: Sequence[Zone], parcel: Parcel) -> Zone | None:
    region = f"{parcel.country}-{parcel.region}"
    rules = (
        lambda zone: region in zone.regions,
        lambda zone: parcel.country in zone.countries,
        _has_all_others,
    )
    return next((zone for rule in rules for zone in zones if rule(zone)), None)


def _has_all_others(zone: Zone) -> bool:
    return not zone.countries and not zone.regions


def _price_of(service: Service, parcel: Parcel, currency: str) -> Money | None:
    """None where the parcel is too heavy for the service."""
    band = next((one for one in service.bands if one.to_grams is None or parcel.weight_grams <= one.to_grams), None)
    if band is None:
        return None
    value = parcel.goods.amount if parcel.goods else 0
    price = [one for one in band.prices if one.goods_from <= value][-1]
    return Money(amount=price.amount + price.further_item * (parcel.items - 1), currency=currency)


def findings(zones: Sequence[Zone], currency: str, shop_currency: str) -> Iterator[tuple[str, str]]:
    """Where a table contradicts itself or the shop, and why."""
    if currency != shop_currency:
        yield "currency", f"must be {shop_currency}, the shop's currency"
    places: dict[str, str] = {}  # the name of each place's zone
    names: set[str] = set()
    others: str | None = None
    for number, zone in enumerate(zones):
        path = f"zones.{number}"
        if zone.name in names:
            yield f"{path}.name", f"{zone.name} is a zone already"
        names.add(zone.name)
        for kind, named in (("countries", zone.countries), ("regions", zone.regions)):
            for at, place in enumerate(named):
                if place[:2] not in CODES:
                    yield f"{path}.{kind}.{at}", f"{place[:2]} is not an ISO 3166-1 alpha-2 code, such as GB"
                elif place in places:
                    yield f"{path}.{kind}.{at}", f"{place} is in zone {places[place]} already"
                places.setdefault(place, zone.name)
        if _has_all_others(zone):
            if others is not None:
                yield f"{path}.countries", f"zone {others} has all other countries already"
            others = others or zone.name
        yield from _of_services(path, zone.services)


def _of_services(path: str, services: Sequence[Service]) -> Iterator[tuple[str, str]]:
    codes: set[str] = set()
    for number, service in enumerate(services):
        at = f"{path}.services.{number}"
        if service.code in codes:
            yield f"{at}.code", f"{service.code} is in this zone already"
        codes.add(service.code)
        if service.days_to < service.days_from:
            yield f"{at}.days_to", f"must be {service.days_from} or more, as days_from is"
        yield from _of_bands(at, service.bands)


def _of_bands(path: str, bands: Sequence[Band]) -> Iterator[tuple[str, str]]:
    end: int | None = 0
    for number, band in enumerate(bands):
        at = f"{path}.bands.{number}"
        if end is None:
            yield f"{at}.from_grams", "the band before has no limit, so no band can follow it"
        elif band.from_grams > end:
            yield f"{at}.from_grams", f"must be {end}: there is a gap from {end} to {band.from_grams} grams"
        elif band.from_grams < end:
            yield f"{at}.from_grams", f"must be {end}: the band before goes as far as that, and bands may not overlap"
        if band.to_grams is not None and band.to_grams <= band.from_grams:
            yield f"{at}.to_grams", f"must be more than {band.from_grams}, as from_grams is"
        end = band.to_grams
        if band.prices[0].goods_from != 0:
            yield f"{at}.prices.0.goods_from", "must be 0, so that goods of any value have a price"
        for place, (before, after) in enumerate(pairwise(band.prices), 1):
            if after.goods_from <= before.goods_from:
                yield f"{at}.prices.{place}.goods_from", f"must be more than {before.goods_from}, the one before"


def warnings(zones: Sequence[Zone], country: str) -> Iterator[tuple[str, str]]:
    """What a table leaves out although most shops would not, by a stable code. `country` is the shop's own."""
    if any(_has_all_others(zone) for zone in zones):
        return
    countries = {place for zone in zones for place in zone.countries}
    partly = {place[:2] for zone in zones for place in zone.regions} - countries
    if country not in countries | partly:
        yield "own-country-missing", f"No zone has {country}, the shop's own country: no order there can be placed."
    if partly:
        yield (
            "countries-in-part",
            f"Of {', '.join(sorted(partly))} only some regions have a zone: no order to another region can be placed.",
        )
    yield "no-other-countries", "No zone has all other countries: no order to a country without a zone can be placed."


# fmt: off
_EUROPE = [
    "AD", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "SM", "VA",
]
# fmt: on


def first_table(carrier: str, currency: str) -> RateTable:
    """The table of a new shop, an example: by the number of pieces, whatever they weigh. Staff replaces it."""

    def service(code: str, amount: int, further_item: int, days: tuple[int, int]) -> Service:
        price = Price(goods_from=0, amount=amount, further_item=further_item)
        bands = [Band(from_grams=0, prices=[price])]
        return Service(
            carrier=carrier, code=code, name=code.capitalize(), days_from=days[0], days_to=days[1], bands=bands
        )

    def zone(name: str, countries: list[str], *services: Service) -> Zone:
        return Zone(name=name, countries=countries, services=list(services))

    zones = (
        zone("Domestic", ["GB"], service("standard", 395, 50, (2, 3)), service("express", 695, 80, (1, 1))),
        zone("Europe", _EUROPE, service("standard", 995, 150, (4, 6)), service("express", 1895, 250, (2, 3))),
        zone("World", [], service("standard", 1795, 350, (7, 12)), service("express", 3495, 550, (3, 5))),
    )
    return RateTable(version=0, currency=currency, zones=zones)
