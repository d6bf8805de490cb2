"""The table of tax rates over HTTP: staff's, versioned, replaced as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from checkout.store import TaxTables
from tests.integration.checkout.conftest import Desk
from tests.integration.checkout.test_sessions import problem
from tests.kit.overtaking import overtake

GB: dict[str, Any] = {
    "country": "GB",
    "region": None,
    "tax_class": "standard",
    "rate": "0.2500",
    "valid_from": "2026-01-01",
}
NO_OTHERS = "The table has no rate for all other countries: no order to a country without a rate can be placed."


def put(desk: Desk, version: int, *rates: dict[str, Any]) -> tuple[int, Any]:
    return desk.call("PUT", "/taxes", {"version": version, "rates": list(rates)}, role="admin")


def get(desk: Desk, query: dict[str, str] | None = None) -> tuple[int, Any]:
    return desk.call("GET", "/taxes", role="admin", query=query)


def test_a_new_shop_has_the_first_table_and_staff_replaces_it(desk: Desk) -> None:
    status, first = get(desk)
    assert (status, first["version"]) == (200, 0)
    assert {(one["country"], one["tax_class"], one["rate"]) for one in first["rates"]} >= {("GB", "standard", "0.2000")}
    changed = {"version": 1, "rates": [GB], "changed_at": "2026-11-22T12:00:00.000Z"}
    changed["warnings"] = [{"code": "no-other-countries", "message": NO_OTHERS}]
    assert first["changed_at"] is None
    assert put(desk, 0, GB) == (200, changed)
    assert get(desk) == (200, changed)
    assert get(desk, {"version": "0"}) == (200, first)


REST = GB | {"country": None, "rate": "0.0000"}
FR, REDUCED = GB | {"country": "FR"}, {"tax_class": "reduced"}


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ([], [("no-rates", "no order can be placed")]),
        ([GB, REST], []),
        ([GB], [("no-other-countries", NO_OTHERS)]),
        ([FR, REST], [("own-country-missing", "orders there have the rates of all other countries")]),
        (
            [FR],
            [
                ("own-country-missing", "GB, the shop's own country: no order there can be placed"),
                ("no-other-countries", ""),
            ],
        ),
        ([GB, REST, GB | REDUCED], [("class-missing", "reduced has no rate on 2026-11-22 for the whole of all other")]),
        ([GB, REST, FR | REDUCED, REST | REDUCED], [("class-missing", "of GB:"), ("class-missing", "standard")]),
        (
            [GB | {"tax_class": "normal"}, REST | {"tax_class": "normal"}],
            [("class-missing", "standard has no rate on 2026-11-22 for the whole of GB, all other countries")],
        ),
        ([GB | {"valid_from": "2027-01-01"}, REST], [("class-missing", "for the whole of GB:")]),
        ([GB | {"region": "ENG"}, REST], [("class-missing", "for the whole of GB:")]),
        (
            [GB, REST, *(FR | REDUCED | {"country": one} for one in ("AT", "BE", "DE", "ES", "FI", "IE", "IT"))],
            [("class-missing", "GB, all other countries:"), ("class-missing", "AT, BE, DE, ES, FI and 2 more:")],
        ),
    ],
)
def test_what_a_table_leaves_out_is_told_and_the_table_is_in_force(
    desk: Desk, rates: list[dict[str, Any]], told: list[tuple[str, str]]
) -> None:
    status, stored = put(desk, 0, *rates)
    assert (status, stored["version"]) == (200, 1)
    assert [one["code"] for one in stored["warnings"]] == [code for code, _ in told]
    assert [text for (_, text), one in zip(told, stored["warnings"], strict=True) if text not in one["message"]] == []
    assert get(desk) == (200, stored)


def test_every_version_stays_readable(desk: Desk) -> None:
    for number in range(11):
        assert put(desk, number, GB | {"rate": f"0.{number:04d}"})[0] == 200
    assert get(desk)[1]["version"] == 11
    assert get(desk, {"version": "3"})[1]["rates"][0]["rate"] == "0.0002"
    status, answer = get(desk, {"version": "12"})
    assert (status, problem(answer)) == (404, "tax-table-not-found")


def test_a_retry_changes_nothing_and_a_stale_change_is_refused(desk: Desk) -> None:
    first = put(desk, 0, GB)
    desk.wait(minutes=1)
    assert put(desk, 0, GB) == first
    status, answer = put(desk, 0, GB | {"rate": "0.1000"})
    assert (status, problem(answer), answer["version"]) == (409, "tax-table-changed", 1)
    assert put(desk, 5, GB)[0] == 409
    assert get(desk)[1]["version"] == 1


def test_a_table_that_is_sent_twice_at_once_is_one_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = overtake(monkeypatch, TaxTables, "current", lambda: put(desk, 0, GB))
    assert put(desk, 0, GB) == first[0]
    assert first[0][0] == 200


@pytest.mark.parametrize(
    "bad",
    [
        {"rate": "20"},
        {"rate": "0.2"},
        {"country": "XX"},
        {"tax_class": "Standard"},
        {"valid_from": "2026-13-01"},
        {"valid_from": 20260101},
        {"country": None, "region": "CA"},
        {"name": "VAT"},
    ],
)
def test_a_table_with_an_invalid_rate_is_refused_as_a_whole(desk: Desk, bad: dict[str, Any]) -> None:
    assert put(desk, 0, GB, GB | {"tax_class": "reduced"} | bad)[0] == 422
    assert get(desk)[1]["version"] == 0


def test_two_rates_that_begin_on_one_day_are_refused(desk: Desk) -> None:
    status, answer = put(desk, 0, GB, GB | {"rate": "0.1000"})
    assert (status, problem(answer)) == (422, "invalid-tax-table")


def test_only_staff_sees_and_changes_rates(desk: Desk) -> None:
    assert desk.call("PUT", "/taxes", {"version": 0, "rates": [GB]})[0] == 403
    assert desk.call("GET", "/taxes")[0] == 403


def test_a_region_that_is_typed_by_its_name_has_its_own_rate(desk: Desk) -> None:
    state = {"country": "US", "region": "CA", "tax_class": "standard", "rate": "0.0725", "valid_from": "2026-01-01"}
    assert put(desk, 0, GB, state, state | {"region": None, "rate": "0.0000"})[0] == 200
    desk.peers.rates["US"] = {"standard": 995}
    home = {"name": "Ada", "line1": "1 Loop", "city": "Cupertino", "postcode": "95014", "country": "US"}
    found = {
        region: desk.open(key=region, shipping_address=home | {"region": region})["charges"][0]
        for region in ("california", "Texas")
    }
    assert [(one["rate"], one["jurisdiction"]) for one in found.values()] == [("0.0725", "US-CA"), ("0.0000", "US")]
