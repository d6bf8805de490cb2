"""A shop in which a tenth of all AWS calls fail and a peer is down. In the end the books balance.

Run it with `make chaos`. It takes some minutes, and prints the injected faults and the result.
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.faults import FaultProxy
from infra.local.stack import Stack
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Session, Shop, poll
from infra.paths import ROOT
from infra.replay.rows import COLUMNS
from tests.chaos.badday import faulty_shop
from tests.chaos.outage import Outage

pytestmark = [pytest.mark.long, pytest.mark.e2e]

INVOICES = 40
RATE = 0.10
PATIENCE = 400  # seconds: a message that failed twice comes back after four minutes


@pytest.fixture(scope="module")
def invoices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes forty invoices with one to four lines of twelve articles for eight customers, the same in every run."""
    draw = random.Random(20261122)
    path = tmp_path_factory.mktemp("invoices") / "invoices.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number in range(INVOICES):
            for article in draw.sample(range(12), draw.randint(1, 4)):
                price, customer = f"{article + 1}.25", f"{17000 + number % 8}"
                quantity = draw.randint(1, 9)
                day = "2010-12-01 08:26:00"
                rows.writerow([536000 + number, f"A{article}", f"Thing {article}", quantity, day, price, customer, ""])
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalShop]:
    yield from faulty_shop(RATE, tmp_path_factory)


@pytest.fixture(scope="module")
def proxy(running: LocalShop) -> FaultProxy:
    assert running.proxy is not None
    return running.proxy


@pytest.fixture(scope="module")
def peers(running: LocalShop) -> Iterator[FaultProxy]:
    """A separate proxy in front of products and notifications, so that a test can cut off these two alone."""
    peers = FaultProxy(running.cloud, "peers")
    try:
        peers.start()
        Stack.read(running.cloud).register_local_urls(peers.endpoint, only=("products", "notifications"))
        peers.inject(RATE)
        yield peers
    finally:
        peers.stop()


def test_the_books_balance_after_a_bad_day(
    running: LocalShop, proxy: FaultProxy, peers: FaultProxy, invoices: Path
) -> None:
    outage = Outage(peers, RATE, after=8, enough=6)
    running.on_request = outage.see

    mercato, patience = Path(sys.executable).parent / "mercato", str(PATIENCE)
    told = subprocess.run(
        [mercato, "replay", invoices, "--limit", str(INVOICES), "--concurrency", "4", "--patience", patience],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "140"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )

    found = proxy.counts()
    print(told.stdout)  # noqa: T201
    print(f"{found.calls} AWS calls, {found.injected} faults: {dict(found.faults)}")  # noqa: T201
    print(f"products was down; POST /api/orders then: {dict(outage.during)}; in all: {dict(outage.answers)}")  # noqa: T201
    assert told.returncode == 0, told.stderr[-3000:]
    assert "The books balance." in told.stdout
    assert outage.state == "over", "the peer was never down"
    assert outage.during[503] >= 6
    assert found.injected / found.calls > RATE * 0.8
    assert min(found.faults[kind] for kind in ("throttle", "reset", "lost")) > 0


def test_the_dashboard_does_without_the_peer_that_is_down(
    running: LocalShop, proxy: FaultProxy, peers: FaultProxy
) -> None:
    found = target.load()
    shop = Shop(found.base_url)
    customer = shop.login(found.customer.email, found.customer.password)
    proxy.inject(0)
    peers.cut()

    dashboard = customer.get("/dashboard")

    assert dashboard["unread_notifications"] == {"unavailable": True}
    assert dashboard["user"]["email"] == found.customer.email
    peers.inject(0)
    assert is_whole_again(customer)
    shop.close()


def is_whole_again(customer: Session) -> bool:
    """Waits until the dashboard has the recovered peer's part again."""
    found = poll(
        lambda: customer.get("/dashboard"),
        lambda dashboard: isinstance(dashboard["unread_notifications"], int),
        what="notifications is back",
        within=120,
    )
    return bool(found)
