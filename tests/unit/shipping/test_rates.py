"""The table of rates: what prices a parcel, and the tables that contradict themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.money import Money
from shipping.rates import (
    MAX_GRAMS,
    MAX_ITEMS,
    NoRateForDestination,
    OtherCurrency,
    Parcel,
    ParcelTooHeavy,
    RateTable,
    Zone,
    findings,
    first_table,
    price_parcel,
)

FIRST = first_table("sandbox", "GBP")


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


def band(from_grams: int, to_grams: int | None, *steps: tuple[int, int]) -> dict[str, Any]:
    prices = [{"goods_from": goods_from, "amount": amount} for goods_from, amount in steps or ((0, 500),)]
    return {"from_grams": from_grams, "to_grams": to_grams, "prices": prices}


def service(*bands: Mapping[str, Any], code: str = "standard", **changes: Any) -> dict[str, Any]:
    named = {"carrier": "Royal Mail", "code": code, "name": code.title(), "days_from": 2, "days_to": 3}
    return named | {"bands": list(bands) or [band(0, None)]} | changes


def zone(*services: Mapping[str, Any], **places: list[str]) -> dict[str, Any]:
    return {"name": "A zone", "services": list(services) or [service()]} | places


def table(*zones: Mapping[str, Any]) -> RateTable:
    return RateTable.model_validate({"version": 1, "currency": "GBP", "zones": zones})


def prices(found: RateTable, parcel: Parcel) -> dict[str, int]:
    return {one.service: one.price.amount for one in price_parcel(found, parcel)}


@pytest.mark.parametrize(
    ("country", "items", "pence"),
    [
        ("GB", 1, [395, 695]),
        ("GB", 3, [495, 855]),
        ("FR", 1, [995, 1895]),
        ("NO", 2, [1145, 2145]),
        ("US", 1, [1795, 3495]),
        ("AQ", 2, [2145, 4045]),
        ("GB", 100_000, [5_000_345, 8_000_615]),
    ],
)
def test_a_new_shop_s_price_follows_the_zone_and_the_pieces(country: str, items: int, pence: list[int]) -> None:
    found = price_parcel(FIRST, Parcel(country, items, weight_grams=MAX_GRAMS))
    assert [one.price for one in found] == [pounds(amount) for amount in pence]
    assert [one.service for one in found] == ["standard", "express"]
    assert found[1].days < found[0].days


def test_a_new_shop_s_table_contradicts_nothing() -> None:
    assert list(findings(FIRST.zones, "GBP", "GBP")) == []


def test_a_region_s_zone_comes_before_its_country_s_and_both_before_all_others() -> None:
    found = table(
        zone(service(band(0, None, (0, 3)))),
        zone(service(band(0, None, (0, 2))), countries=["US"]) | {"name": "States"},
        zone(service(band(0, None, (0, 1))), regions=["US-AK", "CA-ON"]) | {"name": "Far"},
    )
    assert list(findings(found.zones, "GBP", "GBP")) == []
    asked = [("US", "AK"), ("US", "TX"), ("US", None), ("CA", "ON"), ("CA", "QC"), ("GB", None)]
    assert [prices(found, Parcel(country, 1, region))["standard"] for country, region in asked] == [1, 2, 2, 1, 3, 3]


def test_a_weight_of_a_band_s_end_is_in_the_band() -> None:
    found = table(zone(service(band(0, 1000, (0, 1)), band(1000, 2000, (0, 2)))))
    weights = (0, 1, 1000, 1001, 2000)
    assert [prices(found, Parcel("GB", 1, weight_grams=one))["standard"] for one in weights] == [1, 1, 1, 2, 2]


def test_delivery_is_free_from_the_step_that_costs_nothing_on() -> None:
    found = table(zone(service(band(0, None, (0, 395), (2000, 195), (5000, 0)))))
    values = (None, pounds(0), pounds(1999), pounds(2000), pounds(4999), pounds(5000))
    assert [prices(found, Parcel("GB", 9, goods=value))["standard"] for value in values] == [395, 395, 395, 195, 195, 0]


def test_a_service_that_does_not_take_the_weight_is_not_offered_and_where_none_does_the_limit_is_told() -> None:
    found = table(zone(service(band(0, 2000)), service(band(0, 20_000), code="freight")))
    assert list(prices(found, Parcel("GB", 1, weight_grams=2001))) == ["freight"]
    with pytest.raises(ParcelTooHeavy) as error:
        price_parcel(found, Parcel("GB", 1, weight_grams=20_001))
    assert error.value.extra == {"max_grams": 20_000}


def test_a_country_without_a_zone_and_goods_in_another_currency_are_refused() -> None:
    found = table(zone(countries=["GB"]))
    with pytest.raises(NoRateForDestination, match="US-AK"):
        price_parcel(found, Parcel("US", 1, "AK"))
    with pytest.raises(OtherCurrency):
        price_parcel(found, Parcel("GB", 1, goods=Money(amount=1, currency="EUR")))


@pytest.mark.parametrize(
    ("zones", "field", "said"),
    [
        ([zone(service(band(1, None)))], "bands.0.from_grams", "gap from 0 to 1"),
        ([zone(service(band(0, 1000), band(1001, None)))], "bands.1.from_grams", "gap from 1000 to 1001"),
        ([zone(service(band(0, 1000), band(999, None)))], "bands.1.from_grams", "overlap"),
        ([zone(service(band(0, None), band(1000, None)))], "bands.1.from_grams", "no limit"),
        ([zone(service(band(0, 1000), band(1000, 1000)))], "bands.1.to_grams", "more than 1000"),
        ([zone(service(band(0, None, (1, 5))))], "bands.0.prices.0.goods_from", "must be 0"),
        ([zone(service(band(0, None, (0, 5), (9, 4), (9, 3))))], "bands.0.prices.2.goods_from", "more than 9"),
        ([zone(service(days_from=4, days_to=3))], "days_to", "4 or more"),
    ],
)
def test_a_service_that_contradicts_itself_is_found_at_its_place(
    zones: list[dict[str, Any]], field: str, said: str
) -> None:
    ((found, message),) = findings([Zone.model_validate(one) for one in zones], "GBP", "GBP")
    assert found == f"zones.0.services.0.{field}"
    assert said in message


def test_every_finding_of_a_table_is_told_at_its_place() -> None:
    zones = [
        zone(countries=["GB", "FR"]) | {"name": "Home"},
        zone(service(), service(), countries=["IE", "FR", "IE"], regions=["US-AK", "XX-1", "US-AK"]),
        zone() | {"name": "World"},
        zone(),
    ]
    found = dict(findings([Zone.model_validate(one) for one in zones], "EUR", "GBP"))
    assert list(found) == [
        "currency",
        "zones.1.countries.1",
        "zones.1.countries.2",
        "zones.1.regions.1",
        "zones.1.regions.2",
        "zones.1.services.1.code",
        "zones.3.name",
        "zones.3.countries",
    ]
    assert found["zones.1.countries.1"] == "FR is in zone Home already"


@st.composite
def tables(draw: st.DrawFn) -> RateTable:
    """A table without contradictions, of one zone: bands that follow each other, and steps that rise."""
    ends = sorted(draw(st.sets(st.integers(1, MAX_GRAMS), min_size=1, max_size=6)))
    last: int | None = None if draw(st.booleans()) else ends[-1]
    amounts = st.integers(0, 10**10)
    bands = [
        band(
            start,
            end,
            *(
                (0, draw(amounts)),
                *((step, draw(amounts)) for step in sorted(draw(st.sets(st.integers(1, 10**12), max_size=4)))),
            ),
        )
        for start, end in zip([0, *ends[:-1]], [*ends[:-1], last], strict=True)
    ]
    return table(zone(service(*bands)))


@given(tables(), st.integers(0, MAX_GRAMS), st.integers(1, MAX_ITEMS), st.integers(0, 10**12))
def test_a_table_without_findings_has_one_price_for_each_parcel_or_says_that_it_is_too_heavy(
    found: RateTable, grams: int, items: int, value: int
) -> None:
    assert list(findings(found.zones, "GBP", "GBP")) == []
    bands = found.zones[0].services[0].bands
    fitting = [
        one
        for one in bands
        if (one.from_grams < grams or one.from_grams == grams == 0) and grams <= (one.to_grams or grams)
    ]
    parcel = Parcel("GB", items, weight_grams=grams, goods=pounds(value))
    if not fitting:
        with pytest.raises(ParcelTooHeavy):
            price_parcel(found, parcel)
        return
    (one,) = fitting
    steps = [step.amount for step in one.prices if step.goods_from <= value]
    assert prices(found, parcel) == {"standard": steps[-1]}
