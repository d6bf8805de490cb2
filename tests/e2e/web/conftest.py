"""A real browser on the running shop: Chromium's headless shell, or another Chromium on the PATH."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from infra.demo import browser as local_browser
from infra.operator.target import Account, State
from pages.cookies import SHOP
from tests.e2e.canaries import Canaries

_OPTIONS = [
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    "--site-per-process",  # a frame of another site has a process of its own, as in all browsers but the headless shell
]
PATIENCE = 60_000  # milliseconds; long, for a machine that is busy


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = local_browser.find()
    if path is None:
        pytest.fail(
            f"There is no browser here. Install one: {local_browser.INSTALL}\nOr: make test BROWSER=none", pytrace=False
        )
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=_OPTIONS)
        yield found
        found.close()


@dataclass
class Desk:
    """The browser of one visitor. `said` has the errors of the console and of the page's scripts."""

    page: Page
    site: str
    said: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.site + path)
        return self.page

    def log_in(self, account: Account, at: str = "/login") -> None:
        page = self.open(at)
        page.get_by_label("E-mail").fill(account.email)
        page.get_by_label("Password").fill(account.password)
        page.locator("main").get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login" not in url)

    def violations(self) -> list[str]:
        """The violations that axe finds: the rule and the first element of each."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]

    def plant_cookies(self, canaries: Canaries) -> None:
        """Plants the secret half of each cookie. The checkout's has none: the API asks for the cart's, too."""
        for cookie in self.page.context.cookies():
            if cookie["name"] != SHOP.checkout:
                canaries.plant(f"cookie {cookie['name']}", cookie["value"].rpartition(".")[2])


OpenDesk = Callable[..., Desk]


@pytest.fixture
def desk(browser: Browser, shop_state: State, canaries: Canaries) -> Iterator[OpenDesk]:
    """Opens separate browsers, with options of Playwright's new_context. The test fails if a console shows an error."""
    opened: list[tuple[BrowserContext, Desk]] = []

    def open_one(**options: object) -> Desk:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        found = Desk(context.new_page(), shop_state.base_url)
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on(
            "console",
            lambda message: (
                found.said.append(f"{message.text} ({message.location['url']})")
                if message.type in ("error", "warning")
                else None
            ),
        )
        opened.append((context, found))
        return found

    yield open_one
    for context, found in opened:
        found.plant_cookies(canaries)
        context.close()
        assert found.said == []
