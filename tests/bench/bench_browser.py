"""What a page costs in a browser, on a running shop, beside the budgets: bytes and requests of a first view, when its
largest element is there (LCP), how far its parts move (CLS), and its time to first byte beside the API's.

The pages are the list and a product's, of a new visitor, and the checkout's totals and an order's, of a guest with a
cart.

    .venv/bin/python -m tests.bench.bench_browser [rounds]

Each round of each page is a browser context of its own, with empty caches, so LCP and bytes are of a first view.
Pictures are waited for before the first round, since the shop scales them after its start. They have a budget of their
own, because a shop decides how many it shows, and they come after the page; requests are counted without them.

The time to first byte is that of a warm function, from the request sent to the first byte received. "first byte / API"
divides the page's by that of the slowest call of the API behind it: one client requests both, in turn, while no browser
works. A guest's calls do not go to the API, so the pages of the checkout have no such figure. "browser waits" is the
same interval as the browser measures it (requestStart to responseStart) when it opens the page. It is longer: Chromium
starts processes for a page at that moment, and the functions of a local shop share the processor with them.

Without Chromium nothing is measured. Where Node.js is there, npx fetches Lighthouse, which looks at both pages.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from infra.demo import browser as local_browser
from infra.operator.client import TooLate, poll
from infra.operator.target import State
from infra.paths import HOME
from tests.bench.own_shop import running_shop

_LIGHTHOUSE = "lighthouse@12.8.2"  # the last one that Node.js 20 runs
_A_PAGE = 24  # the goods on the list's first page
_PICTURES_WITHIN = 120  # seconds
_PAIRS, _WARM_UP = 25, 5  # of a page and its call; the first ones reach functions that are not warm
_BUDGETS = {
    "bytes": 80_000,
    "with pictures": 130_000,
    "requests": 6,
    "LCP, ms": 1000,
    "CLS": 0.0,
    "first byte / API": 1.5,
}
_ADDRESS = {"Name": "Ada Guest", "Address": "1 Quay Road", "Town or city": "Leith", "Postcode": "EH6 6QQ"}
_WIDTHS = {"1280 px": {"width": 1280, "height": 800}, "390 px": {"width": 390, "height": 844}}
_OBSERVE = """() => new Promise(done => {
  const found = {lcp: 0, cls: 0};
  new PerformanceObserver(list => { for (const one of list.getEntries()) found.lcp = one.startTime; })
    .observe({type: "largest-contentful-paint", buffered: true});
  const add = one => { if (!one.hadRecentInput) found.cls += one.value; };
  new PerformanceObserver(list => list.getEntries().forEach(add))
    .observe({type: "layout-shift", buffered: true});
  const [page] = performance.getEntriesByType("navigation");
  setTimeout(() => done({...found, first: page.responseStart - page.requestStart}), 300);
})"""


Call = tuple[str, str, Any]  # the method, the path and the body of a request to the API


@dataclass(frozen=True)
class Opened:
    """A page to open: its path, the cookies of its visitor, and the calls of the API behind it."""

    path: str
    cookies: dict[str, str] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()


@dataclass
class Seen:
    """What the rounds of one page measured. Times are in milliseconds."""

    bytes: list[int] = field(default_factory=list)  # without pictures
    requests: list[int] = field(default_factory=list)  # without pictures
    pictures: list[tuple[int, int]] = field(default_factory=list)  # how many, and their bytes
    lcp: list[float] = field(default_factory=list)
    cls: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        found = {
            "bytes": max(self.bytes),
            "with pictures": max(own + size for own, (_, size) in zip(self.bytes, self.pictures, strict=True)),
            "requests": max(self.requests),
            "LCP, ms": round(statistics.median(self.lcp)),
            "CLS": round(max(self.cls), 4),
        }
        return found | ({"first byte / API": round(statistics.median(self.ratio), 2)} if self.ratio else {})


def look(browser: Browser, site: str, opened: Opened, size: dict[str, int], seen: Seen) -> None:
    """Opens the page once in a context of its own."""
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    session = context.new_cdp_session(page)
    for name, value in opened.cookies.items():
        # The name asks for HTTPS, and Chromium sends the cookie to localhost without it.
        secure = {"url": site.replace("http:", "https:"), "path": "/", "secure": True}
        session.send("Network.setCookie", {"name": name, "value": value, **secure})
    asked: dict[str, tuple[str, bool]] = {}
    lengths: dict[str, int] = {}
    session.on(
        "Network.responseReceived",
        lambda told: asked.update({told["requestId"]: (told["response"]["url"], told["type"] == "Image")}),
    )
    session.on(
        "Network.loadingFinished", lambda told: lengths.update({told["requestId"]: int(told["encodedDataLength"])})
    )
    session.send("Network.enable")
    page.goto(site + opened.path, wait_until="networkidle")
    found = page.evaluate(_OBSERVE)
    pictures = [lengths.get(request, 0) for request, (_, is_picture) in asked.items() if is_picture]
    seen.bytes.append(sum(lengths.values()) - sum(pictures))
    # A page that is live asks for its news again and again: that counts once.
    seen.requests.append(len({url for url, is_picture in asked.values() if not is_picture}))
    seen.pictures.append((len(pictures), sum(pictures)))
    seen.lcp.append(found["lcp"])
    seen.cls.append(found["cls"])
    seen.waits.append(found["first"])
    context.close()


def first_byte(client: httpx.Client, method: str, path: str, body: Any = None) -> float:
    """Milliseconds from the request sent to the first byte received."""
    began = time.perf_counter()
    with client.stream(method, path, json=body) as answer:
        took = (time.perf_counter() - began) * 1000
        answer.read()
    answer.raise_for_status()
    return took


def compare(client: httpx.Client, opened: Opened) -> list[float]:
    """By pair, the page's time to first byte over that of the slowest call behind it. Empty if it has no calls."""
    if not opened.calls:
        return []
    found = []
    for _ in range(_PAIRS):
        slowest = max(first_byte(client, *call) for call in opened.calls)
        found.append(first_byte(client, "GET", opened.path) / slowest)
    return found[_WARM_UP:]


