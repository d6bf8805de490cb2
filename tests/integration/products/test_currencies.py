"""Products of a shop whose currency has no decimals, or three: through the API and by import."""

from __future__ import annotations

import pytest

from tests.integration.products.conftest import ProductsService

CASES = [("JPY", "1250", 1250, "12.50"), ("KWD", "1.250", 1250, "1.2505")]


@pytest.fixture(autouse=True)
def sells_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURRENCY", request.node.callspec.params["currency"])


@pytest.mark.parametrize(("currency", "text", "amount", "too_fine"), CASES)
def test_a_price_is_in_the_shop_s_currency(
    service: ProductsService, currency: str, text: str, amount: int, too_fine: str
) -> None:
    body = {"sku": "A-1", "name": "Good", "price": {"amount": amount, "currency": currency}}
    status, made = service.call("POST", "", body)
    assert (status, made["price"]) == (201, {"amount": amount, "currency": currency})
    status, answer = service.call("POST", "", body | {"sku": "A-2", "price": {"amount": amount, "currency": "GBP"}})
    assert (status, answer["type"]) == (422, "urn:mercato:problem:invalid-price")


@pytest.mark.parametrize(("currency", "text", "amount", "too_fine"), CASES)
def test_a_file_has_prices_in_major_units_with_the_currency_s_decimals(
    service: ProductsService, currency: str, text: str, amount: int, too_fine: str
) -> None:
    rows = [f"A-1,Good,{text},{currency}", f"A-2,Too fine,{too_fine},{currency}", f"A-3,Pounds,{text},GBP"]
    status, report = service.call("POST", "/imports", "\n".join(["sku,name,price,currency", *rows]))
    assert (status, [one["sku"] for one in report["products"]]) == (201, ["A-1"])
    assert [(one["line"], one["column"]) for one in report["refused"]] == [(3, "price"), (4, "currency")]
    listed = service.call("GET", "", role=None)[1]["items"]
    assert [one["price"] for one in listed] == [{"amount": amount, "currency": currency}]
