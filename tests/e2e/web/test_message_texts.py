"""An operator changes the text of a message in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from infra.operator.client import Session
from infra.operator.target import State
from tests.e2e.web.conftest import OpenDesk

HERE = "/console/texts/order_shipped/de"
TEXT = "/notifications/texts/order_shipped/de"


@pytest.fixture(autouse=True)
def built_in_text(admin: Session) -> Iterator[None]:
    """Each test begins and ends with the built-in text."""
    _restore(admin)
    yield
    _restore(admin)


def _restore(admin: Session) -> None:
    found, built_in = admin.get(TEXT), admin.get(TEXT, version=0)
    if not found["is_built_in"]:
        admin.put(TEXT, {name: built_in[name] for name in ("subject", "body", "sms")} | {"version": found["version"]})


def send(page: Page) -> None:
    page.get_by_role("button", name="Put it in force").click()


def test_a_text_is_previewed_changed_and_restored(desk: OpenDesk, shop_state: State) -> None:
    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.page
    page.get_by_role("link", name="Message texts", exact=True).click()
    page.get_by_role("link", name="order shipped in German").click()
    preview, subject = page.locator("#preview"), page.get_by_label("Subject")

    subject.fill("Unterwegs: {{ order }}")
    subject.press("Tab")
    expect(preview).to_contain_text("Unterwegs: K7QF2-M9X40")
    expect(page.get_by_label("Body")).to_be_focused()
    expect(preview).to_contain_text("Text message, 1 part")
    page.get_by_label("Text message", exact=True).fill("Da: {{ card }}")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#sms-error")).to_contain_text("must not have {{ card }}")
    assert console.violations() == []
    console.said.clear()  # Chromium notes the 422
    page.get_by_label("Text message", exact=True).fill("Da: {{ order }}")
    send(page)
    expect(page.get_by_role("status")).to_contain_text("The text is changed.")
    expect(page.get_by_label("Subject")).to_have_value("Unterwegs: {{ order }}")
    page.get_by_role("link", name="All texts").click()
    expect(page.locator("tr", has_text="order shipped in German")).to_contain_text("changed")
    page.go_back()

    page.get_by_role("link", name="Restore the built-in text").click()
    expect(page.locator(".difference").first.locator("del")).to_contain_text("Unterwegs: {{ order }}")
    assert console.violations() == []
    page.get_by_role("button", name="Restore the built-in text").click()
    expect(page.get_by_role("status")).to_contain_text("The text is back in force.")
    expect(page.get_by_label("Subject")).to_have_value("Ihre Bestellung ist unterwegs")


def test_without_script_a_text_is_previewed_and_changed(desk: OpenDesk, shop_state: State) -> None:
    console = desk(java_script_enabled=False)
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open(HERE)
    page.get_by_label("Subject").fill("Kommt: {{ order }}")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("Kommt: K7QF2-M9X40")
    send(page)
    expect(page.get_by_role("status")).to_contain_text("The text is changed.")
    page.get_by_label("Subject").fill("Kommt bald: {{ order }}")
    with page.expect_navigation():
        send(page)
    number = int(page.get_by_role("link", name="Version ").first.inner_text().split()[1])
    page = console.open(f"{HERE}?version={number}")
    expect(page.locator("main")).to_contain_text("Kommt: {{ order }}")
    expect(page.get_by_text(re.compile("^made .* UTC by "))).to_be_visible()


def test_of_two_operators_the_second_sees_both_sides(desk: OpenDesk, shop_state: State) -> None:
    first, second = desk(), desk(color_scheme="dark", viewport={"width": 390, "height": 800})
    for console, words in ((first, "Von Ada"), (second, "Von Bea")):
        console.log_in(shop_state.admin, at="/console/login")
        console.open(HERE)
        console.page.get_by_label("Subject").fill(words)
    send(first.page)
    expect(first.page.get_by_role("status")).to_contain_text("The text is changed.")
    send(second.page)
    expect(second.page.get_by_role("heading", name="Another operator has changed it meanwhile")).to_be_visible()
    differences = second.page.locator(".difference")
    expect(differences.nth(0).locator("ins")).to_have_text("+ Von Ada")
    expect(differences.nth(1).locator("ins")).to_have_text("+ Von Bea")
    expect(second.page.get_by_label("Subject")).to_have_value("Von Bea")
    assert second.violations() == []
    second.said.clear()  # Chromium notes the 409
    send(second.page)
    expect(second.page.get_by_role("status")).to_contain_text("The text is changed.")
