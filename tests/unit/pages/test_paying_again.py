"""The order's page where the order waits for its buyer, and the sandbox's bank."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import Any

import pytest

from mercato.clock import rfc3339, utc_now
from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

ORDER, CHARGE = "0a1b2c3d-0000-5000-8000-000000000001", "ch_1"
KEY = "key-of-the-form"


@pytest.fixture
def waits(api: ShopApi) -> Any:
    """Has the order wait. `action` is what the API says of the bank."""

    def wait(state: str, action: dict[str, str] | None = None, minutes: int = 12) -> None:
        _, order = answer_of_the_contract("GET", f"/api/orders/{ORDER}")
        payment = {
            "state": state,
            "action": action,
            "attempts": 1,
            "until": rfc3339(utc_now() + timedelta(minutes=minutes)),
            "reason": "card_declined",
            "detail": "Your bank declined the card.",
        }
        order |= {"order_id": ORDER, "status": "pending", "payment": payment}
        api.answers[f"GET /api/orders/{ORDER}"] = (200, order)

    return wait


def test_a_declined_order_says_how_long_it_can_be_paid_and_takes_another_card(
    shop: Ask, api: ShopApi, waits: Any
) -> None:
    waits("declined")
    page = shop("GET", f"/orders/{ORDER}", as_user=True).text
    assert "Your bank declined the card." in page
    assert "12 more minutes" in page
    assert "hx-trigger" not in page.partition('id="status"')[2].partition(">")[0]
    api.answers[f"POST /api/orders/{ORDER}/payments"] = (202, {"order_id": ORDER})
    answer = shop("POST", f"/orders/{ORDER}/payments", {"payment_token": "tok_ok", "key": KEY}, as_user=True)
    assert (answer.status, answer.location) == (303, f"/orders/{ORDER}?said=paying")
    [(_, _, _, body, _)] = api.of(f"POST /api/orders/{ORDER}/payments")
    assert body == {"payment_token": "tok_ok"}


def test_the_banks_question_leads_to_the_banks_page_and_back_to_the_order(shop: Ask, api: ShopApi, waits: Any) -> None:
    waits("action_required", {"url": f"/bank/{CHARGE}", "client_secret": ""})
    bank = f"/orders/{ORDER}/bank/{CHARGE}"
    assert f'href="{bank}"' in html.unescape(shop("GET", f"/orders/{ORDER}", as_user=True).text)
    assert "Confirm the payment" in shop("GET", bank, as_user=True).text
    assert {method for _, method, *_ in api.asked} == {"GET"}
    api.answers[f"POST /api/payments/sandbox/challenges/{CHARGE}"] = (204, None)
    answer = shop("POST", bank, {"outcome": "confirmed"}, as_user=True)
    assert (answer.status, answer.location) == (303, f"/orders/{ORDER}?said=confirmed")


@pytest.mark.parametrize("url", ["https://evil.example/bank/1", "//evil.example", "/bank/../../evil", "javascript:1"])
def test_a_page_of_another_site_is_not_led_to(shop: Ask, waits: Any, url: str) -> None:
    waits("action_required", {"url": url, "client_secret": ""})
    page = shop("GET", f"/orders/{ORDER}", as_user=True).text
    assert f'href="{url}' not in page
    assert "evil.example" not in page


@pytest.mark.parametrize("order", ["%2F%2Fevil.example", "..%2Faccount"])
def test_the_bank_leads_back_to_an_order_and_nowhere_else(shop: Ask, order: str) -> None:
    answer = shop("POST", f"/orders/{order}/bank/{CHARGE}", {"outcome": "confirmed"}, as_user=True)
    assert answer.status == 404 or (answer.location.startswith("/orders/") and answer.location.count("/") == 2)


def test_a_page_that_is_only_looked_at_sends_nothing(shop: Ask, api: ShopApi, waits: Any) -> None:
    waits("processing")
    page = shop("GET", f"/orders/{ORDER}?said=confirmed", as_user=True).text
    assert "We are asking your bank." in page
    assert "Use another card" not in page
    assert {method for _, method, *_ in api.asked} == {"GET"}


def test_a_time_that_is_over_asks_for_nothing(shop: Ask, waits: Any) -> None:
    waits("declined", minutes=-1)
    page = shop("GET", f"/orders/{ORDER}", as_user=True).text
    assert "Pay with another card" not in page
    assert "The time to pay is over" in page


def test_without_a_card_nothing_is_sent(shop: Ask, api: ShopApi, waits: Any) -> None:
    waits("declined")
    answer = shop("POST", f"/orders/{ORDER}/payments", {"key": KEY}, as_user=True)
    assert (answer.status, "Please say how you pay." in answer.text) == (422, True)
    assert 'aria-describedby="payment_token-error"' in answer.text
    assert api.of(f"POST /api/orders/{ORDER}/payments") == []


@pytest.mark.parametrize(
    ("said", "state", "is_told"),
    [
        ("paying", "processing", True),
        ("paying", "action_required", False),
        ("confirmed", "action_required", True),
        ("confirmed", "declined", False),
        ("placed", "declined", True),
    ],
)
def test_what_was_said_of_the_bank_is_not_said_once_it_has_answered(
    shop: Ask, waits: Any, said: str, state: str, is_told: bool
) -> None:
    waits(state)
    assert ("Thank you" in shop("GET", f"/orders/{ORDER}?said={said}", as_user=True).text) is is_told


@pytest.mark.parametrize("said", ["paying", "confirmed"])
def test_of_an_order_that_went_on_the_bank_is_not_asked_any_more(shop: Ask, api: ShopApi, said: str) -> None:
    _, order = answer_of_the_contract("GET", f"/api/orders/{ORDER}")
    api.answers[f"GET /api/orders/{ORDER}"] = (200, order | {"status": "delivered", "payment": None})
    assert (
        "asking your bank." not in shop("GET", f"/orders/{ORDER}?said={said}", as_user=True).text.partition("<h1>")[0]
    )
