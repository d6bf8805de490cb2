"""What a page costs in a browser, on a running shop, beside the budgets: bytes and requests of a first view, when its
largest element is there (LCP), how far its parts move (CLS), and its time to first byte beside the API's.

    .venv/bin/python -m tests.bench.bench_browser [rounds]

Each round of each page is a browser context of its own, with empty caches, so LCP and bytes are of a first view.
Pictures are counted apart: a shop decides how many it shows, and they come after the page. They are waited for before
the first round, since the shop scales them after its start. The time to first byte is
that of a warm function. Beside it stands the slowest call of the API that the page makes, sent alone in the same round.
Without Chromium nothing is measured. Where Node.js is there, npx fetches Lighthouse, which looks at both pages.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
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
_BUDGETS = {"bytes": 80_000, "requests": 6, "LCP, ms": 1000, "CLS": 0.0, "first byte / API": 1.5}
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


@dataclass
class Seen:
    """What the rounds of one page measured. Times are in milliseconds."""

    bytes: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    pictures: list[tuple[int, int]] = field(default_factory=list)
    lcp: list[float] = field(default_factory=list)
    cls: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        return {
            "bytes": max(self.bytes),
            "requests": max(self.requests),
            "LCP, ms": round(statistics.median(self.lcp)),
            "CLS": round(max(self.cls), 4),
            "first byte / API": round(statistics.median(self.ratio), 2),
        }


def look(browser: Browser, url: str, size: dict[str, int], seen: Seen, slowest_call: Callable[[], float]) -> None:
    """Opens the page once in a context of its own."""
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    session = context.new_cdp_session(page)
    kinds: dict[str, str] = {}
    lengths: dict[str, int] = {}
    session.on("Network.responseReceived", lambda told: kinds.update({told["requestId"]: told["type"]}))
    session.on(
        "Network.loadingFinished", lambda told: lengths.update({told["requestId"]: int(told["encodedDataLength"])})
    )
    session.send("Network.enable")
    page.goto(url, wait_until="networkidle")
    found = page.evaluate(_OBSERVE)
    own = [length for request, length in lengths.items() if kinds.get(request) != "Image"]
    pictures = [length for request, length in lengths.items() if kinds.get(request) == "Image"]
    seen.bytes.append(sum(own))
    seen.requests.append(len(own))
    seen.pictures.append((len(pictures), sum(pictures)))
    seen.lcp.append(found["lcp"])
    seen.cls.append(found["cls"])
    seen.ratio.append(found["first"] / slowest_call())
    context.close()


def slowest(client: httpx.Client, calls: list[tuple[str, str, Any]]) -> Callable[[], float]:
    """Milliseconds of the slowest of these calls, each sent alone."""

    def measure() -> float:
        times = []
        for method, path, body in calls:
            began = time.perf_counter()
            client.request(method, path, json=body).raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
        return max(times)

    return measure


def pages_of(client: httpx.Client) -> dict[str, tuple[str, list[tuple[str, str, Any]]]]:
    """By name, a page's path and the calls of the API behind it."""
    product = client.get("/api/products?limit=1").json()["items"][0]
    return {
        "list": ("/", [("GET", f"/api/products?limit={_A_PAGE}", None)]),
        "product": (
            f"/p/{product['product_id']}",
            [("GET", f"/api/products/{product['product_id']}?related=4", None)],
        ),
    }


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
        for name, (address, calls) in pages_of(client).items():
            call = slowest(client, calls)
            client.get(address)
            call()
            for width, size in _WIDTHS.items():
                seen = found.setdefault(f"{name}, {width}", Seen())
                for _ in range(rounds):
                    look(browser, state.base_url + address, size, seen, call)
        browser.close()
    return found


def show(console: Console, found: dict[str, Seen]) -> None:
    table = Table("page", *_BUDGETS, "pictures", title="First views in a browser, beside their budgets")
    table.add_row("budget", *(f"{limit:,}" for limit in _BUDGETS.values()), "", style="dim")
    for name, seen in found.items():
        cells = [
            f"{value:,}" if value <= _BUDGETS[figure] else f"[red]{value:,} over[/]"
            for figure, value in seen.figures().items()
        ]
        count, size = max(seen.pictures)
        table.add_row(name, *cells, f"{count} of {size:,} bytes")
    console.print(table)


def ask_lighthouse(console: Console, state: State, path: str) -> dict[str, dict[str, float]]:
    """Lighthouse's scores by page, 0 to 100. Empty where Node.js or Lighthouse cannot be had."""
    npx = shutil.which("npx")
    if npx is None:
        console.print("Node.js is not there: Lighthouse is left out.")
        return {}
    scores: dict[str, dict[str, float]] = {}
    with httpx.Client(base_url=state.base_url, timeout=60) as client, TemporaryDirectory() as folder:
        for name, (address, _) in pages_of(client).items():
            report = Path(folder) / f"{name}.json"
            told = subprocess.run(
                [
                    *(npx, "--yes", _LIGHTHOUSE, state.base_url + address, "--quiet"),
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
