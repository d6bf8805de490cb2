"""Customers and guests ask for text messages in a real browser, and get them. The local cloud keeps the messages."""

from __future__ import annotations

import secrets
import uuid

import pytest
from playwright.sync_api import Page, expect

from infra.operator.client import Shop, poll
from infra.operator.target import Account, State
from tests.e2e.client import HTTP
from tests.e2e.web.conftest import PATIENCE, OpenDesk
from tests.e2e.web.test_storefront import fill_address, go_to_totals

LONG = 3 * PATIENCE


@pytest.fixture
def number() -> str:
    """A number that no other test writes to, as people write it."""
    return f"+44 20 7946 {secrets.randbelow(9000) + 1000}{secrets.randbelow(90) + 10}"


def texts_to(shop_state: State, number: str, least: int) -> list[str]:
    def look() -> list[str]:
        found = HTTP.get(f"{shop_state.endpoint}/_ministack/sms/messages", timeout=10).json()["messages"]
        return [one["Body"] for one in found if one["To"] == number.replace(" ", "")]

    return poll(look, lambda found: len(found) >= least, what=f"{least} text messages", within=90)


def keep(page: Page) -> None:
    page.get_by_role("button", name="Keep").click()


def test_a_customer_switches_text_messages_on_in_their_column(
    desk: OpenDesk, shop: Shop, shop_state: State, number: str
) -> None:
    account = Account(f"{uuid.uuid4()}@example.com", uuid.uuid4().hex)
    shop.register(account.email, account.password, "Carla Customer")
    for options in ({}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}):
        visitor = desk(**options)
        visitor.log_in(account)
        page = visitor.open("/notices")
        expect(page.get_by_role("columnheader", name="Text message")).to_be_visible()
        assert visitor.violations() == []
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    leaves = page.get_by_label("Text messages about orders that are on their way")
    arrives = page.get_by_label("Text messages about orders that have arrived")
    expect(leaves).not_to_be_checked()
    expect(page.get_by_label("Text messages about products that are back in stock")).to_have_count(0)

    leaves.check()
    page.get_by_label("Phone number for text messages").fill("020 7946 0958")
    keep(page)
    expect(page.locator("main")).to_contain_text("Write the phone number with its country code")
    visitor.said.clear()  # Chromium notes the 422
    page.get_by_label("Phone number for text messages").fill(number)
    leaves.check()
    keep(page)
    expect(page.get_by_text("Your switches are kept.")).to_be_visible()
    expect(page.get_by_label("Phone number for text messages")).to_have_value(number.replace(" ", ""))
    expect(leaves).to_be_checked()
    expect(arrives).not_to_be_checked()

    page = go_to_totals(visitor, "heather", "Heather Honey")
    expect(page.get_by_label("Tell me by text message")).to_have_count(0)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator("#status .status").first).to_contain_text("delivered", timeout=LONG)
    [body] = texts_to(shop_state, number, 1)
    assert "is on its way" in body


def test_a_guest_asks_for_text_messages_in_the_checkout_and_ends_them_on_the_order_s_page(
    desk: OpenDesk, shop_state: State, number: str
) -> None:
    visitor = desk(viewport={"width": 390, "height": 844})
    page = visitor.open("/?q=heather")
    page.get_by_role("button", name="Add Heather Honey to cart").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_label("E-mail").fill(f"{uuid.uuid4()}@example.com")
    fill_address(page)
    page.get_by_role("button", name="Choose the delivery").click()
    expect(page.locator("#totals")).to_contain_text("Delivery, standard")
    box = page.get_by_label("Tell me by text message")
    expect(box).not_to_be_checked()
    assert visitor.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box.check()
    page.get_by_label("Phone number for text messages").fill("020 7946 0958")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_label("Phone number for text messages")).to_have_attribute("aria-invalid", "true")
    expect(box).to_be_checked()
    visitor.said.clear()  # Chromium notes the 422
    page.get_by_label("Phone number for text messages").fill(number)
    page.get_by_label("Express").check()
    expect(page.locator("#totals")).to_contain_text("Delivery, express")
    expect(page.get_by_label("Phone number for text messages")).to_have_value(number)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".note-info")).to_contain_text("Your order is placed. We mail you a link to it.")
    expect(page.locator("#status .status").first).to_contain_text("delivered", timeout=LONG)
    bodies = texts_to(shop_state, number, 2)
    assert sorted("is on its way" in body for body in bodies) == [False, True]

    page.get_by_text("Mails and text messages about this order").click()
    leaves = page.get_by_label("Text messages about a parcel that is on its way")
    expect(leaves).to_be_checked()
    assert visitor.violations() == []
    leaves.uncheck()
    page.get_by_label("Text messages about a parcel that has arrived").uncheck()
    page.get_by_label("Phone number for text messages").fill("")
    keep(page)
    expect(page.get_by_text("Your switches are kept.")).to_be_visible()
    page.get_by_text("Mails and text messages about this order").click()
    expect(page.get_by_label("Phone number for text messages")).to_have_value("")
    expect(leaves).not_to_be_checked()


def test_without_script_a_guest_keeps_the_tick_and_the_number_while_another_delivery_is_chosen(
    desk: OpenDesk, shop_state: State, number: str
) -> None:
    page = desk(java_script_enabled=False, color_scheme="dark").open("/?q=bicycle")
    page.get_by_role("button", name="Add Bicycle Bell to cart").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_label("E-mail").fill(f"{uuid.uuid4()}@example.com")
    fill_address(page)
    page.get_by_role("button", name="Choose the delivery").click()
    page.get_by_label("Tell me by text message").check()
    page.get_by_label("Phone number for text messages").fill(number)
    page.get_by_label("Express").check()
    page.get_by_role("button", name="Show the total").click()
    expect(page.get_by_label("Tell me by text message")).to_be_checked()
    expect(page.get_by_label("Phone number for text messages")).to_have_value(number)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".note-info")).to_contain_text("Your order is placed.")
    assert "is on its way" in texts_to(shop_state, number, 1)[0]
