"""`make screenshots`: takes the README's pictures of the running shop in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from infra.demo import browser as local_browser
from infra.demo.stage import Stage
from infra.operator import target
from infra.operator.client import Shop
from infra.operator.target import Account, State
from infra.paths import ROOT
from infra.trouble import Trouble

_FOLDER = ROOT / "docs/pictures"
_WIDE, _PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
_PATIENCE = 120


def main() -> None:
    console, state = Console(), target.load()
    target.require_sandbox(state, "the pictures")
    shop = Shop(state.base_url)
    admin = shop.login(state.admin.email, state.admin.password)
    stage = Stage(shop, admin, state.endpoint, _PATIENCE, currency=state.outputs.get("Currency", "GBP"))
    _FOLDER.mkdir(exist_ok=True)
    with _browser() as browser:
        for name in (_shop, _order, _saga, _console):
            file = name(browser, state, stage)
            console.print(f"docs/pictures/{file}.jpg  {(_FOLDER / f'{file}.jpg').stat().st_size // 1024} KB")


@contextmanager
def _browser() -> Iterator[Browser]:
    path = local_browser.find()
    if path is None:
        raise Trouble("no browser is installed", local_browser.INSTALL)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--disable-background-networking"])


def _open(browser: Browser, size: dict[str, int], scheme: str = "light") -> Page:
    return browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]


def _log_in(page: Page, state: State, account: Account, at: str = "/login") -> None:
    page.goto(state.base_url + at)
    page.get_by_label("E-mail").fill(account.email)
    page.get_by_label("Password").fill(account.password)
    page.locator("main").get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)


def _take(page: Page, name: str) -> str:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=_FOLDER / f"{name}.jpg", type="jpeg", quality=72)
    return name


def _shop(browser: Browser, state: State, stage: Stage) -> str:
    page = _open(browser, _WIDE)
    page.goto(state.base_url)
    return _take(page, "shop")


def _order(browser: Browser, state: State, stage: Stage) -> str:
    page = _open(browser, _PHONE, "dark")
    _log_in(page, state, state.customer)
    page.goto(f"{state.base_url}/?category=kitchen")
    page.get_by_role("button", name="Add Fisherman Mug to cart").click()
    page.get_by_role("link", name="Check out").click()
    for label, text in {
        "Name": "Carl",
        "Address": "1 Quay Road",
        "Town or city": "Leith",
        "Postcode": "EH6 6QQ",
    }.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Choose the delivery").click()
    page.get_by_role("button", name="Place the order").click()
    page.locator("#status .status-ok").first.wait_for(timeout=_PATIENCE * 1000)
    return _take(page, "order")


def _saga(browser: Browser, state: State, stage: Stage) -> str:
    vase, petra = stage.new_product("Picture vase", 2500, stock=8), stage.new_customer("Petra")
    order = stage.order(petra, vase, 1, token="tok_capture_declined")["order_id"]
    petra.wait_for_order(order, lambda seen: seen["status"] == "cancelled", what="cancelled", within=_PATIENCE)
    page = _open(browser, _WIDE)
    _log_in(page, state, state.admin, "/console/login")
    page.goto(f"{state.base_url}/console/sagas/{order}")
    return _take(page, "saga")


def _console(browser: Browser, state: State, stage: Stage) -> str:
    order = stage.admin.get("/ops/orders", limit=1)["items"][0]["order_id"]
    page = _open(browser, _WIDE, "dark")
    _log_in(page, state, state.admin, "/console/login")
    page.goto(f"{state.base_url}/console/orders/{order}?v=2")
    return _take(page, "console")


if __name__ == "__main__":
    main()
