"""A shopper types a coupon's code in the middle of the checkout, and loses nothing of what was chosen before."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from infra.operator.client import Session
from tests.e2e.web.conftest import OpenDesk
from tests.e2e.web.test_storefront import LONG, fill_address, go_to_checkout


@pytest.fixture
def code(admin: Session) -> str:
    about = {"kind": "percentage", "basis_points": 1000, "description": "Ten percent off"}
    made = {"code": f"TEN-{uuid.uuid4().hex[:8]}", **about}
    found: str = admin.post("/promotions/coupons", made, key=str(uuid.uuid4()))["code"]
    return found


def test_codes_are_tried_and_used_and_the_choices_stay_until_the_parcel_arrives(desk: OpenDesk, code: str) -> None:
    shop = desk()
    page = go_to_checkout(shop, "bicycle", "Bicycle Bell")
    page.get_by_label("E-mail").fill(f"{uuid.uuid4()}@example.com")
    fill_address(page)
    page.get_by_role("button", name="Choose the delivery").click()
    page.get_by_label("Express").check()
    expect(page.locator("#totals")).to_contain_text("Delivery, express")
    page.get_by_label("A card whose bank is slow").check()
    field = page.get_by_label("Code of a voucher")

    field.fill("NO-SUCH-CODE")
    page.get_by_role("button", name="Use the code").click()
    expect(page.locator("#code-error")).to_contain_text("We do not know this code.")
    assert shop.violations() == []
    field.fill(code.lower())
    field.press("Enter")
    expect(page.get_by_role("status")).to_have_text(f"The code {code} is used.")
    page.get_by_role("button", name=f"Remove the code {code}").click()
    expect(page.get_by_role("status")).to_have_text(f"The code {code} is not used any more.")
    expect(page.get_by_label("Express")).to_be_checked()
    expect(page.get_by_label("A card whose bank is slow")).to_be_checked()

    page.get_by_label("A good card").check()
    field.fill(code)
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing is ordered yet.")
    expect(page.locator("#totals")).to_contain_text(f"{code}: Ten percent off")
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/guest-order?said=placed")
    # The page is not loaded by hand: it has the forms of what can be done by then.
    expect(page.get_by_text("Return some of it")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("Cancel this order")).to_be_hidden()
    shop.said.clear()  # Chromium notes the 422 and the 409
