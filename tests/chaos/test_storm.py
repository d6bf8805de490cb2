"""Three hundred real invoices, while AWS calls fail, are slow or lose responses and function processes are killed.

An operator does only what the runbook says: resumes parked sagas and redrives dead letters. In the end the books
balance. Run it with `make chaos`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.faults import FaultProxy
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Session, Shop, ShopError
from infra.paths import ROOT
from tests.chaos.badday import faulty_shop
from tests.chaos.reaper import Reaper
from tests.e2e.conftest import real_orders  # noqa: F401

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(3600)]

INVOICES = 300
RATE, SLOW = 0.05, 0.05
KILL_EVERY = 2.0  # seconds
SEED = 20261122
PATIENCE = 600  # seconds: a message that failed twice comes back after four minutes


class Operator:
    """Every few seconds resumes the parked sagas and redrives the dead letters. `did` counts these actions."""

    def __init__(self, admin: Session, every: float = 5.0) -> None:
        self._admin, self._every = admin, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.did: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self._look()
            except ShopError:
                self.did["asked in vain"] += 1

    def _look(self) -> None:
        for saga in self._admin.get("/ops/sagas", status="parked")["items"]:
            answer = {"action": "retry", "reason": "the storm"}
            self._admin.post(f"/ops/sagas/{saga['saga']}/resume", answer)
            self.did[f"resumed {saga['step']}"] += 1
        if any(queue["messages"] for queue in self._admin.get("/ops/dlq")["items"]):
            order = {"dry_run": False, "note": "the storm"}
            for result in self._admin.post("/ops/dlq/redrive", order)["items"]:
                self.did[f"redrove from {result['queue']}"] += result["redriven"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalShop]:
    yield from faulty_shop(RATE, tmp_path_factory)


@pytest.fixture
def proxy(running: LocalShop) -> Iterator[FaultProxy]:
    assert running.proxy is not None
    running.proxy.inject(RATE, SLOW)
    yield running.proxy
    running.proxy.inject(0)


def test_the_books_balance_after_the_storm(running: LocalShop, proxy: FaultProxy, real_orders: Path) -> None:  # noqa: F811
    found = target.load()
    shop = Shop(found.base_url)
    admin = shop.login(found.admin.email, found.admin.password)
    operator = Operator(admin)
    reaper = Reaper(running.cloud.home, KILL_EVERY, SEED)
    mercato = Path(sys.executable).parent / "mercato"
    command = [mercato, "replay", real_orders, "--limit", INVOICES, "--concurrency", 4, "--patience", PATIENCE]
    operator.start()
    reaper.start()
    try:
        told = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "140"},
            capture_output=True,
            text=True,
            timeout=3000,
        )
    finally:
        reaper.stop()
        operator.stop()
        counts = proxy.counts()
        proxy.inject(0)

    print(told.stdout)  # noqa: T201
    print(f"{counts.calls} AWS calls, {counts.injected} faults: {dict(counts.faults)}")  # noqa: T201
    print(f"{reaper.killed} function processes killed; the operator: {dict(operator.did)}")  # noqa: T201
    assert told.returncode == 0, told.stderr[-3000:]
    assert "The books balance." in told.stdout
    audit = subprocess.run([mercato, "inventory", "audit"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert audit.returncode == 0, audit.stdout[-3000:]
    assert admin.get("/payments/mismatches")["items"] == []
    assert reaper.killed > 50
    assert min(counts.faults[kind] for kind in ("throttle", "reset", "lost", "slow")) > 0
