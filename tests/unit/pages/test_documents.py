"""The links to an order's documents, and where they lead."""

from __future__ import annotations

import pytest

from tests.unit.pages.conftest import Ask


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
