"""The table of shipping rates over HTTP: staff's, versioned, replaced as a whole; and quotes from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipping.rates import RateTable
from shipping.store import RateTables
from tests.integration.shipping.conftest import Service
from tests.kit.overtaking import overtake

PATH, QUOTES = "/api/shipments/rates", "/api/shipments/quotes"
SERVICE: dict[str, Any] = {
    "carrier": "Royal Mail",
    "code": "tracked",
    "name": "Tracked 48",
    "days_from": 2,
    "days_to": 3,
    "bands": [
        {"from_grams": 0, "to_grams": 2000, "prices": [{"goods_from": 0, "amount": 410, "further_item": 0}]},
        {
            "from_grams": 2000,
            "to_grams": 20000,
            "prices": [
                {"goods_from": 0, "amount": 799, "further_item": 0},
                {"goods_from": 5000, "amount": 0, "further_item": 0},
            ],
        },
    ],
}
ZONE: dict[str, Any] = {"name": "Home", "countries": ["GB", "IE"], "regions": [], "services": [SERVICE]}


def put(service: Service, version: int, *zones: Any, role: str = "admin", currency: str = "GBP") -> tuple[int, Any]:
    body = json.dumps({"version": version, "currency": currency, "zones": zones})
    return service.call("PUT", PATH, body=body, user="boss", role=role)


def get(service: Service, query: dict[str, str] | None = None, role: str = "admin") -> tuple[int, Any]:
    return service.call("GET", PATH, user="boss", role=role, query=query)


def quote(service: Service, **parcel: Any) -> tuple[int, Any]:
    return service.call("POST", QUOTES, body=json.dumps({"country": "GB", "items": 1} | parcel))


def problem(answer: Any) -> str:
    return str(answer["type"]).rpartition(":")[2]


def test_a_new_shop_has_an_example_and_staff_replaces_it(service: Service) -> None:
    status, first = get(service)
    assert (status, first["version"], first["currency"], first["changed_at"]) == (200, 0, "GBP", None)
    assert [zone["name"] for zone in first["zones"]] == ["Domestic", "Europe", "World"]
    status, changed = put(service, 0, ZONE)
    message = "No zone has all other countries: no order to a country without a zone can be placed."
    table = {"version": 1, "currency": "GBP", "zones": [ZONE], "changed_at": "2026-11-22T12:00:00.000Z"}
    warnings = [{"code": "no-other-countries", "message": message}]
    assert (status, changed) == (200, table | {"warnings": warnings})
    assert get(service) == (200, changed)
    assert get(service, {"version": "0"}) == (200, first)


def test_the_next_quote_is_priced_by_the_new_table(service: Service) -> None:
    assert quote(service)[1]["version"] == 0
    put(service, 0, ZONE)
    goods = {"amount": 5000, "currency": "GBP"}
    assert quote(service, weight_grams=2001, goods=goods) == (
        200,
        {
            "quotes": [
                {
                    "carrier": "Royal Mail",
                    "service": "tracked",
                    "name": "Tracked 48",
                    "price": {"amount": 0, "currency": "GBP"},
                    "days_from": 2,
                    "days": 3,
                }
            ],
            "version": 1,
        },
    )


def test_a_parcel_that_cannot_be_sent_is_refused_by_its_own_error(service: Service) -> None:
    put(service, 0, ZONE)
    for parcel, slug, more in (
        ({"country": "FR"}, "no-rate-for-destination", {}),
        ({"weight_grams": 20001}, "parcel-too-heavy", {"max_grams": 20000}),
        ({"goods": {"amount": 1, "currency": "EUR"}}, "other-currency", {"currency": "GBP"}),
    ):
        status, answer = quote(service, **parcel)
        assert (status, problem(answer)) == (422, slug)
        assert answer.items() >= more.items()


@pytest.mark.parametrize(
    "bad",
    [
        {"weight_grams": -1},
        {"weight_grams": "1"},
        {"goods": {"amount": -1, "currency": "GBP"}},
        {"goods": {"amount": 1}},
        {"region": "alaska"},
    ],
)
def test_a_parcel_that_is_none_is_refused(service: Service, bad: Any) -> None:
    status, answer = quote(service, **bad)
    assert (status, problem(answer)) == (422, "invalid-request")


HOME, WORLD = ZONE, ZONE | {"name": "World", "countries": []}
AWAY = ZONE | {"name": "Away", "countries": ["FR"]}
PART = ZONE | {"name": "Part", "countries": [], "regions": ["US-AK"]}


@pytest.mark.parametrize(
    ("zones", "told"),
    [
        ([HOME, WORLD], []),
        ([WORLD], []),
        ([HOME], [("no-other-countries", "to a country without a zone")]),
        ([AWAY], [("own-country-missing", "No zone has GB"), ("no-other-countries", "")]),
        ([HOME, PART], [("countries-in-part", "Of US only some regions"), ("no-other-countries", "")]),
        ([PART | {"regions": ["GB-ENG"]}], [("countries-in-part", "Of GB only"), ("no-other-countries", "")]),
    ],
)
def test_what_a_table_leaves_out_is_told_and_the_table_is_in_force(
    service: Service, zones: list[dict[str, Any]], told: list[tuple[str, str]]
) -> None:
    status, stored = put(service, 0, *zones)
    assert (status, stored["version"]) == (200, 1)
    assert [one["code"] for one in stored["warnings"]] == [code for code, _ in told]
    assert [text for (_, text), one in zip(told, stored["warnings"], strict=True) if text not in one["message"]] == []
    assert get(service) == (200, stored)


def test_every_version_stays_readable(service: Service) -> None:
    for number in range(11):
        assert put(service, number, ZONE | {"name": f"Home {number}"})[0] == 200
    assert get(service)[1]["version"] == 11
    assert get(service, {"version": "3"})[1]["zones"][0]["name"] == "Home 2"
    status, answer = get(service, {"version": "12"})
    assert (status, problem(answer)) == (404, "rate-table-not-found")


def test_a_retry_changes_nothing_and_a_stale_change_is_refused(service: Service) -> None:
    first = put(service, 0, ZONE)
    service.pass_time(60)
    assert put(service, 0, ZONE) == first
    status, answer = put(service, 0, ZONE | {"name": "Other"})
    assert (status, problem(answer), answer["version"]) == (409, "rate-table-changed", 1)
    assert put(service, 5, ZONE)[0] == 409
    assert get(service)[1]["version"] == 1


def test_a_table_that_is_sent_twice_at_once_is_one_change(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    first = overtake(monkeypatch, RateTables, "current", lambda: put(service, 0, ZONE))
    assert put(service, 0, ZONE) == first[0]
    assert first[0][0] == 200


def test_of_two_changes_at_once_one_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request reads the table before the first one writes."""
    read = RateTables.current

    def overtaken(tables: RateTables) -> RateTable:
        found = read(tables)
        monkeypatch.setattr(RateTables, "current", read)
        assert put(service, 0, ZONE | {"name": "First"})[0] == 200
        return found

    monkeypatch.setattr(RateTables, "current", overtaken)
    status, answer = put(service, 0, ZONE)
    assert (status, problem(answer)) == (409, "rate-table-changed")
    assert get(service)[1]["zones"][0]["name"] == "First"


