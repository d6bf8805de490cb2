"""Three hundred real invoices, while AWS calls fail, are slow or lose responses and function processes are killed. Once
without the mesh, and once through it, with twice the faults and while its certificates are rotated.

An operator does only what the runbook says: resumes parked sagas and redrives dead letters. In the end the books
balance. Run it with `make chaos`; MERCATO_STORM_INVOICES is another number of invoices. On a machine that
needs longer than two seconds to start a function, MERCATO_STORM_KILL_EVERY lets some of the starts end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.faults import FaultProxy
from infra.local.up import LocalShop
from infra.mesh import policy
from infra.operator import target
from infra.operator.client import Shop
from infra.paths import ROOT
from mercato import aws
from tests.chaos.badday import faulty_shop
from tests.chaos.on_call import Operator
from tests.chaos.reaper import Reaper
from tests.chaos.rotation import Rotation
from tests.e2e.conftest import real_orders  # noqa: F401
from tests.kit.sidecars import certificates

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(3600)]

INVOICES = int(os.environ.get("MERCATO_STORM_INVOICES", "300"))
RATE, RATE_BESIDE_MESH, SLOW = 0.05, 0.1, 0.05
ROTATED_EVERY = 15.0  # seconds
KILL_EVERY = float(os.environ.get("MERCATO_STORM_KILL_EVERY", "2"))  # seconds
SEED = 20261122
MERCATO = Path(sys.executable).parent / "mercato"
PATIENCE = 600  # seconds: a message that failed twice comes back after four minutes


@pytest.fixture(scope="module", params=[False, True], ids=["without the mesh", "through the mesh"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalShop]:
    rate = RATE_BESIDE_MESH if request.param else RATE
    yield from faulty_shop(rate, tmp_path_factory, has_mesh=request.param)


@pytest.fixture
def proxy(running: LocalShop) -> Iterator[FaultProxy]:
    assert running.proxy is not None
    running.proxy.inject(running.faults, SLOW)
    yield running.proxy
    running.proxy.inject(0)


@pytest.fixture
def rotation(running: LocalShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotation | None]:
    """Of the mesh's certificates, from now on; None without the mesh."""
    if not running.has_mesh:
        yield None
        return
    for name, value in running.cloud.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    aws.reset()
    rotation = Rotation(running.cloud, target.load(), ROTATED_EVERY)
    rotation.start()
    yield rotation
    rotation.stop()
    aws.reset()


def test_the_books_balance_after_the_storm(
    running: LocalShop,
    proxy: FaultProxy,
    rotation: Rotation | None,
    real_orders: Path,  # noqa: F811
) -> None:
    found = target.load()
    shop = Shop(found.base_url)
    admin = shop.login(found.admin.email, found.admin.password)
    operator = Operator(admin)
    reaper = Reaper(running.cloud.home, KILL_EVERY, SEED)
    command = [MERCATO, "replay", real_orders, "--limit", INVOICES, "--concurrency", 4, "--patience", PATIENCE]
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
        if rotation is not None:
            rotation.stop()
        counts = proxy.counts()
        proxy.inject(0)

    print(told.stdout)  # noqa: T201
    print(f"{counts.calls} AWS calls, {counts.injected} faults: {dict(counts.faults)}")  # noqa: T201
    print(f"{reaper.killed} function processes killed; the operator: {dict(operator.did)}")  # noqa: T201
    assert told.returncode == 0, told.stderr[-3000:]
    assert "The books balance." in told.stdout
    audit = subprocess.run([MERCATO, "inventory", "audit"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert audit.returncode == 0, audit.stdout[-3000:]
    assert admin.get("/payments/mismatches")["items"] == []
    assert reaper.killed > INVOICES // 6
    assert min(counts.faults[kind] for kind in ("throttle", "reset", "lost", "slow")) > 0
    if rotation is not None:
        require_rotated(running, rotation)


def require_rotated(running: LocalShop, rotation: Rotation) -> None:
    """Prints who called whom. Each caller's certificate was renewed several times, and sidecars used the new ones."""
    used = len(certificates(running.cloud.home))
    graph = subprocess.run(
        [MERCATO, "mesh", "graph", "--minutes", "120"],
        env=os.environ | {"COLUMNS": "140"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    print(graph.stdout)  # noqa: T201
    print(f"the issuer: {dict(rotation.outcomes)}; certificates that sidecars used: {used}")  # noqa: T201
    callers = len(policy.read().identities)
    assert rotation.outcomes["renewed"] > 2 * callers
    assert used > 2 * callers
