"""Every page of both sites, rendered by MiniJinja and by Jinja2 with values of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest

import console.site
import storefront.site
from pages import view
from storefront.art import still_life
from tests.kit.template import ROOT
from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import CONTRACT, ShopApi, answer_of_the_contract

FOLDERS = {
    "shop": ROOT / "functions/storefront/storefront/templates",
    "desk": ROOT / "functions/console/console/templates",
    "": ROOT / "layers/pages/pages/templates",
}
PAGES = [
    *(
        ("shop", path)
        for method, path in storefront.site.pages.paths
        if method == "GET" and "{name}" not in path and "/documents/" not in path
    ),
    *(
        ("desk", path)
        for method, path in console.site.pages.paths
        if method == "GET" and "{name}" not in path and "/documents/" not in path and not path.endswith(".csv")
    ),
]
PICTURE = {"id": "i", "state": "ready", "alt": "", "url": "/media/i/d-640.webp", "width": 640, "height": 480}
FRAGMENTS = ("count.html", "status.html", "rows.html")
TEMPLATES = [path for folder in FOLDERS.values() for path in sorted(folder.glob("*.html"))]


class Outline(HTMLParser):
    """A page's structure: its tags, and the texts of its headings and title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def by_jinja2(folder: Path, name: str, values: Mapping[str, Any], constants: Mapping[str, str]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDERS[""]]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**view.FILTERS, "still_life": still_life}
    environment.globals |= {**view.FUNCTIONS, **constants}
    return environment.get_template(name).render(**values)


def squeezed(text: str) -> str:
    """The two engines escape `/` and quotes in attributes in different, equivalent ways."""
    for one, other in (("&#x2f;", "/"), ("&#39;", "&#x27;"), ("&#34;", "&quot;")):
        text = text.replace(one, other)
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("site", "path"), PAGES)
def test_a_page_is_the_same_by_both_engines_and_whole(
    site: str, path: str, api: ShopApi, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[tuple[str, Mapping[str, Any], Mapping[str, str]]] = []
    render = view.Templates.render

    def record(self: view.Templates, name: str, values: Mapping[str, Any]) -> str:
        rendered.append((name, values, self._constants))
        return render(self, name, values)

    monkeypatch.setattr(view.Templates, "render", record)
    ask: Ask = request.getfixturevalue(site)
    cookies = {"/cart/merge": ["__Host-cart=guest-1"], "/guest-order": ["__Host-order=token"]}

    address = re.sub(r"\{\w+\}", "id-1", path.replace("{return_id}", "return_id-1"))  # which the order has
    held = cookies.get(path.removesuffix("/status").removesuffix("/bank/{charge_id}"), [])
    answer = ask("GET", address, as_user=True, cookies=held)

    assert answer.status == 200, answer.text[:2000]
    [(name, values, constants)] = rendered
    assert squeezed(by_jinja2(FOLDERS[site], name, values, constants)) == squeezed(answer.text)
    assert "an.access.token" not in answer.text
    outline = Outline(answer.text)
    assert not any(attribute == "style" or attribute.startswith("on") for attribute, _ in outline.attributes)
    if name not in FRAGMENTS:
        assert outline.tags.count("h1") == 1
        assert outline.tags.count("title") == 1
        assert ("lang", "en") in outline.attributes


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_no_template_lets_a_value_through_unescaped(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape", text)
    assert not re.search(r"<script(?! src=)", text)
    assert not re.search(r"javascript:|\bon[a-z]+=\"", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_a_part_that_asks_for_itself_says_what_a_refusal_does(path: Path) -> None:
    """Without it, htmx puts the page of the error into the part, and the part asks no more."""
    for asking in re.split(r"hx-(?:get|post)=", path.read_text())[1:]:
        attributes = asking.partition(">")[0].partition("{% endmacro")[0]
        assert "hx-status:5xx=" in attributes, attributes
        assert "hx-status:4xx=" in attributes or "hx-status:429=" in attributes, attributes


@pytest.mark.parametrize(("endpoint", "is_linked"), [("", True), ("http://localhost:4566", False)])
def test_the_overview_leads_to_the_dashboard_where_there_is_one(
    api: ShopApi, desk: Ask, monkeypatch: pytest.MonkeyPatch, endpoint: str, is_linked: bool
) -> None:
    for name, value in {"NAMESPACE": "mercato-prod", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    address = (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/mercato-prod"
    )
    text = desk("GET", "/console", as_user=True).text
    assert (f'href="{address}"'.replace("/", "&#x2f;") in text or f'href="{address}"' in text) is is_linked


def availabilities() -> list[str]:
    view = CONTRACT["components"]["schemas"]["products.ProductView"]["properties"]["availability"]
    names: list[str] = CONTRACT["components"]["schemas"][view["$ref"].rpartition("/")[2]]["enum"]
    return names


@pytest.mark.parametrize("availability", availabilities())
def test_stock_is_told_in_words_and_what_is_sold_out_cannot_be_added(
    api: ShopApi, shop: Ask, desk: Ask, availability: str
) -> None:
    words = {"in_stock": "in stock", "low": "few left", "out": "sold out"}[availability]
    product = answer_of_the_contract("GET", "/api/products/p1")[1] | {"availability": availability, "related": []}
    api.answers["GET /api/products/p1"] = (200, product)
    api.answers["GET /api/products"] = (200, {"items": [product], "next_cursor": None, "facets": {"category": []}})
    for address in ("/", "/p/p1"):
        text = shop("GET", address).text
        assert words in text
        assert ('action="/cart/lines"' in text) is (availability != "out")
    assert "unknown" not in desk("GET", "/console/catalogue", as_user=True).text


def test_a_script_in_a_name_is_text(api: ShopApi, shop: Ask) -> None:
    name = "<script>alert(1)</script>"
    product = {
        "product_id": "p1",
        "sku": '"><img src=x onerror=alert(1)>',
        "name": name,
        "description": name,
        "category": name,
        "price": {"amount": 100, "currency": "GBP"},
        "availability": name,
        "status": "active",
        "weight_grams": 0,
        "version": 1,
        "images": [PICTURE | {"alt": name, "variants": [PICTURE | {"url": '/media/x"><script>alert(1)</script>'}]}],
        "related": [],
    }
    api.answers["GET /api/products/p1"] = (200, product)
    api.answers["GET /api/products"] = (
        200,
        {"items": [product], "next_cursor": name, "facets": {"category": [{"value": name, "count": 1}]}},
    )

    for address in ("/", "/p/p1", f"/?q={name.replace('/', '%2F')}&category=x&sort=%3Cscript%3E&min=%3Cb%3E"):
        text = shop("GET", address).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_a_template_in_a_name_is_text(api: ShopApi, shop: Ask) -> None:
    text = shop("GET", "/?q=%7B%7B7777*7%7D%7D").text
    assert "{{7777*7}}" in text
    assert "54439" not in text


def test_the_name_of_a_field_in_the_list_of_problems_is_that_of_its_label() -> None:
    called: dict[str, list[str]] = {}
    for path in TEMPLATES:
        found = re.findall(r'field\((?:prefix ~ )?"(\w+)", "([^"]+)"|<label for="(\w+)">([^<{]+)', path.read_text())
        for name, words, other_name, other_words in found:
            called.setdefault(name or other_name, []).append(words or other_words)
    assert len(called) > 40
    wrong = {
        name: (view.label(name), labels)
        for name, labels in called.items()
        if not any(label.startswith(view.label(name)) for label in labels)
    }
    assert wrong == {}
    assert view.label("billing_line1") == "Address of the invoice"
