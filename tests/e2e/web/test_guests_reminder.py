"""A guest ticks the box in the checkout, is reminded of the cart by one mail, and puts the goods back by its link."""

from __future__ import annotations

import json
import uuid

import pytest
from playwright.sync_api import expect

from infra.operator.client import Shop
from infra.operator.target import State, client
from mercato.guests import guest_of
from tests.e2e.test_accounts import Mailbox
from tests.e2e.web.conftest import OpenDesk
from tests.e2e.web.test_storefront import fill_address
from tests.kit.given import published

SUBJECT = "There is something in your cart"


@pytest.fixture
def mailbox(shop_state: State) -> Mailbox:
    return Mailbox(shop_state.endpoint, shop_state.base_url, f"{uuid.uuid4()}@example.com")


def leave(shop_state: State, guest_id: str, version: int) -> None:
    """What the sweeper of carts publishes a day later."""
    data = {"cart_id": guest_id, "customer_id": guest_id}
    event = published(
        "cart.abandoned", guest_id, data, id=str(uuid.uuid4()), source="mercato.carts", sequence=f"{version:010d}"
    )
    entry = {"Source": "mercato.carts", "DetailType": "cart.abandoned", "Detail": json.dumps(event)}
    client(shop_state, "events").put_events(Entries=[entry | {"EventBusName": shop_state.outputs["BusName"]}])


def test_a_guest_is_reminded_once_and_puts_the_goods_back(
    desk: OpenDesk, mailbox: Mailbox, shop: Shop, shop_state: State
) -> None:
    guest = desk(viewport={"width": 390, "height": 844})
    page = guest.open("/?q=heather")
    page.get_by_role("button", name="Add Heather Honey to cart").click()
    page.get_by_role("link", name="Check out").click()
    box = page.get_by_label("Remind me of this cart")
    expect(box).not_to_be_checked()
    assert guest.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("E-mail").fill("nobody@nowhere")
    box.check()
    fill_address(page)
    page.get_by_role("button", name="Choose the delivery").click()
    expect(page.get_by_label("E-mail")).to_have_attribute("aria-invalid", "true")
    expect(box).to_be_checked()
    page.get_by_label("E-mail").fill(mailbox.address)
    page.get_by_role("button", name="Choose the delivery").click()
    expect(page.locator("#totals")).to_contain_text("Heather Honey")
    guest.said.clear()  # Chromium notes the 422

    [cart_id] = [one["value"] for one in page.context.cookies() if one["name"].endswith("cart")]
    version = shop.call("GET", f"/carts/guests/{cart_id}")["version"]
    for _ in range(2):
        leave(shop_state, guest_of(cart_id), version)
    link = mailbox.link("cart/back")
    [mail] = [one for one in mailbox.mails() if one.startswith(SUBJECT)]
    assert "  Heather Honey\n" in mail
    assert cart_id not in mail

    for options in ({}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}):
        visitor = desk(**options)
        page = visitor.open(link)
        expect(page.locator("main")).to_contain_text("1 × Heather Honey")
        assert visitor.violations() == []
    other = desk(java_script_enabled=False)
    page = other.open(link)
    page.get_by_role("button", name="Put it into the cart").click()
    expect(page.get_by_text("What was in your cart is here again.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Heather Honey")
    other.open(link)
    expect(page.locator("main")).to_contain_text("was put back already")
    other.said.clear()  # Chromium notes the 404
    assert len([one for one in mailbox.mails() if one.startswith(SUBJECT)]) == 1
