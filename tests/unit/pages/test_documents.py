"""The links to an order's documents, and where they lead."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract


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
        ("re-000017", "RE", "17"),
        ("R2-2026-17", "R2-2026", "17"),
        ("RE2026-000017", "RE2026", "17"),
        ("RE-17", "RE", "17"),
        ("RE", "RE", None),
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


def test_what_the_api_keeps_of_a_seller_can_be_sent_again(api: ShopApi, desk: Ask) -> None:
    """Where it is as long as it may be, of which the ends of its lines count once."""
    note = "\n".join(["n" * 49] * 10)
    api.answers["PUT /api/documents/seller"] = answer_of_the_contract("GET", "/api/documents/seller")
    form = {"version": "3", "name": "n" * 120, "tax_id": "t" * 80, "registration": "r" * 80, "email": "", "address": ""}
    answer = desk("POST", "/console/seller", form | {"note": note.replace("\n", "\r\n")}, as_user=True)
    assert answer.status == 303
    [(_, _, _, body, _)] = api.of("PUT /api/documents/seller")
    assert body["seller"]["note"] == note


def test_a_seller_that_another_has_changed_is_told_and_what_was_typed_stays(api: ShopApi, desk: Ask) -> None:
    api.refuse("PUT /api/documents/seller", 409, "seller-changed", "Another request has changed the seller's data.")
    page = desk("POST", "/console/seller", {"version": "1", "name": "My shop"}, as_user=True)
    assert page.status == 409
    assert 'value="My shop"' in page.text


def test_what_another_operator_made_of_the_seller_stands_beside_what_was_typed(api: ShopApi, desk: Ask) -> None:
    seller = {"name": "Their shop", "address": ["1 Quay", "Leith"], "tax_id": "GB 1", "registration": None}
    api.answers["GET /api/documents/seller"] = (200, {"version": 4, "seller": seller | {"email": None, "note": None}})
    api.refuse("PUT /api/documents/seller", 409, "seller-changed", "Another request has changed the seller's data.")
    typed = {"version": "3", "name": "My shop", "address": "1 Quay\r\nLeith", "tax_id": "", "note": "Thanks."}

    text = desk("POST", "/console/seller", typed, as_user=True).text

    assert 'value="My shop"' in text
    assert re.findall(r"It is now: <ins>([^<]*)<", text) == ["Their shop", "GB 1", "nothing"]
    assert 'name="version" value="4"' in text


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("address", "\r\n".join("abcdefg"), "This may have at most 6 lines."),
        ("address", f"1 Quay\r\n{'x' * 121}", "A line may have at most 120 characters"),
        ("note", "x" * 501, "This may have at most 500 characters."),
    ],
)
def test_what_is_wrong_with_the_seller_is_told_at_its_field(desk: Ask, field: str, typed: str, said: str) -> None:
    page = desk("POST", "/console/seller", {"version": "1", "name": "My shop", field: typed}, as_user=True)

    assert page.status == 422
    assert f'id="{field}-error">{said}' in page.text
    assert f'href="#{field}">{"Address" if field == "address" else "Note below the sums"}<' in page.text
    assert f"{typed.splitlines()[-1]}</textarea>" in page.text


def test_a_wrong_e_mail_address_of_the_seller_is_told_at_its_field(api: ShopApi, desk: Ask) -> None:
    api.refuse("PUT /api/documents/seller", 422, "invalid-email", "This is not an e-mail address.")
    form = {"version": "1", "name": "My shop", "email": "shop@flowers"}
    page = desk("POST", "/console/seller", form, as_user=True)
    assert page.status == 422
    assert 'id="email-error">This is not an e-mail address.' in page.text
    assert 'value="shop@flowers"' in page.text


@pytest.mark.parametrize("prefix", ["1NV", "IN-V", "", "ABCDEFGHIJK"])
def test_what_is_no_prefix_is_told_in_words(api: ShopApi, desk: Ask, prefix: str) -> None:
    page = desk("POST", "/console/numbering", _TYPED | {"invoice_prefix": prefix}, as_user=True)

    assert page.status == 422
    assert 'id="invoice_prefix-error">A prefix has up to ten letters and digits, the first a letter' in page.text
    assert api.of("PUT /api/documents/numbering") == []


def test_a_number_that_can_be_read_in_two_ways_is_looked_for_in_each(api: ShopApi, desk: Ask) -> None:
    found = answer_of_the_contract("GET", "/api/ops/documents")
    answers = iter([(200, {"items": [], "next_cursor": None}), found])
    api.answers["GET /api/ops/documents"] = lambda: next(answers)
    page = desk("GET", "/console/documents?number=RE2026-000017", as_user=True).text
    asked = [parse_qs(urlsplit(path).query)["series"] for _, _, path, _, _ in api.of("GET /api/ops/documents")]
    assert asked == [["RE2026"], ["RE-2026"]]
    assert 'value="RE-2026-000017"' in page, "the next page is asked for by what was found"


def test_the_numbering_is_shown_and_changed(api: ShopApi, desk: Ask) -> None:
    now = {"invoice_prefix": "RE", "credit_note_prefix": "GU", "counting": "continuous"}
    told = {"version": 2, "numbering": now, "invoice_series": "RE", "credit_note_series": "GU"}
    api.answers["GET /api/documents/numbering"] = api.answers["PUT /api/documents/numbering"] = (200, told)
    page = desk("GET", "/console/seller", as_user=True).text
    assert 'name="numbering_version" value="2"' in page
    assert "<code>RE</code>" in page
    assert '<option value="continuous" selected>' in page

    form = {"numbering_version": "2", "invoice_prefix": "r ", "credit_note_prefix": "G", "counting": "yearly"}
    assert desk("POST", "/console/numbering", form, as_user=True).location == "/console/seller?said=numbering"
    [(_, _, _, body, _)] = api.of("PUT /api/documents/numbering")
    wanted = {"invoice_prefix": "R", "credit_note_prefix": "G", "counting": "yearly"}
    assert body == {"version": 2, "numbering": wanted}


_TYPED = {"numbering_version": "1", "invoice_prefix": "CRN", "credit_note_prefix": "G", "counting": "continuous"}


def test_a_prefix_that_is_refused_is_told_at_its_field_and_what_was_typed_stays(api: ShopApi, desk: Ask) -> None:
    errors = [{"field": "numbering.invoice_prefix", "message": "belongs to credit notes, now or before"}]
    api.refuse("PUT /api/documents/numbering", 422, "prefix-taken", "Not shared.", errors=errors)
    page = desk("POST", "/console/numbering", _TYPED, as_user=True)
    assert page.status == 422
    assert 'id="invoice_prefix-error">This belongs to credit notes, now or before.' in page.text
    assert 'value="CRN"' in page.text
    assert '<option value="continuous" selected>' in page.text


def test_what_another_operator_made_of_the_numbering_stands_beside_what_was_typed(api: ShopApi, desk: Ask) -> None:
    theirs = {"invoice_prefix": "RE", "credit_note_prefix": "G", "counting": "yearly"}
    series = {"invoice_series": "RE-2026", "credit_note_series": "G-2026"}
    api.answers["GET /api/documents/numbering"] = (200, {"version": 2, "numbering": theirs} | series)
    api.refuse("PUT /api/documents/numbering", 409, "numbering-changed", "Another request has changed it.")
    page = desk("POST", "/console/numbering", _TYPED, as_user=True)
    assert page.status == 409
    assert re.findall(r"It is now: <ins>([^<]*)<", page.text) == ["RE", "yearly"]
    assert 'name="numbering_version" value="2"' in page.text
    assert 'value="CRN"' in page.text


def test_a_numbering_that_another_has_changed_is_told(api: ShopApi, desk: Ask) -> None:
    said = "Another request has changed how documents are numbered."
    api.refuse("PUT /api/documents/numbering", 409, "numbering-changed", said)
    page = desk("POST", "/console/numbering", _TYPED, as_user=True)
    assert (page.status, said in page.text, 'value="CRN"' in page.text) == (409, True, True)


def test_without_the_numbering_the_seller_can_still_be_changed(api: ShopApi, desk: Ask) -> None:
    api.refuse("GET /api/documents/numbering", 404, "document-not-found", "There is no such document.")
    page = desk("GET", "/console/seller", as_user=True)
    assert page.status == 200
    assert "Change the seller" in page.text
    assert "Change the numbers" not in page.text
