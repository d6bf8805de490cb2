"""A new version of products gets a growing share of the calls while orders flow: the real command, a registry that the
test directs, real sidecars, and the services' own client.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner

from infra.mesh.command import mesh as command
from mercato.breaker import Circuits
from mercato.breaker.memory import MemoryStore
from mercato.peers.client import PeerRefused, PeerUnavailable, ServiceClient
from mercato.peers.peer import POLICY as CIRCUIT
from mercato.peers.sidecar import Sidecar
from tests.integration.mesh.conftest import Caller, Mesh, Seen, wait_for
from tests.integration.mesh.test_traffic import follow, settled
from tests.integration.mesh.test_weight import use


class Orders:
    """Asks products for prices, as each order does, from several threads until it is ended."""

    def __init__(self, caller: Caller, threads: int = 3) -> None:
        self.placed = 0
        self.failed: Counter[str] = Counter()
        breaker = Circuits(MemoryStore()).breaker("peer-products", replace(CIRCUIT, failures=10**6))
        self._client = ServiceClient("products", Sidecar(str(caller.settings.socket)), breaker, sleep=lambda _: None)
        self._ends = threading.Event()
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._place, daemon=True) for _ in range(threads)]

    def _place(self) -> None:
        while not self._ends.is_set():
            try:
                self._client.post("/api/products/lookup", {"product_ids": ["p-1"]}, safe=True)
            except (PeerRefused, PeerUnavailable) as error:
                with self._counting:
                    self.failed[str(error)] += 1
            with self._counting:
                self.placed += 1

    def flow(self, count: int) -> None:
        """Waits for that many more."""
        wanted = self.placed + count
        wait_for(lambda: self.placed >= wanted, "no orders flow", within=60)

    def __enter__(self) -> Orders:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for one in self._threads:
            one.join()


@pytest.fixture
def caller(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> Caller:
    use(mesh.cloud, monkeypatch)
    mesh.cloud.weigh("products", live=1, canary=0)
    mesh.give("orders")
    found = mesh.start("orders")
    settled(mesh, found)
    return found


def give(mesh: Mesh, caller: Caller, percent: int) -> None:
    """The operator's command; the sidecar reads the registry as it does 30 seconds later."""
    done = CliRunner().invoke(command, ["weight", "products", f"canary={percent}"])
    assert done.exit_code == 0, done.output
    follow(mesh, caller)


def test_a_version_gets_ten_fifty_and_all_of_the_calls_and_no_order_fails(mesh: Mesh, caller: Caller) -> None:
    with Orders(caller) as orders:
        orders.flow(50)
        assert mesh.cloud.versions()["canary"] == 0
        for percent, margin in ((10, 6), (50, 9)):
            give(mesh, caller, percent)
            orders.flow(500)
            seen = mesh.cloud.versions()
            assert abs(seen["canary"] / seen.total() * 100 - percent) <= margin, seen
        give(mesh, caller, 100)
        orders.flow(50)  # what was on its way
        mesh.cloud.seen.clear()
        orders.flow(200)
        assert set(mesh.cloud.versions()) == {"canary"}
    assert not orders.failed


def test_a_bad_version_at_ten_percent_is_ejected_and_taken_back_and_no_order_fails(mesh: Mesh, caller: Caller) -> None:
    def answer(one: Seen) -> int:
        return 500 if one.version == "canary" else 200

    with Orders(caller) as orders:
        orders.flow(100)  # ten retries are saved
        give(mesh, caller, 10)
        mesh.cloud.answers = answer
        ejections = "cluster.products.canary.outlier_detection.ejections_enforced_total"
        wait_for(lambda: caller.counters().get(ejections, 0) >= 1, "the bad version is not ejected", within=60)
        bad = mesh.cloud.versions()["canary"]
        orders.flow(300)
        again = caller.counters()[ejections] - 1  # each pause of 30 seconds that has ended lets a few through
        assert mesh.cloud.versions()["canary"] <= bad + 3 + 8 * again, "then the live version answers"
        give(mesh, caller, 0)
        orders.flow(50)
        mesh.cloud.seen.clear()
        orders.flow(200)
        assert set(mesh.cloud.versions()) == {"live"}
    assert not orders.failed, "a read that is answered with 500 is sent again, to the live version"