def pages_of(client: httpx.Client) -> dict[str, Opened]:
    """By name, the pages of a new visitor."""
    product = client.get("/api/products?limit=1").json()["items"][0]["product_id"]
    return {
        "list": Opened("/", calls=(("GET", f"/api/products?limit={_A_PAGE}", None),)),
        "product": Opened(f"/p/{product}", calls=(("GET", f"/api/products/{product}?related=4", None),)),
    }


def buy(browser: Browser, site: str, *, orders: bool) -> Opened:
    """The page of the checkout's totals, with one product in the cart; if it `orders`, that of the order instead."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site}/?q=heather")
    page.get_by_role("button", name="Add Heather Honey to cart").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_label("E-mail").fill("guest@example.com")
    for label, text in _ADDRESS.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Choose the delivery").click()
    place = page.get_by_role("button", name="Place the order")
    place.wait_for()
    if orders:
        place.click()
        page.locator("#status").wait_for()
    cookies = {one["name"]: one["value"] for one in context.cookies()}
    path = page.url.removeprefix(site).partition("?")[0]
    context.close()
    return Opened(path, cookies)


def wait_for_pictures(console: Console, client: httpx.Client) -> None:
    """Waits until all goods on the first page of the list have a picture. Says how many have none after two minutes."""

    def without() -> list[str]:
        items = client.get(f"/api/products?limit={_A_PAGE}").raise_for_status().json()["items"]
        return [one["name"] for one in items if not one["images"]]

    try:
        poll(without, lambda names: not names, what="the goods' pictures", within=_PICTURES_WITHIN)
    except TooLate as late:
        console.print(f"[yellow]![/] without a picture: {', '.join(late.last)}")


def measure(console: Console, state: State, path: str, rounds: int) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    with httpx.Client(base_url=state.base_url, timeout=60) as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        wait_for_pictures(console, client)
        pages = pages_of(client) | {
            "totals": buy(browser, state.base_url, orders=False),
            "order": buy(browser, state.base_url, orders=True),
        }
        for name, opened in pages.items():
            ratio = compare(client, opened)
            for width, size in _WIDTHS.items():
                seen = found.setdefault(f"{name}, {width}", Seen(ratio=ratio))
                for _ in range(rounds):
                    look(browser, state.base_url, opened, size, seen)
        browser.close()
    return found


def show(console: Console, found: dict[str, Seen]) -> None:
    table = Table("page", *_BUDGETS, "browser waits, ms", "pictures", title="First views, beside their budgets")
    table.add_row("budget", *(f"{limit:,}" for limit in _BUDGETS.values()), "", "", style="dim")
    for name, seen in found.items():
        figures = seen.figures()
        cells = [
            ""
            if (value := figures.get(figure)) is None
            else f"{value:,}"
            if value <= limit
            else f"[red]{value:,} over[/]"
            for figure, limit in _BUDGETS.items()
        ]
        count, size = max(seen.pictures)
        table.add_row(name, *cells, f"{statistics.median(seen.waits):.0f}", f"{count} of {size:,} bytes")
    console.print(table)


def ask_lighthouse(console: Console, state: State, path: str) -> dict[str, dict[str, float]]:
    """Lighthouse's scores by page, 0 to 100. Empty where Node.js or Lighthouse cannot be had."""
    npx = shutil.which("npx")
    if npx is None:
        console.print("Node.js is not there: Lighthouse is left out.")
        return {}
    scores: dict[str, dict[str, float]] = {}
    with httpx.Client(base_url=state.base_url, timeout=60) as client, TemporaryDirectory() as folder:
        for name, opened in pages_of(client).items():
            report = Path(folder) / f"{name}.json"
            told = subprocess.run(
                [
                    *(npx, "--yes", _LIGHTHOUSE, state.base_url + opened.path, "--quiet"),
                    *("--output=json", f"--output-path={report}"),
                    "--chrome-flags=--headless=new --no-sandbox",
                ],
                env={"CHROME_PATH": path, "PATH": f"{Path(npx).parent}:/usr/bin:/bin", "HOME": folder},
                capture_output=True,
                text=True,
                timeout=300,
            )
            if not report.exists():
                console.print(f"Lighthouse is left out: {told.stderr.strip()[-300:]}")
                return {}
            categories = json.loads(report.read_text())["categories"]
            # A figure that could not be taken, as on a machine too busy to paint, leaves its category without a score.
            scores[name] = {one["title"]: round((one["score"] or 0) * 100) for one in categories.values()}
    table = Table("Lighthouse", *next(iter(scores.values())), title="Of 100")
    for name, found in scores.items():
        table.add_row(name, *map(str, found.values()))
    console.print(table)
    return scores


def main(rounds: int) -> None:
    console, path = Console(), local_browser.find()
    if path is None:
        console.print("There is no browser here: nothing is measured.")
        return
    with running_shop(console, has_pictures=True) as state:
        found = measure(console, state, path, rounds)
        show(console, found)
        scores = ask_lighthouse(console, state, path)
    (HOME / "bench").mkdir(parents=True, exist_ok=True)
    figures = {name: seen.figures() for name, seen in found.items()}
    (HOME / "bench/browser.json").write_text(json.dumps({"pages": figures, "lighthouse": scores}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
