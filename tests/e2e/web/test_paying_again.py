"""A buyer whose card is declined, or whose bank asks, pays on the order's page."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from infra.operator.client import Session, Shop
from infra.operator.target import Account
from tests.e2e.web.conftest import Desk, OpenDesk
from tests.e2e.web.test_storefront import LONG, fill_address, go_to_totals


@pytest.fixture
def account(shop: Shop) -> Account:
    found = Account(f"{uuid.uuid4()}@example.com", uuid.uuid4().hex)
    shop.register(found.email, found.password, "Carla Customer")
    return found


def order(shop: Desk, card: str) -> Page:
    page = go_to_totals(shop, "folding", "Folding Chart")
    page.get_by_label(card).check()
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/orders/*")
    return page


def test_a_guest_whose_card_is_declined_pays_by_the_link_with_one_whose_bank_asks(desk: OpenDesk) -> None:
    shop = desk(viewport={"width": 390, "height": 844})
    page = shop.open("/?q=folding")
    page.get_by_role("button", name="Add Folding Chart to cart").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_label("E-mail").fill(f"{uuid.uuid4()}@example.com")
    fill_address(page)
    page.get_by_role("button", name="Choose the delivery").click()
    page.get_by_label("A card that the bank declines").check()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", name="Pay with another card")).to_be_visible(timeout=LONG)
    assert shop.violations() == []
    page.get_by_label("A card whose bank asks you to confirm").check()
    page.get_by_role("button", name="Pay £").click()
    page.get_by_role("link", name="Confirm with your bank").click(timeout=LONG)
    page.get_by_role("button", name="Confirm the payment").click()
    page.wait_for_url("**/guest-order?said=confirmed")
    expect(page.locator("#status .status").first).to_contain_text("delivered", timeout=LONG)


def test_a_declined_card_is_followed_by_another_one_on_the_orders_page(desk: OpenDesk, account: Account) -> None:
    shop = desk()
    shop.log_in(account)
    page = order(shop, "A card that the bank declines")
    expect(page.locator("#payment")).to_contain_text("Your bank declined the card.", timeout=LONG)
    expect(page.locator("#payment")).to_contain_text("minutes")
    page.get_by_role("link", name="Use another card").click()
    expect(page.get_by_role("heading", name="Pay with another card")).to_be_visible()
    assert shop.violations() == []
    page.get_by_label("A good card").check()
    page.get_by_role("button", name="Pay £").dblclick()
    expect(page.locator("#status .status").first).to_contain_text("delivered", timeout=LONG)


def test_the_bank_asks_and_the_order_goes_on_when_the_buyer_comes_back(
    desk: OpenDesk, account: Account, admin: Session
) -> None:
    shop = desk(viewport={"width": 390, "height": 844}, color_scheme="dark")
    shop.log_in(account)
    page = order(shop, "A card whose bank asks you to confirm")
    to_bank = page.get_by_role("link", name="Confirm with your bank")
    expect(to_bank).to_be_visible(timeout=LONG)
    to_bank.focus()
    for _ in range(2):  # the page has looked again, and again after it has shown the first answer
        with page.expect_response(lambda response: "/status" in response.url):
            pass
    expect(to_bank).to_be_focused()
    to_bank.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your bank asks")
    assert shop.violations() == []
    page.get_by_role("button", name="Confirm the payment").click()
    page.wait_for_url("**/orders/*?said=confirmed")
    expect(page.locator("#status .status").first).to_contain_text("delivered", timeout=LONG)
    order_id = page.url.rpartition("/")[2].partition("?")[0]
    (payment,) = admin.get("/payments", order_id=order_id)["items"]
    assert (payment["status"], payment["attempts"]) == ("captured", 1)
