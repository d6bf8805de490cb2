"""A shop in which a tenth of all AWS calls fail and a peer is down, with an operator on call. In the end the books
balance.

Run it with `make chaos`. It takes some minutes, and prints the injected faults and the result.
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.demo.stage import Stage
from infra.local.faults import FaultProxy
from infra.local.stack import Stack
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Session, Shop, poll
from infra.paths import ROOT
from infra.replay.rows import COLUMNS
from tests.chaos.badday import faulty_shop
from tests.chaos.on_call import Operator
from tests.chaos.outage import Outage

pytestmark = [pytest.mark.long, pytest.mark.e2e]

INVOICES = 40
RETURNS = 12
COUNTRY = "United Kingdom"
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
                row = [536000 + number, f"A{article}", f"Thing {article}", quantity, day, price, customer, COUNTRY]
                rows.writerow(row)
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
    found = target.load()
    shop = Shop(found.base_url)
    operator = Operator(shop.login(found.admin.email, found.admin.password))
    operator.start()
    try:
        told = subprocess.run(
            [mercato, "replay", invoices, "--limit", str(INVOICES), "--concurrency", "4", "--patience", patience],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "140"},
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
        )
    finally:
        operator.stop()
        shop.close()

    counts = proxy.counts()
    print(told.stdout)  # noqa: T201
    print(f"{counts.calls} AWS calls, {counts.injected} faults: {dict(counts.faults)}")  # noqa: T201
    print(f"products was down; answers on the way to an order: {dict(outage.during)} of {dict(outage.answers)}")  # noqa: T201
    print(f"the operator: {dict(operator.did)}")  # noqa: T201
    assert told.returncode == 0, told.stderr[-3000:]
    assert "The books balance." in told.stdout
    assert outage.state == "over", "the peer was never down"
    assert outage.during[503] >= 6
    assert counts.injected / counts.calls > RATE * 0.8
    assert min(counts.faults[kind] for kind in ("throttle", "reset", "lost")) > 0


def test_returns_of_a_bad_day_are_refunded_once_and_only_what_can_be_sold_is_in_stock_again(
    running: LocalShop, proxy: FaultProxy, peers: FaultProxy
) -> None:
    """Customers ask for two of three bowls to go back. Staff receives both and writes one off. Every third customer got
    a goodwill refund before, which leaves less than the return is worth, and every fourth keeps the bowls.
    """
    found = target.load()
    shop = Shop(found.base_url)
    admin = shop.login(found.admin.email, found.admin.password)
    stage = Stage(shop, admin, found.endpoint, PATIENCE)
    bowl = stage.new_product("Bowl", 1000, stock=100)
    buyers = [stage.new_customer(f"Returning{number}") for number in range(RETURNS)]

    def send_back(number: int) -> tuple[str, int, int]:
        """Returns the order's id, the money that has to go back, and the units that have to be in stock again."""
        buyer = buyers[number]
        order = buyer.wait_for_order(
            stage.order(buyer, bowl, 3)["order_id"], is_delivered, what="is delivered", within=PATIENCE
        )
        path = f"/orders/{order['order_id']}/returns"
        lines = [{"product_id": bowl.product_id, "quantity": 2}]
        made = buyer.post(path, {"lines": lines, "reason": "damaged"}, key=stage.new_key())
        path = f"{path}/{made['return_id']}"
        if number % 4 == 3:
            buyer.post(f"{path}/cancel", key=stage.new_key())
            return order["order_id"], 0, 0
        admin.post(f"{path}/approve", key=stage.new_key())
        if number % 3 == 0:
            goodwill = {"amount": {"amount": 2500, "currency": "GBP"}, "reason": "we are sorry"}
            admin.post(f"/payments/{order['payment_id']}/refunds", goodwill, key=stage.new_key())
        came = [{"product_id": bowl.product_id, "restock": 1, "write_off": 1}]
        admin.post(f"{path}/receive", {"lines": came}, key=stage.new_key())
        return order["order_id"], order["total"]["amount"] if number % 3 == 0 else 2000, 1

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(send_back, range(RETURNS)))
    for order_id, money, _ in done:
        order = admin.wait_for_order(
            order_id, lambda seen: is_over(seen["returns"][0]), what="has its return refunded", within=PATIENCE
        )
        payment = admin.get("/payments", order_id=order_id)["items"][0]
        assert (order["refunded"]["amount"], payment["refunded"]["amount"]) == (money, money)
    gone = 3 * RETURNS - sum(units for *_, units in done)
    poll(lambda: stage.stock(bowl), lambda stock: stock["on_hand"] == 100 - gone, what="is in stock", within=PATIENCE)
    assert admin.get(f"/inventory/{bowl.product_id}/ledger/audit")["balanced"]
    assert admin.get("/payments/mismatches")["items"] == []
    shop.close()


def is_delivered(order: Any) -> bool:
    return bool(order["status"] == "delivered")


def is_over(made: Any) -> bool:
    return made["status"] in ("refunded", "cancelled")


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
