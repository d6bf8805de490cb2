"""Pictures in a real browser: uploaded in the console without JavaScript, and shown in the shop."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from playwright.sync_api import Page, expect

from infra.demo.stage import Stage
from infra.operator.client import Session, Shop, poll
from infra.operator.target import State
from tests.e2e.web.conftest import OpenDesk
from tests.kit.picture_files import photograph, png_bomb


def add(page: Page, alt: str, content: bytes) -> None:
    page.get_by_label("What it shows").last.fill(alt)
    page.get_by_role("button", name="Choose its file").click()
    name = "bomb.png" if content.startswith(b"\x89PNG") else "a.jpg"
    page.get_by_label(f"File for “{alt}”").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": content})
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("main, body").first).to_contain_text("The file has arrived.")


def until_settled(page: Page) -> Callable[[], str]:
    def look() -> str:
        page.reload()
        return page.locator("main").inner_text()

    return look


def test_staff_uploads_without_a_script_and_the_shop_shows_it(
    desk: OpenDesk, shop: Shop, admin: Session, shop_state: State
) -> None:
    product = Stage(shop, admin, shop_state.endpoint, 120).new_product("Pictured vase", 2500, stock=3)
    product_id = product.product_id
    console = desk(java_script_enabled=False)
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open(f"/console/catalogue/{product_id}")
    page.get_by_role("link", name="Add, describe, order or delete").click()
    add(page, "A vase of two halves", photograph(1000, 750))
    poll(until_settled(page), lambda text: "ready" in text, what="ready", within=90)
    add(page, "A bomb", png_bomb())
    poll(until_settled(page), lambda text: "40 million" in text, what="refused", within=90)

    visitor = desk()
    shown = visitor.open(f"/p/{product_id}")
    picture = shown.get_by_role("img", name="A vase of two halves")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0 || image.decode().then(() => true)")
    assert visitor.violations() == []


def test_a_file_that_s3_would_refuse_is_told_before_it_is_sent(
    desk: OpenDesk, admin: Session, shop_state: State
) -> None:
    pot = {"sku": f"POT-{uuid.uuid4()}", "name": "Pot", "price": {"amount": 1900, "currency": "GBP"}}
    product_id = admin.post("/products", pot, key=str(uuid.uuid4()))["product_id"]
    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open(f"/console/catalogue/{product_id}/pictures")
    page.get_by_label("What it shows").fill("A pot")
    page.get_by_role("button", name="Choose its file").click()
    chosen = page.get_by_label("File for “A pot”")
    for content, said in (
        (b"", "This file is empty."),
        (b"x" * (10 * 1024 * 1024 + 1), "This file has 10.1 MB. It may have 10 MB."),
        (photograph(100, 80), ""),
    ):
        chosen.set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": content})
        assert chosen.evaluate("field => field.validationMessage") == said
        if said:
            page.get_by_role("button", name="Upload").click()
            assert page.url == f"{console.site}/console/catalogue/{product_id}/pictures"
