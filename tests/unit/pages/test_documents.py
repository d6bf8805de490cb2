"""The links to an order's documents, and where they lead."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi


@pytest.mark.parametrize(("site", "path"), [("shop", "/documents/d-1"), ("desk", "/console/documents/d-1")])
def test_a_document_is_opened_at_the_address_that_the_api_gives(
    site: str, path: str, request: pytest.FixtureRequest
) -> None:
    ask: Ask = request.getfixturevalue(site)
    answer = ask("GET", path, as_user=True)
    assert (answer.status, answer.headers["Location"]) == (303, "url-1")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("site", "path", "link"),
    [
        ("shop", "/orders/o-1", "/documents/document_id-1"),
        ("desk", "/console/orders/o-1", "/console/documents/document_id-1"),
    ],
)
def test_the_orders_page_links_its_documents(site: str, path: str, link: str, request: pytest.FixtureRequest) -> None:
    ask: Ask = request.getfixturevalue(site)
    page = ask("GET", path, as_user=True).text
    assert link in page.replace("&#x2f;", "/")
    assert "number-1" in page


@pytest.mark.parametrize(
    ("typed", "series", "number"),
    [
        ("INV-2026-000017", "INV-2026", "17"),
        (" crn2026 17 ", "CRN-2026", "17"),
        ("CRN-2026", "CRN-2026", None),
    ],
)
def test_staff_finds_a_document_however_its_number_is_typed(
    api: ShopApi, desk: Ask, typed: str, series: str, number: str | None
) -> None:
    page = desk("GET", f"/console/documents?{urlencode({'number': typed})}", as_user=True)
    assert (page.status, "number-1" in page.text) == (200, True)
    [(_, _, asked, _, _)] = api.of("GET /api/ops/documents")
    query = parse_qs(urlsplit(asked).query)
    assert query["series"] == [series]
    assert query.get("number", [None]) == [number]


def test_what_is_no_number_is_told_at_its_field(desk: Ask) -> None:
    page = desk("GET", "/console/documents?number=17", as_user=True)
    assert "This is no number of a document, such as INV-2026-000017." in page.text
    assert "No document is like that." in page.text


def test_more_than_one_filter_is_told_as_the_api_tells_it(api: ShopApi, desk: Ask) -> None:
    api.refuse("GET /api/ops/documents", 422, "several-filters", "Documents are listed by one of three.")
    page = desk("GET", "/console/documents?order_id=o-1&day=2026-11-29", as_user=True)
    assert (page.status, "Documents are listed by one of three." in page.text) == (200, True)


def test_the_seller_is_shown_and_changed(api: ShopApi, desk: Ask) -> None:
    seller = {"name": "Mercato Ltd", "address": ["1 Quay", "Leith"], "tax_id": "GB 1", "registration": None}
    api.answers["GET /api/documents/seller"] = (200, {"version": 3, "seller": seller | {"email": None, "note": None}})
    page = desk("GET", "/console/seller", as_user=True).text
    assert 'name="version" value="3"' in page
    assert "1 Quay\nLeith</textarea>" in page

    api.answers["PUT /api/documents/seller"] = api.answers["GET /api/documents/seller"]
    form = {"version": "3", "name": "Mercato Ltd", "address": "1 Quay\r\n\r\nLeith ", "tax_id": "", "note": "Thanks."}
    assert desk("POST", "/console/seller", form, as_user=True).location == "/console/seller?said=seller"
    [(_, _, _, body, _)] = api.of("PUT /api/documents/seller")
    wanted = {"name": "Mercato Ltd", "address": ["1 Quay", "Leith"], "tax_id": None, "registration": None}
    assert body == {"version": 3, "seller": wanted | {"email": None, "note": "Thanks."}}


def test_a_seller_that_another_has_changed_is_told_and_what_was_typed_stays(api: ShopApi, desk: Ask) -> None:
    api.refuse("PUT /api/documents/seller", 409, "seller-changed", "Another request has changed the seller's data.")
    page = desk("POST", "/console/seller", {"version": "1", "name": "My shop"}, as_user=True)
    assert page.status == 409
    assert 'value="My shop"' in page.text
