"""The console's tables of rates and taxes: as text and back, and what a page shows of a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.taxes import FIRST
from console.rate_text import read_rates, write_rates
from console.table_text import changes
from console.tax_text import read_taxes, row_of, write_taxes
from shipping.rates import first_table
from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi

HEADER = "zone,places,service,carrier,name,days,grams,goods_from,price,further_item"
HOME = f"{HEADER}\nHome,GB US-AK,std,Royal Mail,Standard,2 to 3,0 to 2000,0,3.95,0.50\n,,,,,,over 2000,0,7.95,\n"
RATES: dict[str, Any] = {"changed_at": None, **first_table("sandbox", "GBP").model_dump(mode="json")}
TAXES: dict[str, Any] = {"changed_at": None, **FIRST.model_dump(mode="json")}
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)


def price(goods_from: int, amount: int, further_item: int = 0) -> dict[str, int]:
    return {"goods_from": goods_from, "amount": amount, "further_item": further_item}


@st.composite
def rates(draw: st.DrawFn) -> dict[str, Any]:
    """A table as the API answers it, in a currency of no, two or three decimals."""

    def service(code: str) -> dict[str, Any]:
        ends = sorted(draw(st.sets(st.integers(1, 10**6), min_size=1, max_size=3)))
        last = draw(st.sampled_from([None, ends[-1]]))
        bands = [
            {
                "from_grams": start,
                "to_grams": end,
                "prices": [price(step, *draw(st.tuples(*[st.integers(0, 10**6)] * 2))) for step in steps],
            }
            for start, end in zip([0, *ends[:-1]], [*ends[:-1], last], strict=True)
            for steps in [[0, *sorted(draw(st.sets(st.integers(1, 10**6), max_size=2)))]]
        ]
        days = sorted(draw(st.tuples(st.integers(0, 9), st.integers(0, 9))))
        named = {"carrier": draw(NAMES), "code": code, "name": draw(NAMES), "days_from": days[0], "days_to": days[1]}
        return named | {"bands": bands}

    zones = [
        {
            "name": name,
            "countries": ["GB", "FR"] if number else [],
            "regions": draw(st.sampled_from([[], ["US-AK", "US-HI"]])),
            "services": [service(code) for code in ("standard", "express")[: draw(st.integers(1, 2))]],
        }
        for number, name in enumerate(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    ]
    return {"version": 1, "currency": draw(st.sampled_from(["GBP", "JPY", "KWD"])), "zones": zones}


@given(rates())
def test_rates_are_the_same_after_a_way_through_text(table: dict[str, Any]) -> None:
    typed = read_rates(write_rates(table), table)
    assert typed.wrong == {}
    assert typed.body == {"currency": table["currency"], "zones": table["zones"]}


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_a_table_that_was_copied_from_a_spreadsheet_is_read(separator: str) -> None:
    assert read_rates(HOME.replace(",", separator), RATES).body == read_rates(HOME, RATES).body


def test_the_examples_of_a_new_shop_are_the_same_after_a_way_through_text() -> None:
    assert read_rates(write_rates(RATES), RATES).body["zones"] == RATES["zones"]
    assert read_taxes(write_taxes(TAXES), TAXES).body == {"rates": TAXES["rates"]}


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("3.95,0.50", "3.955,0.50", 2, "decimals of GBP"),
        ("3.95,0.50", ",0.50", 2, "is not an amount"),
        ("0 to 2000", "light", 2, "Grams are"),
        ("over 2000", "2000+", 3, "Grams are"),
        ("2 to 3", "soon", 2, "Days are"),
        ("2 to 3", "3 to 2", 2, "the smaller one first"),
        ("over 2000,0,", "0 to 2000,0.00,", 3, "more than 0.00 GBP"),
        ("GB US-AK", "", 2, "names its places"),
        (",,,,,,over", ",FR,,,,,over", 3, "other places in line 2"),
        (",,,,,,over", ",,,DHL,,,over", 3, "another carrier in line 2"),
        (",0,7.95,", ",0,7.95,,,", 3, "12 cells in 10 columns"),
        ("zone,places", "zone,area", 1, "names the columns"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_line(before: str, after: str, line: int, said: str) -> None:
    typed = read_rates(HOME.replace(before, after, 1), RATES)
    assert list(typed.wrong) == [line]
    assert said in typed.wrong[line]


def test_the_lines_of_a_zone_whose_first_one_cannot_be_split_are_not_told_to_lack_its_places() -> None:
    typed = read_rates(HOME.replace("3.95,0.50", "3,95,0.50", 1), RATES)
    assert list(typed.wrong) == [2]


@pytest.mark.parametrize(
    "bad",
    [
        "GB,standard,twenty,2011-01-04",
        "GB,standard,20.00001,2011-01-04",
        "GB,standard,100.0001,2011-01-04",
        "GB,standard,20,tomorrow",
        ",standard,20,2011-01-04",
    ],
)
def test_a_tax_rate_that_cannot_be_read_is_told_at_its_line(bad: str) -> None:
    typed = read_taxes(f"place,tax_class,percent,valid_from\nFR,standard,20 %,2014-01-01\n{bad}\n", TAXES)
    assert list(typed.wrong) == [3]


@pytest.mark.parametrize(
    ("typed", "rate", "shown"),
    [
        ("20", "0.2000", "20"),
        ("20 %", "0.2000", "20"),
        ("7.25", "0.0725", "7.25"),
        ("8.875", "0.08875", "8.875"),
        ("8.8750", "0.08875", "8.875"),
        ("4.7123%", "0.047123", "4.7123"),
        ("100.0000", "1.0000", "100"),
        ("0", "0.0000", "0"),
    ],
)
def test_a_tax_rate_is_sent_in_its_one_form_and_shown_as_a_percentage(typed: str, rate: str, shown: str) -> None:
    found = read_taxes(f"place,tax_class,percent,valid_from\nUS-NY,standard,{typed},2026-01-01\n", TAXES)
    assert not found.wrong
    [sent] = found.body["rates"]
    assert sent["rate"] == rate
    assert row_of(sent)["percent"] == shown


def test_the_differences_of_two_tables_are_the_lines_that_went_and_came() -> None:
    found = changes("a\nb\nc\n", "a\nB\nc\nd\n")
    assert [(one["sign"], one["text"]) for one in found] == [("-", "b"), ("+", "B"), ("+", "d")]


def versions(api: ShopApi, tables: dict[str, Any]) -> None:
    """Answers each version of the tax table; "" is the current one."""
    api.answers["GET /api/checkouts/taxes"] = lambda: (200, tables[api.asked[-1][2].partition("?version=")[2]])


def test_the_rates_are_shown_by_zone_and_say_that_they_are_an_example(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/shipments/rates"] = (200, RATES)
    text = desk("GET", "/console/rates", as_user=True).text
    for seen in (
        "the example of a new shop",
        "<h2>Domestic</h2>",
        "All other countries",
        "2 to 3",
        "17.95",
        "further_item is 0",
    ):
        assert seen in text


def test_a_change_is_sent_as_the_api_takes_it(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/shipments/rates"] = (200, RATES)
    answer = desk("POST", "/console/rates", {"text": HOME, "version": "0"}, as_user=True)
    assert answer.location == "/console/rates?said=changed"
    ((_, _, _, body, _),) = api.of("PUT /api/shipments/rates")
    bands = [
        {"from_grams": 0, "to_grams": 2000, "prices": [price(0, 395, 50)]},
        {"from_grams": 2000, "to_grams": None, "prices": [price(0, 795)]},
    ]
    service = {"carrier": "Royal Mail", "code": "std", "name": "Standard", "days_from": 2, "days_to": 3, "bands": bands}
    zone = {"name": "Home", "countries": ["GB"], "regions": ["US-AK"], "services": [service]}
    assert body == {"version": 0, "currency": "GBP", "zones": [zone]}


def test_what_the_api_finds_wrong_is_told_at_its_line_and_what_was_typed_stays(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/shipments/rates"] = (200, RATES)
    errors = [
        {"field": "zones.0.services.0.bands.1.from_grams", "message": "must be 2000: there is a gap"},
        {"field": "zones.0.countries.0", "message": "GB is in zone Home already"},
        {"field": "zones.0.regions.0", "message": "must be another"},
        {"field": "currency", "message": "must be GBP"},
    ]
    api.refuse("PUT /api/shipments/rates", 422, "invalid-rate-table", errors=errors)
    page = desk("POST", "/console/rates", {"text": HOME, "version": "0"}, as_user=True)
    assert page.status == 422
    for seen in ('id="line-3"', ">grams: must be 2000: there is a gap.", 'id="line-2"', "currency: must be GBP."):
        assert seen in page.text
    assert ">GB is in zone Home already. US-AK must be another.<" in page.text
    assert "Home,GB US-AK,std" in page.text


def test_a_change_that_came_too_late_shows_both_differences(api: ShopApi, desk: Ask) -> None:
    dearer = write_taxes(TAXES).replace(",20,", ",25,", 1)
    theirs = {"version": 4, "changed_at": "2026-11-28T12:00:00.000Z", "rates": read_taxes(dearer, TAXES).body["rates"]}
    versions(api, {"": theirs, "4": theirs, "3": TAXES | {"version": 3}})
    api.refuse("PUT /api/checkouts/taxes", 409, "tax-table-changed", "They are at version 4, not 3.", version=4)
    typed = write_taxes(TAXES).replace(",5,", ",6,", 1)
    page = desk("POST", "/console/taxes", {"text": typed, "version": "3"}, as_user=True)
    assert page.status == 409
    assert "They are at version 4" not in page.text
    for seen in (
        "Another operator has changed it meanwhile, so",
        'name="version" value="4"',
        "<ins>+ GB,standard,25,2011-01-04</ins>",
    ):
        assert seen in page.text
    assert "<ins>+ GB,reduced,6,2011-01-04</ins>" in page.text


def test_an_earlier_version_is_shown_with_what_it_changed_and_can_be_brought_back(api: ShopApi, desk: Ask) -> None:
    versions(api, {"": TAXES | {"version": 7}, "3": TAXES | {"version": 3}, "2": TAXES | {"version": 2, "rates": []}})
    page = desk("GET", "/console/taxes?version=3", as_user=True).text
    for seen in ("Bring version 3 back", 'name="version" value="7"', "version=2", "version=4", "<ins>+ GB,standard,20"):
        assert seen in page


@pytest.mark.parametrize("address", ["/console/rates", "/console/taxes"])
def test_who_may_not_change_tables_does_not_see_them(api: ShopApi, desk: Ask, address: str) -> None:
    name = "shipments/rates" if "rates" in address else "checkouts/taxes"
    api.refuse(f"GET /api/{name}", 403, "forbidden", "Staff only.")
    page = desk("GET", address, as_user=True)
    assert page.status == 403
    assert "<textarea" not in page.text


def test_what_the_table_in_force_leaves_out_is_shown_and_of_an_earlier_version_nothing(api: ShopApi, desk: Ask) -> None:
    told = [{"code": "no-other-countries", "message": "No zone has <all> others."}]
    api.answers["GET /api/shipments/rates"] = (200, RATES | {"version": 2, "warnings": told})
    page = desk("GET", "/console/rates?said=changed", as_user=True).text
    assert "What this table leaves out" in page
    assert "No zone has &lt;all&gt; others.</p>" in page
    leaving: tuple[dict[str, Any], ...] = ({"warnings": []}, {})
    for found in leaving:  # the latter by the release before
        api.answers["GET /api/shipments/rates"] = (200, RATES | {"version": 2} | found)
        assert "leaves out" not in desk("GET", "/console/rates", as_user=True).text
    tables = iter([RATES | {"version": 2}, RATES | {"version": 1, "warnings": told}])
    api.answers["GET /api/shipments/rates"] = lambda: (200, next(tables, RATES))
    assert "leaves out" not in desk("GET", "/console/rates?version=1", as_user=True).text