@pytest.mark.parametrize(
    ("zones", "field"),
    [
        ([], "zones"),
        ([ZONE | {"countries": ["XX"]}], "zones.0.countries.0"),
        ([ZONE | {"services": []}], "zones.0.services"),
        ([ZONE | {"services": [SERVICE | {"bands": []}]}], "zones.0.services.0.bands"),
        ([ZONE | {"services": [SERVICE | {"price": 1}]}], "zones.0.services.0.price"),
        ([ZONE | {"regions": ["Alaska"]}], "zones.0.regions.0"),
    ],
)
def test_a_table_of_another_form_is_refused_as_a_whole(service: Service, zones: list[Any], field: str) -> None:
    status, answer = put(service, 0, *zones)
    assert (status, problem(answer)) == (422, "invalid-request")
    assert [one["field"] for one in answer["errors"]] == [field]
    assert get(service)[1]["version"] == 0


def test_a_table_that_contradicts_itself_is_refused_with_every_finding(service: Service) -> None:
    bands = [SERVICE["bands"][0], SERVICE["bands"][1] | {"from_grams": 2001}]
    status, answer = put(
        service, 0, ZONE, ZONE | {"name": "Gap", "services": [SERVICE | {"bands": bands}]}, currency="EUR"
    )
    assert (status, problem(answer)) == (422, "invalid-rate-table")
    assert [one["field"] for one in answer["errors"]] == [
        "currency",
        "zones.1.countries.0",
        "zones.1.countries.1",
        "zones.1.services.0.bands.1.from_grams",
    ]
    assert get(service)[1]["version"] == 0


def test_only_staff_sees_and_changes_rates(service: Service) -> None:
    assert put(service, 0, ZONE, role="customer")[0] == 403
    assert get(service, role="customer")[0] == 403


def test_the_largest_table_that_a_request_may_hold_is_stored(service: Service) -> None:
    steps = [{"goods_from": step, "amount": 10**10 + step} for step in range(20)]
    wide = SERVICE | {"bands": [{"from_grams": 0, "to_grams": None, "prices": steps}]}
    zones = [
        ZONE | {"name": f"Zone {n}", "countries": [], "regions": [f"US-{n}"], "services": [wide] * 1}
        for n in range(100)
    ]
    status, answer = put(service, 0, *zones)
    assert status == 200, answer
    assert len(get(service)[1]["zones"]) == 100
