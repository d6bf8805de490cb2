"""The request and response bodies of quotes and rates."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field

from mercato.clock import rfc3339
from mercato.countries import Country
from mercato.http import Body, Query, View
from mercato.money import MAX_AMOUNT, Currency, Money
from mercato.text import Exact
from shipping.rates import MAX_GRAMS, MAX_ITEMS, Parcel, Quote, RateTable, Zone, warnings

Version = Annotated[int, Field(ge=0, le=2**31 - 1)]


class GoodsValue(Body):
    amount: Annotated[int, Field(ge=0, le=MAX_AMOUNT, examples=[1250])]
    currency: Currency


class QuoteRequest(Body):
    """`weight_grams` is that of all items together. `goods` is their value in the catalogue's prices,
    before discounts; rates may depend on it.
    """

    country: Country
    region: Annotated[str, Exact(), Field(pattern=r"^[A-Z0-9]{1,6}$", examples=["CA"])] | None = None
    items: Annotated[int, Field(ge=1, le=MAX_ITEMS)]
    weight_grams: Annotated[int, Field(ge=0, le=MAX_GRAMS)] = 0
    goods: GoodsValue | None = None

    def as_parcel(self) -> Parcel:
        goods = Money(**dict(self.goods)) if self.goods else None
        return Parcel(self.country, self.items, self.region, self.weight_grams, goods)


class QuoteView(View):
    """`service` is the code of the service. It takes `days_from` to `days` days."""

    carrier: str
    service: str
    name: str
    price: Money
    days_from: int
    days: int


class Quotes(View):
    """`version` is that of the table of rates."""

    quotes: list[QuoteView]
    version: int

    @classmethod
    def of(cls, quotes: Iterable[Quote], version: int) -> Self:
        return cls(quotes=[QuoteView(**vars(one)) for one in quotes], version=version)


class RatesQuery(Query):
    """Without a `version`, the current table."""

    version: Version | None = None


class ChangeRates(Body):
    """`version` is the version of the table that these rates replace. `currency` is the shop's."""

    version: Version
    currency: Currency
    zones: Annotated[list[Zone], Field(min_length=1, max_length=100)]


class RatesWarning(View):
    """What the table leaves out although most shops would not. `code` is stable, `message` is for staff."""

    code: str
    message: str


class RateTableView(View):
    """`changed_at` is null for the table of a new shop, which is an example. A table with `warnings` is in force as any
    other one.
    """

    version: int
    currency: Currency
    zones: list[Zone]
    changed_at: str | None
    warnings: list[RatesWarning]

    @classmethod
    def of(cls, table: RateTable, country: str) -> Self:
        """`country` is the shop's own."""
        return cls(
            version=table.version,
            currency=table.currency,
            zones=list(table.zones),
            changed_at=rfc3339(table.changed_at) if table.changed_at else None,
            warnings=[RatesWarning(code=code, message=said) for code, said in warnings(table.zones, country)],
        )
