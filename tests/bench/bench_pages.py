"""What a page costs: the bytes of a first view, and the time to render a list of 24 goods, beside their budgets.

The page comes from the storefront's own handler, with the API's answers in this process. Sizes are as sent: the static
files in Brotli, and the list in gzip, with or without a session. A later view needs the page alone, since the static
files are kept. What the API behind a page costs is in the other tables.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import statistics
import time
from typing import Any

import brotli
import pytest
from rich.console import Console
from rich.table import Table

import storefront.site
from infra.paths import HOME
from pages import static, visitor
from pages.view import Templates
from tests.kit.aws_events import http_api_request
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

_ROUNDS = 40
_GOODS = 24


def first_view() -> dict[str, int]:
    """The bytes of every file that a browser fetches for it, by name."""
    headers = {"sec-fetch-site": "none", "accept-encoding": "gzip, br"}
    sent = base64.b64decode(storefront.site.handler(http_api_request("GET", "/", headers=headers), None)["body"])
    html, sizes = gzip.decompress(sent).decode(), {"HTML": len(sent)}
    for name in dict.fromkeys(re.findall(r"static&#x2f;\w+&#x2f;([\w.-]+)", html)):
        found = static.find(name)
        assert found is not None
        is_text = name.endswith((".css", ".js"))
        sizes[name] = len(brotli.compress(found.content) if is_text else found.content)
    styles = static.find("mercato.css")
    assert styles is not None
    for name in re.findall(r'url\("([\w.-]+)"\)', styles.content.decode()):
        font = static.find(name)
        assert font is not None
        sizes[name] = len(font.content)
    return sizes


def render_milliseconds(patch: pytest.MonkeyPatch) -> float:
    """The median CPU time of rendering the template, warm."""
    times: list[float] = []
    render = Templates.render

    def timed(self: Templates, name: str, values: Any) -> str:
        began = time.process_time()
        text = render(self, name, values)
        times.append((time.process_time() - began) * 1000)
        return text

    patch.setattr(Templates, "render", timed)
    for _ in range(_ROUNDS):
        first_view()
    return statistics.median(times[_ROUNDS // 4 :])


def main() -> None:
    os.environ.setdefault("SITE_URL", "http://localhost:3000")
    _, goods = answer_of_the_contract("GET", "/api/products")
    api = ShopApi({"GET /api/products": (200, goods | {"items": goods["items"] * _GOODS})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visitor, "peer", api.peer)
        sizes = first_view()
        milliseconds = render_milliseconds(patch)
    script = sum(size for name, size in sizes.items() if name.endswith(".js"))
    rows = [
        ("first view, bytes", sum(sizes.values()), 80_000),
        ("requests of a first view", len(sizes), 6),
        ("a later view, bytes", sizes["HTML"], 15_000),
        ("script, bytes", script, 14_336),
        ("style, bytes", sizes["mercato.css"], 6_144),
        ("render of 24 goods, ms of CPU", round(milliseconds, 2), 1.0),
    ]
    table = Table("page", "measured", "budget", "", title="What a page costs")
    for name, measured, budget in rows:
        table.add_row(name, f"{measured:,}", f"{budget:,}", "within" if measured <= budget else "over")
    Console().print(table)
    (HOME / "bench").mkdir(parents=True, exist_ok=True)
    (HOME / "bench/pages.json").write_text(json.dumps({name: measured for name, measured, _ in rows}, indent=1))


if __name__ == "__main__":
    main()
